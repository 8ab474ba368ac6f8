"""The conformance checks of a tracker: `begin`, `epoch`, `finish`, `close`, for finished and interrupted runs."""

import copy
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from segreg.contracts import RunTracker
from segreg.testing.process import expect_no_global_change
from segreg.testing.subject import Check, ComponentSubject, expect

_RECIPE: dict[str, Any] = {"model": "unet", "loss": "bce", "metrics": ("iou",), "size": (4, 5), "epochs": 3, "lr": 1e-3}
_ROWS = [
    {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "train_iou": 0.5,
        "valid_loss": float("nan") if epoch == 2 else 0.7,
        "valid_iou": 0.4,
        "lr": 1e-3,
        "seconds": 2.5,
        "images_per_second": 8.0,
    }
    for epoch in (1, 2, 3)
]
_RESULTS: dict[str, Any] = {
    "epoch": 3,
    "metrics": {"train": {"iou": 0.5}, "valid": {"iou": None}},
    "classes": ["a thing"],
    "images": {"train": 4, "valid": 2},
    "parameters": 12,
    "seconds": 7.5,
    "images_per_second": 8.0,
    "device": "cpu",
}


# What others have written into a run when a tracker is called.
_FILES = (
    "recipe.toml",
    "history.csv",
    "splits.csv",
    "skipped.csv",
    "results.json",
    "model.safetensors",
    "samples.safetensors",
    "samples.png",
    "curves.png",
    "checkpoint/checkpoint.pt",
    "worst/1.png",
    "notes.txt",
    "another/log.bin",
)


def _run(subject: ComponentSubject, folder: Path) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """Report a whole run to a tracker."""
    tracker = subject.build()
    yield "building it", []
    tracker.begin(folder, _RECIPE, [])
    yield "begin()", []
    for row in _ROWS:
        tracker.epoch(row)
        yield "epoch()", []
    tracker.finish(_RESULTS, {"an image": np.zeros((4, 15, 3), np.uint8)})
    yield "finish()", []
    tracker.close()
    yield "close()", []


def _resumed_run(subject: ComponentSubject, folder: Path) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """Report a run that is interrupted twice, each time to a new tracker."""
    for done in (0, 1):
        tracker = subject.build()
        tracker.begin(folder, _RECIPE, _ROWS[:done])
        for row in _ROWS[done:2]:
            tracker.epoch(row)
        tracker.close()
        yield "close()", []


def tracks_a_run(subject: ComponentSubject) -> None:
    """It tracks a run from start to finish, with a value that is `nan` and one that is missing."""
    expect(isinstance(subject.build(), RunTracker), "it lacks one of begin, epoch, finish and close")
    with _place() as folder:
        _exhaust(_run(subject, folder))


def tracks_a_resumed_run(subject: ComponentSubject) -> None:
    """A new instance resumes an interrupted run: it receives the finished epochs, and the last ones again."""
    with _place() as folder:
        _exhaust(_resumed_run(subject, folder))


def closes_before_it_begins(subject: ComponentSubject) -> None:
    """It can be closed before `begin`: a run may fail before that."""
    with _place():
        subject.build().close()


def leaves_the_run_alone(subject: ComponentSubject) -> None:
    """It changes neither its arguments nor any file of the run, of other runs or of the current directory."""
    given = _RECIPE, _ROWS, _RESULTS
    before = copy.deepcopy(given)
    for use in (_run, _resumed_run):
        with _place() as folder:
            everything = folder.parents[1]
            files = _contents(everything)
            for what, _ in use(subject, folder):
                now = _contents(everything)
                for name in files:
                    of_run = name == "runs/this" or name.startswith("runs/this/")
                    whose = "of the run" if of_run else "which is not of the run"
                    expect(now.get(name) == files[name], f"{what} changes {name}, {whose}")
    # Not ==, since nan differs from itself.
    expect(repr(given) == repr(before), "it changes its arguments")


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """It changes nothing of the process: gradient mode, other settings, directory, streams, random numbers."""
    with _place() as folder:
        expect_no_global_change(lambda: _run(subject, folder))


def _exhaust(steps: Iterable[object]) -> None:
    for _ in steps:
        pass


@contextmanager
def _place() -> Iterator[Path]:
    """Yield the directory of a run, beside another one, with the files of a run; the current directory is elsewhere."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in (*(f"runs/{run}/{file}" for run in ("this", "other") for file in _FILES), "here/notes.txt"):
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        os.chdir(place / "here")
        try:
            yield place / "runs" / "this"
        finally:
            os.chdir(before)


def _contents(folder: Path) -> dict[str, object]:
    """Return what each file is and holds, by its path."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.is_file() and path.read_bytes())
        for path in folder.rglob("*")
    }


CHECKS = (
    Check(tracks_a_run),
    Check(tracks_a_resumed_run),
    Check(closes_before_it_begins),
    Check(leaves_the_run_alone),
    Check(global_state_is_not_modified),
)
