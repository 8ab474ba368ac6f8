"""What the tests of more than one file need."""

import signal
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import attrs
import pytest
import torch
from hypothesis import settings

from tests.trained import of_classes as of_classes
from tests.trained import photograph as photograph
from tests.trained import run as run

THREADS = torch.get_num_threads()
# The tests' models are so small that threads would spend longer waiting for each other than computing.
torch.set_num_threads(1)

settings.register_profile("segreg", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("segreg")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the summaries that tests recorded: what they print themselves stays in the worker process."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "summary":
                terminalreporter.write_line(str(text))


@attrs.frozen
class Site:
    """A folder on sys.path, with distributions installed in it."""

    path: Path

    def install(
        self,
        distribution: str,
        source: str,
        *,
        namespace: str | None = None,
        version: str = "1.0",
        module: str | None = None,
        metadata: bool = True,
    ) -> str:
        """Write a distribution whose one module contains `source`, and return the module's name."""
        module = module or f"{distribution.replace('-', '_')}_plugin"
        (self.path / f"{module}.py").write_text(source, encoding="utf-8")
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[segreg.v1]\n{namespace or distribution} = {module}\n")
        return module

    def entry_points(self) -> list[EntryPoint]:
        """The entry points of what is installed here, in the order of their names."""
        found = [point for each in distributions(path=[str(self.path)]) for point in each.entry_points]
        return sorted(found, key=lambda point: (point.name, point.value))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder to install plugins in."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def handlers() -> Iterator[None]:
    """Handle signals as in a terminal, and restore the handlers: `stoppable` does not after a signal."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    # The parent of the tests may ignore them, as shells do for background processes, and then `stoppable` does too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)
