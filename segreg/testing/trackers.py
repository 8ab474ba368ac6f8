"""The conformance checks of a tracker: `begin`, `epoch`, `finish`, `close`, for finished and interrupted runs."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from segreg.contracts import RunTracker
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


def _run(subject: ComponentSubject, folder: str) -> None:
    """Report a whole run to a tracker."""
    tracker = subject.build()
    tracker.begin(Path(folder), _RECIPE, [])
    for row in _ROWS:
        tracker.epoch(row)
    tracker.finish(_RESULTS, {"an image": np.zeros((4, 15, 3), np.uint8)})
    tracker.close()


def tracks_a_run(subject: ComponentSubject) -> None:
    """It tracks a run from start to finish, with a value that is `nan` and one that is missing."""
    expect(isinstance(subject.build(), RunTracker), "it lacks one of begin, epoch, finish and close")
    with tempfile.TemporaryDirectory() as folder:
        _run(subject, folder)


def tracks_a_resumed_run(subject: ComponentSubject) -> None:
    """A new instance resumes an interrupted run: it receives the finished epochs, and the last ones again."""
    with tempfile.TemporaryDirectory() as folder:
        for done in (0, 1):
            tracker = subject.build()
            tracker.begin(Path(folder), _RECIPE, _ROWS[:done])
            for row in _ROWS[done:2]:
                tracker.epoch(row)
            tracker.close()


def closes_before_it_begins(subject: ComponentSubject) -> None:
    """It can be closed before `begin`: a run may fail before that."""
    subject.build().close()


def leaves_the_run_alone(subject: ComponentSubject) -> None:
    """It changes neither its arguments nor the files of the run."""
    given = _RECIPE, _ROWS, _RESULTS
    before = copy.deepcopy(given)
    files = ("recipe.toml", "history.csv", "results.json", "model.safetensors", "checkpoint/checkpoint.pt")
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
        _run(subject, folder)
        for name in files:
            path = Path(folder) / name
            expect(path.exists() and path.read_text() == name, f"it changes the file {name} of the run")
    # Not ==, since nan differs from itself.
    expect(repr(given) == repr(before), "it changes its arguments")


CHECKS = (
    Check(tracks_a_run),
    Check(tracks_a_resumed_run),
    Check(closes_before_it_begins),
    Check(leaves_the_run_alone),
)
