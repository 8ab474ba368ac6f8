"""The trackers of a run: they are notified of its progress, and cannot stop it."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segreg.contracts import RunTracker
from segreg.plugins import one_line
from segreg.recipe import Recipe
from segreg.runs.history import EpochRecord
from segreg.runs.run import Run
from segreg.support.progress import Display
from segreg.support.render import overlay, rgb_view
from segreg.task import Task


def build_trackers(recipe: Recipe) -> dict[str, RunTracker]:
    """Build the trackers of a recipe, by name.

    Raises:
        PluginError, OptionError: a tracker needs a package that is not installed, or cannot be built with its options.
    """
    return {str(tracker.expression): tracker.build() for tracker in recipe.components["tracker"]}


def check_trackers(recipe: Recipe) -> None:
    """Build each tracker of a recipe and close it again, to check that it can be built.

    Raises:
        PluginError, OptionError: as for `build_trackers`.
    """
    for tracker in recipe.components["tracker"]:
        _failure(tracker.build(), _close)


class Tracking:
    """Notifies trackers of the progress of a run. One that raises is disabled for the rest of it.

    Used as a context manager.

    Args:
        trackers: By name.
        display: Shows which tracker failed, and why.
    """

    def __init__(self, trackers: Mapping[str, RunTracker], display: Display) -> None:
        self._trackers = dict(trackers)
        self._display = display

    def __enter__(self) -> Self:
        """Do nothing: `begin` starts the trackers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the trackers."""
        for name, tracker in self._trackers.items():
            if (raised := _failure(tracker, _close)) is not None:
                self._note(name, raised)

    def begin(self, run: Run, recipe: Recipe, history: Sequence[EpochRecord]) -> None:
        """Notify the trackers that a run starts, or resumes after these epochs."""
        self._notify(lambda tracker: tracker.begin(run.path, recipe.to_dict(), [dict(record) for record in history]))

    def epoch(self, record: EpochRecord) -> None:
        """Pass on the values of an epoch."""
        self._notify(lambda tracker: tracker.epoch(dict(record)))

    def finish(
        self, results: Mapping[str, Any], samples: Mapping[str, Tensor], names: Sequence[str], task: Task
    ) -> None:
        """Pass on the results of the run."""
        self._notify(lambda tracker: tracker.finish(results, _images(samples, names, task)))

    def _notify(self, call: Callable[[RunTracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            if (error := _failure(tracker, call)) is not None:
                del self._trackers[name]
                _failure(tracker, _close)
                self._note(name, error)

    def _note(self, name: str, error: BaseException) -> None:
        self._display.note(f"tracker {name} failed and is disabled for the rest of this run: {one_line(error)}")


def _close(tracker: RunTracker) -> None:
    tracker.close()


def _failure(tracker: RunTracker, call: Callable[[RunTracker], None]) -> BaseException | None:
    """Return what a tracker raises when it is called: whatever it is, the run must not fail for it."""
    try:
        call(tracker)
    except Exception as error:
        return error
    except SystemExit as error:
        # The exit status of a signal: it arrived while the tracker was running, and is meant for the run.
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
