"""The plugin of the tests, installed for the duration of a test, and what several tests need of a run."""

import importlib
import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import segreg
from segreg.cli.main import main
from segreg.registry import registry
from segreg.runs.run import Run

PLUGIN = Path(__file__).parent / "plugin"

TIMING = {"seconds", "images_per_second"}


@pytest.fixture(scope="module", autouse=True)
def trial() -> Iterator[None]:
    """Put the plugin on the path, as an installation would, and make the registry look again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGIN)
        registry.cache_clear()
        yield
    registry.cache_clear()


@pytest.fixture
def parts() -> Any:
    """The module with the plugin's parts."""
    return importlib.import_module("segreg_trial.parts")


def without_times(history: list[Any]) -> list[dict[str, float]]:
    """A history without timings."""
    return [{name: value for name, value in row.items() if name not in TIMING} for row in history]


def call(*words: str) -> tuple[int, str, str]:
    """Call the command, and return its exit status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code, out.getvalue(), err.getvalue()


def interrupt(parts: Any, monkeypatch: pytest.MonkeyPatch, step: int, model: str, **settings: Any) -> Run:
    """Start a run that is interrupted after a step."""
    monkeypatch.setattr(parts, "TROUBLE", (step, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        segreg.fit(model, **settings)
    monkeypatch.setattr(parts, "TROUBLE", None)
    return Run(settings["out"])
