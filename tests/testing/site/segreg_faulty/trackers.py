"""Trackers that each violate one requirement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Sound:
    """Records what it receives."""

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


class TracksARun(Sound):
    """Relies on every metric having a value."""

    def finish(self, results: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        self.heard = [float(value) for metrics in results["metrics"].values() for value in metrics.values()]


class TracksAResumedRun(Sound):
    """Creates a folder that may already exist."""

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
    """Empties the rows that it receives."""

    def epoch(self, row: Any) -> None:
        row["epoch"] = float(row["epoch"])
