"""Trackers that raise, exit, change the process or what they are given: the run is the one without them."""

import os
import random
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import segreg
from segreg.cli.stop import stoppable
from segreg.errors import OptionError, PluginError
from segreg.registry import registry
from segreg.runs.run import Run
from segreg.support.progress import Display
from segreg.training.tracking import Tracking
from tests.conftest import Site
from tests.training.test_tracking import SETTINGS, Listener
from tests.trial import call, without_times

NOTE = "tracker listener failed and is disabled for the rest of this run: "


class Panic(BaseException):
    """As pyo3 raises it for a panic of Rust code."""


class MuteError(Exception):
    """Its message cannot be read."""

    def __str__(self) -> str:
        sys.exit("no message")


class EmptyError(Exception):
    """An error that is false."""

    def __len__(self) -> int:
        return 0


RAISED = [SystemExit(), SystemExit(1), SystemExit(143), SystemExit("not logged in"), Panic("index out of bounds")]
RAISED += [
    GeneratorExit(),
    StopIteration(),
    MemoryError(),
    MuteError(),
    EmptyError(),
    torch.OutOfMemoryError("out of memory"),
]


def raising(error: BaseException) -> Any:
    def raise_it(*_: Any) -> None:
        raise error

    return raise_it


@pytest.mark.parametrize("raised", RAISED, ids=lambda each: f"{type(each).__name__} {each.args}")
@pytest.mark.parametrize("method", ["epoch", "close"])
def test_whatever_a_tracker_raises_becomes_a_note(
    raised: BaseException, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker, other = Listener(), Listener()
    setattr(tracker, method, raising(raised))
    with Display(quiet=True) as display, Tracking({"listener": tracker, "other": other}, display) as tracking:
        tracking.epoch({"epoch": 1})
        tracking.epoch({"epoch": 2})
    err = capsys.readouterr().err
    assert err.startswith(f"{NOTE}{type(raised).__name__}")
    assert err.count("\n") == 1
    assert other.calls == ["epoch", "epoch", "close"]


def test_escape_codes_in_an_error_of_a_tracker_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Listener()
    tracker.epoch = raising(RuntimeError("\x1b]0;owned\x07 a\u202eb"))
    with Display(quiet=True) as display, Tracking({"listener": tracker}, display) as tracking:
        tracking.epoch({"epoch": 1})
    assert capsys.readouterr().err == rf"{NOTE}RuntimeError: \x1b]0;owned\x07 a\u202eb" + "\n"


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return segreg.fit("trial/dot", **SETTINGS, quiet=True, out=tmp_path_factory.mktemp("untracked") / "run")


def assert_same(run: Run, other: Run) -> None:
    assert without_times(run.history) == without_times(other.history)
    assert run.results["metrics"] == other.results["metrics"]
    weights, expected = (load_file(each.path / "model.safetensors") for each in (run, other))
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert (run.path / "samples.png").read_bytes() == (other.path / "samples.png").read_bytes()


def install(site: Site, part: str) -> str:
    """Install a plugin whose tracker is in a module of its own."""
    (site.path / "stranger_part.py").write_text(part)
    hook = "return [Tracker(name='one', target='stranger_part:One', summary='')]"
    site.install("stranger", f"from segreg import Tracker, hookimpl\n@hookimpl\ndef segreg_trackers():\n    {hook}\n")
    registry.cache_clear()
    return "stranger/one"


CONSTRUCTOR = "class One:\n    def __init__(self, *, width: int = 1) -> None:\n        "


@pytest.mark.parametrize(
    "fault", ["import sys; sys.exit(3)", "raise BaseException('panic')", "raise ConnectionError('no server')", "1 / 0"]
)
def test_a_run_goes_without_a_tracker_whose_constructor_fails(
    fault: str, site: Site, untracked: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = install(site, CONSTRUCTOR + fault)
    run = segreg.fit("trial/dot", **SETTINGS, track=[tracker, "trial/diary"], quiet=True, out=tmp_path / "run")
    err = capsys.readouterr().err
    assert err.startswith(f"tracker {tracker} failed and is disabled for the rest of this run: ")
    assert err.count("\n") == 1
    assert (run.path / "diary.txt").read_text().splitlines()[-1] == "close"
    assert_same(run, untracked)


@pytest.mark.parametrize(
    ("part", "options", "kind", "message"),
    [
        ("import package_that_is_not_there", "", PluginError, "No module named 'package_that_is_not_there'"),
        (f"{CONSTRUCTOR}import package_that_is_not_there", "", PluginError, "No module named 'package_that_is_not_"),
        (f"{CONSTRUCTOR}raise ValueError('width is odd')", "", OptionError, "stranger/one: width is odd"),
        (f"{CONSTRUCTOR}pass", ":width=wide", OptionError, "stranger/one: width is 'wide': expected int"),
        (
            f"{CONSTRUCTOR}import segreg; raise segreg.PluginError('it needs: pip install lines')",
            "",
            PluginError,
            "it needs: pip install lines",
        ),
    ],
)
def test_a_missing_package_or_a_wrong_option_is_reported_before_any_image_is_read(
    part: str, options: str, kind: type[Exception], message: str, site: Site, tmp_path: Path
) -> None:
    tracker = install(site, part)
    settings = {**SETTINGS, "data": f"folder:root={tmp_path / 'nowhere'}"}
    with pytest.raises(kind, match=message):
        segreg.fit("trial/dot", **settings, track=tracker + options, quiet=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tracker_is_given_copies_and_an_absolute_path(
    untracked: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []

    class Vandal(parts.Diary):
        def begin(self, directory: Path, recipe: Any, rows: Any) -> None:
            paths.append(directory)
            recipe.clear()
            rows.append("an epoch")

        def epoch(self, row: Any) -> None:
            row.update(dict.fromkeys(row, 0.0))

        def finish(self, results: Any, images: Any) -> None:
            results["metrics"]["valid"].clear()
            results["classes"].clear()
            for image in images.values():
                image[:] = 0

        def close(self) -> None:
            paths.append("closed")

    monkeypatch.setattr(parts, "Diary", Vandal)
    monkeypatch.chdir(tmp_path)
    run = segreg.fit("trial/dot", **SETTINGS, track="trial/diary", quiet=True, out="run")
    # Once more at the beginning, to check that it can be built.
    assert paths == ["closed", tmp_path / "run", "closed"]
    assert_same(run, untracked)
    assert run.results["classes"] == untracked.results["classes"]


def disturb_everything(folder: Path) -> None:
    """Do what would change a run, or where and whether it is written."""
    os.chdir(folder)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = "?"
    os.umask(0o777)
    torch.set_grad_enabled(False)
    torch.inference_mode().__enter__()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_autocast_enabled("cpu", True)
    torch.set_num_threads(3)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True)
    np.seterr(all="raise")
    warnings.simplefilter("error")
    matplotlib.rcParams["figure.facecolor"] = "black"
    matplotlib.rcParams["font.size"] = 30
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]


def test_a_tracker_that_disturbs_everything_at_every_call_changes_nothing(
    untracked: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Disturbing(parts.Diary):
        def __init__(self) -> None:
            super().__init__()
            self.write("make")

        def write(self, *words: Any) -> None:
            disturb_everything(tmp_path)

    monkeypatch.setattr(parts, "Diary", Disturbing)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run = segreg.fit("trial/dot", **SETTINGS, track="trial/diary", quiet=True, out="run")
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]
    assert_same(run, untracked)


def signalled(number: int, then: str) -> Any:
    """A tracker's method during which a signal comes, whose exception it handles in some way."""

    def method(*_: Any) -> None:
        try:
            signal.raise_signal(number)
        except BaseException as error:
            if then == "raises":
                raise
            if then == "raises another":
                raise RuntimeError("interrupted") from error
            if then == "exits":
                sys.exit(1)

    return method


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize("then", ["raises", "raises another", "exits", "goes on"])
def test_a_signal_during_a_tracker_call_ends_the_run(
    handlers: None, number: int, kind: type[BaseException], then: str
) -> None:
    tracker, other = Listener(), Listener()
    tracker.epoch = signalled(number, then)
    tracked = Tracking({"listener": tracker, "other": other}, Display(quiet=True))
    with pytest.raises(kind) as left, stoppable(), tracked as tracking:
        tracking.epoch({"epoch": 1})
    assert tracker.calls == other.calls == ["close"]
    if kind is SystemExit:
        assert left.value.code == 128 + number


def test_an_interrupt_without_a_signal_is_an_error_on_the_command_line_only(
    handlers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = Listener()
    tracker.epoch = raising(KeyboardInterrupt())
    with stoppable(), Tracking({"listener": tracker}, Display(quiet=True)) as tracking:
        tracking.epoch({"epoch": 1})
    assert capsys.readouterr().err == f"{NOTE}KeyboardInterrupt\n"
    with pytest.raises(KeyboardInterrupt), Tracking({"listener": tracker}, Display(quiet=True)) as tracking:
        tracking.epoch({"epoch": 1})


def test_after_a_signal_errors_of_closing_trackers_are_notes(
    handlers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker, other = Listener(), Listener()
    tracker.close = raising(SystemExit(1))
    tracked = Tracking({"listener": tracker, "other": other}, Display(quiet=True))
    with pytest.raises(SystemExit) as left, stoppable(), tracked:
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143
    assert capsys.readouterr().err.startswith(f"{NOTE}SystemExit")
    assert other.calls == ["close"]


def test_the_command_finishes_with_a_tracker_that_exits(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaving(parts.Diary):
        def write(self, *words: Any) -> None:
            sys.exit(130)

    monkeypatch.setattr(parts, "Diary", Leaving)
    words = [
        "--data",
        "trial/bands:train=4,valid=2",
        "--size",
        "8",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--batch",
        "2",
        "-q",
    ]
    words += ["--batch", "2", "--track", "trial/diary", "--out", str(tmp_path / "run")]
    status, out, err = call("train", "trial/dot", *words)
    assert (status, err) == (
        0,
        "tracker trial/diary failed and is disabled for the rest of this run: SystemExit: 130\n",
    )
    assert Run(tmp_path / "run").finished
    assert out.endswith(f"run: {tmp_path / 'run'}\n")
