"""`segreg check`: a table, each cause once with the line of its author, and no false alarm."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from segreg.registry import registry
from segreg.testing import conformance_cases
from tests.conftest import Site
from tests.trial import call

HOOKS = """
from segreg import Architecture, Dataset, Tracker, hookimpl

def records(kind, names):
    return [
        kind(name=name.lower(), target=f"mine_parts:{name}", summary="", reference="ours") for name in names.split()
    ]

@hookimpl
def segreg_architectures():
    return [Architecture(name=name, target="mine_parts:Net", summary="", reference="ours", min_size=4)
            for name in ("net", "twin")]

@hookimpl
def segreg_datasets():
    return records(Dataset, "Pairs Keeping")

@hookimpl
def segreg_trackers():
    return records(Tracker, "Log Derived Generated")
"""

NET = '''
from torch import nn

class Net(nn.Module):
    """A network.

    Args:
        in_channels: Of the images.
        num_classes: Of the logits.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1):
        super().__init__()
        self.layer = nn.Conv2d(in_channels, num_classes, 3, padding=1)

    def forward(self, images):
        return self.change(self.layer(images))

    def change(self, logits):
        return logits
'''

# Without a constructor, as many are.
PLAIN = '''
from dataclasses import dataclass
import numpy as np
from segreg.contracts import RunTracker

class Log:
    """Hears everything."""
    def begin(self, directory, recipe, rows): pass
    def epoch(self, row): pass
    def finish(self, results, images): pass
    def close(self): pass

class Derived(RunTracker):
    """Is derived from the contract."""
    begin, epoch, finish, close = Log.begin, Log.epoch, Log.finish, Log.close

@dataclass(kw_only=True)
class Generated(Log):
    """Has a constructor that is generated.

    Args:
        every: Number of epochs.
    """
    every: int = 1

class Pairs:
    """Three images for each split."""
    classes = ("thing",)
    splits = {
        name: [(np.full((4, 5, 3), 9 * start + i, np.uint8), np.full((4, 5), i % 2, np.uint8)) for i in range(3)]
        for start, name in enumerate(("train", "valid"))
    }

class Keeping(Pairs):
    """Inherits everything."""
'''


@pytest.fixture
def parts(site: Site) -> Iterator[Path]:
    """The module with the components of a plugin called `mine`."""
    site.install("mine", HOOKS)
    registry.cache_clear()
    yield site.path / "mine_parts.py"
    registry.cache_clear()


def test_it_prints_a_table_and_fails() -> None:
    status, out, err = call("check", "faulty/sound", "faulty/excused", "faulty/has-a-reference")
    assert status == 1
    assert "checking architecture faulty/sound" in err
    lines = out.splitlines()
    rows = {tuple(line.split()[:7]) for line in lines}
    assert ("architecture", "faulty/sound", "24", "24", "0", "0", "0") in rows
    assert ("architecture", "faulty/excused", "24", "21", "2", "1", "0") in rows
    assert "failed as expected: architecture faulty/excused: every-parameter-learns: one layer is dead" in lines
    assert any(line.startswith("failed: architecture faulty/excused: batch-of-one: it passes now") for line in lines)
    assert lines[-1] == "72 checks: 68 passed, 2 failed, 1 failed as expected, 1 advice"
    status, out, _ = call("check", "faulty/sound", "-q")
    assert status == 0
    assert out.splitlines()[-1] == "24 checks: 24 passed"


def test_a_component_that_exits_fails_without_ending_the_process() -> None:
    status, out, err = call("check", "faulty/exits", "-q")
    assert status == 1
    assert re.search(r"\nfailed: architecture faulty/exits: .* SystemExit: 0 \(.*architectures\.py:\d+\)\n", out)
    assert "printed" not in out
    assert "printed" in err
    status, out, err = call("check", "faulty/exits", "-q", "-v")
    assert out.count("raise SystemExit(0)") == 1


POSITIONAL = r"TypeError: its parameter 'width' must be keyword-only and typed, as in `\*, width: int = 64`"


@pytest.mark.parametrize(
    ("source", "line", "cause"),
    [
        (NET.replace("(self, *,", "(self, width=8, *,"), "def __init__", POSITIONAL),
        (NET.replace("num_classes: int = 1", "num_classes=1"), "def __init__", "must be keyword-only and typed"),
        (NET.replace("super()", "super(") + "\n", "super(", "SyntaxError"),
        ("import os\n" + NET.replace("import nn", "import nothing"), "import nothing", "ImportError"),
        (
            NET.replace("return logits\n", "return logits.missing()\n"),
            "logits.missing()",
            "AttributeError: 'Tensor' object",
        ),
        (NET.replace("super().__init__()", "super().__init__(); 1 / 0"), "1 / 0", "ZeroDivisionError"),
    ],
)
def test_each_cause_is_printed_once_with_the_line_of_its_author(
    parts: Path, monkeypatch: pytest.MonkeyPatch, source: str, line: str, cause: str
) -> None:
    parts.write_text(source)
    monkeypatch.chdir(parts.parent)
    status, out, _ = call("check", "mine/net", "mine/twin", "-q")
    assert status == 1
    [number] = [number for number, text in enumerate(source.splitlines(), 1) if line in text]
    printed = [text for text in out.splitlines() if text.startswith(("failed", "advice"))]
    assert len(printed) == 1
    assert re.fullmatch(
        rf"failed: architecture mine/net, architecture mine/twin: \S+, \S+, \S+ and \d+ more: .*{cause}.* "
        rf"\(mine_parts.py:{number}\)",
        printed[0],
    )


def test_what_was_found_is_printed_once_with_the_line_where_the_component_begins(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.write_text(NET.replace("return logits\n", "return logits.sigmoid()\n"))
    monkeypatch.chdir(parts.parent)
    _, out, _ = call("check", "mine/net", "mine/twin", "-q")
    [number] = [number for number, text in enumerate(NET.splitlines(), 1) if text.startswith("class Net")]
    [line] = [line for line in out.splitlines() if "logits-are-not-activated" in line]
    assert line.startswith("failed: architecture mine/net, architecture mine/twin: logits-are-not-activated: whatever")
    assert line.endswith(f"leave the activation to the loss (mine_parts.py:{number})")


@pytest.mark.parametrize("name", ["log", "derived", "generated", "pairs", "keeping"])
def test_a_class_without_a_constructor_passes(parts: Path, name: str) -> None:
    parts.write_text(PLAIN)
    outcomes = {case.check.name: case.outcome() for case in conformance_cases(f"mine/{name}")}
    assert {name: outcome.reason for name, outcome in outcomes.items() if outcome.status != "passed"} == {}
    assert len(outcomes) > 8


@pytest.mark.parametrize(
    ("at_import", "objection"),
    [
        ("import torch; torch.set_num_threads(1)", "modifies the number of threads, from 3 to 1"),
        ("import torch; torch.manual_seed(0)", "modifies torch's random number generator"),
        ("import numpy; numpy.random.seed(0)", "modifies NumPy's random number generator"),
        ("import os; os.chdir('/')", "modifies the current directory"),
    ],
)
def test_a_module_that_changes_the_process_when_it_is_imported_fails(
    parts: Path, at_import: str, objection: str
) -> None:
    parts.write_text(f"{at_import}\n{NET}")
    [case] = [
        case for case in conformance_cases("mine") if case.__name__ == "plugin mine: global-state-is-not-modified"
    ]
    outcome = case.outcome()
    assert outcome.status == "failed"
    assert outcome.reason.startswith(f"importing mine_parts:Net {objection}")
