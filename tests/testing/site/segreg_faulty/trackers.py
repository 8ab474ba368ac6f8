"""Trackers that each break one promise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Sound:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        self.folder = directory
        self.heard = [recipe, *rows]

    def epoch(self, row: Mapping[str, float]) -> None:
        self.heard.append(row)

    def finish(self, results: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        self.heard.append(results)

    def close(self) -> None:
        pass


class HearsARun(Sound):
    """Counts on every metric to have a value."""

    def finish(self, results: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        self.heard = [float(value) for metrics in results["metrics"].values() for value in metrics.values()]


class HearsARunThatGoesOn(Sound):
    """Makes a folder that may be there already."""

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        (directory / "log").mkdir()


class ClosesBeforeItBegins(Sound):
    """Closes what only `begin` opens."""

    def close(self) -> None:
        self.folder.is_dir()


class LeavesTheRunAlone(Sound):
    """Writes its own history."""

    def epoch(self, row: Mapping[str, float]) -> None:
        (self.folder / "history.csv").write_text(str(row))


class LeavesWhatItIsGiven(Sound):
    """Takes rows apart."""

    def epoch(self, row: Any) -> None:
        row["epoch"] = float(row["epoch"])
