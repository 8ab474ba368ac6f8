"""Trackers that remove what is not theirs, or change the process that trains."""

import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segreg_faulty.trackers import Sound


class DeletesSamples(Sound):
    """Frees disk space when the run is finished."""

    def finish(self, results: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        (self.folder / "samples.png").unlink(missing_ok=True)


class DeletesNotes(Sound):
    """Starts in a directory without files of others."""

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        super().begin(directory, recipe, rows)
        for path in directory.iterdir():
            if path.suffix not in (".toml", ".csv", ".json", ".safetensors") and path.is_file():
                path.unlink()


class DeletesTheRun(Sound):
    """Cleans up when it is closed."""

    def close(self) -> None:
        if self.heard:
            shutil.rmtree(self.folder)


class DeletesOnResuming(Sound):
    """Drops what the interrupted run has left."""

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        super().begin(directory, recipe, rows)
        if rows:
            shutil.rmtree(directory / "checkpoint")


class DeletesOtherRuns(Sound):
    """Keeps only the latest run."""

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        super().begin(directory, recipe, rows)
        # Never anything but a run: the check puts one beside it, and a kit without the check must lose nothing.
        for other in directory.parent.glob("*/recipe.toml"):
            if other.parent != directory:
                other.unlink()


class ClearsTheDirectory(Sound):
    """Takes the current directory for its own, where it finds notes."""

    def epoch(self, row: Mapping[str, float]) -> None:
        for path in Path().glob("notes.txt"):
            path.unlink()


class RenamesTheHistory(Sound):
    """Puts a link in the place of the history."""

    def finish(self, results: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        (self.folder / "history.csv").rename(self.folder / "old.csv")
        (self.folder / "history.csv").symlink_to("old.csv")


class SwitchesGradientsOff(Sound):
    """Wants no gradients."""

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        super().begin(directory, recipe, rows)
        torch.set_grad_enabled(False)


class SwitchesGradientsOffWhenBuilt(Sound):
    """Wants no gradients, from the beginning."""

    def __init__(self) -> None:
        super().__init__()
        torch.set_grad_enabled(False)


class SetsTheDevice(Sound):
    """Puts every new tensor elsewhere."""

    def epoch(self, row: Mapping[str, float]) -> None:
        torch.set_default_device("meta")


class Reseeds(Sound):
    """Names its logs by a seeded generator."""

    def epoch(self, row: Mapping[str, float]) -> None:
        random.seed(0)
        np.random.seed(0)


class ClosesTheOutput(Sound):
    """Closes what it did not open."""

    def close(self) -> None:
        sys.stdout.close()


class ChangesTheDirectory(Sound):
    """Goes into the run, while training."""

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        super().begin(directory, recipe, rows)
        os.chdir(directory)

    def close(self) -> None:
        os.chdir("/")


class ChangesTheEnvironment(Sound):
    """Turns off progress bars for everybody."""

    def epoch(self, row: Mapping[str, float]) -> None:
        os.environ["TQDM_DISABLE"] = "1"
