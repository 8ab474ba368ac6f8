"""The trackers of a run: they are told how it goes, and cannot stop it."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segreg.contracts import RunTracker
from segreg.plugins import one_line
from segreg.recipe import Recipe
from segreg.runs.run import Row, Run
from segreg.support.progress import Display
from segreg.support.render import overlay, rgb_view
from segreg.task import Task


def build_trackers(recipe: Recipe) -> dict[str, RunTracker]:
    """Build the trackers of a recipe, by name.

    Raises:
        PluginError, OptionError: a tracker lacks a package, or cannot be built as the recipe says.
    """
    return {str(tracker.expression): tracker.build() for tracker in recipe.components["tracker"]}


def check_trackers(recipe: Recipe) -> None:
    """Build each tracker of a recipe and close it again, to see that it can be built.

    Raises:
        PluginError, OptionError: as for `build_trackers`.
    """
    for tracker in recipe.components["tracker"]:
        _failure(tracker.build(), _close)


class Tracking:
    """Tells trackers how a run goes. One that raises is told no more. Used as a context manager.

    Args:
        trackers: By name.
        display: Where it is said that one raised.
    """

    def __init__(self, trackers: Mapping[str, RunTracker], display: Display) -> None:
        self._trackers = dict(trackers)
        self._display = display

    def __enter__(self) -> Self:
        """Do nothing: it begins with `begin`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the trackers."""
        for name, tracker in self._trackers.items():
            if (raised := _failure(tracker, _close)) is not None:
                self._note(name, raised)

    def begin(self, run: Run, recipe: Recipe, rows: Sequence[Row]) -> None:
        """Say that a run begins, or goes on after these epochs."""
        self._tell(lambda tracker: tracker.begin(run.path, recipe.to_dict(), [dict(row) for row in rows]))

    def epoch(self, row: Row) -> None:
        """Say how an epoch went."""
        self._tell(lambda tracker: tracker.epoch(dict(row)))

    def finish(
        self, results: Mapping[str, Any], samples: Mapping[str, Tensor], names: Sequence[str], task: Task
    ) -> None:
        """Say how the run ended."""
        self._tell(lambda tracker: tracker.finish(results, _images(samples, names, task)))

    def _tell(self, tell: Callable[[RunTracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            if (error := _failure(tracker, tell)) is not None:
                del self._trackers[name]
                _failure(tracker, _close)
                self._note(name, error)

    def _note(self, name: str, error: BaseException) -> None:
        self._display.note(f"the tracker {name} is told no more: {one_line(error)}")


def _close(tracker: RunTracker) -> None:
    tracker.close()


def _failure(tracker: RunTracker, tell: Callable[[RunTracker], None]) -> BaseException | None:
    """Return what a tracker raises when it is told something: whatever it is, the run is worth more."""
    try:
        tell(tracker)
    except Exception as error:
        return error
    except SystemExit as error:
        # The status of a signal: it came while the tracker was at work, and is meant for the run.
        if isinstance(error.code, int) and error.code > 128:
            raise
        return error
    return None


def _images(samples: Mapping[str, Tensor], names: Sequence[str], task: Task) -> dict[str, npt.NDArray[np.uint8]]:
    """Put image, ground truth and prediction side by side."""
    images = {}
    for name, image, mask, prediction in zip(
        names, samples["images"], samples["masks"], samples["predictions"], strict=True
    ):
        view = rgb_view(image.numpy())
        layers = [overlay(view, classes.numpy(), task) for classes in (mask, prediction)]
        images[name] = np.concatenate([view, *layers], axis=1)
    return images
