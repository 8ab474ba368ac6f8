"""The trackers of a run: they are notified of its progress, and cannot stop it."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segreg.contracts import RunTracker
from segreg.errors import OptionError, PluginError
from segreg.isolation import Caught
from segreg.plugins import one_line
from segreg.recipe import Recipe
from segreg.runs.history import EpochRecord
from segreg.runs.run import Run
from segreg.support.global_state import global_state_kept
from segreg.support.progress import Display
from segreg.support.render import overlay, rgb_view
from segreg.task import Task


def build_trackers(recipe: Recipe, display: Display) -> dict[str, RunTracker]:
    """Build the trackers of a recipe, by name; a note says which ones fail."""
    trackers: dict[str, RunTracker] = {}
    for tracker in recipe.components["tracker"]:
        name = str(tracker.expression)
        with _guarded() as caught:
            trackers[name] = tracker.build()
        if caught.failed:
            _note(display, name, caught.error)
    return trackers


def check_trackers(recipe: Recipe) -> None:
    """Build each tracker of a recipe and close it again, to check that it can be built.

    Raises:
        PluginError, OptionError: a tracker needs a package that is not installed, or does not accept its options.
            Anything else that its constructor raises is left to `build_trackers`.
    """
    for tracker in recipe.components["tracker"]:
        with _guarded() as caught:
            built = tracker.build()
        if not caught.failed:
            with _guarded():
                built.close()
        elif isinstance(caught.error, ImportError):
            raise PluginError(
                f"tracker {tracker.expression} cannot be built: {one_line(caught.error)}"
            ) from caught.error
        elif _is_mistake(caught.error):
            raise caught.error


class Tracking:
    """Notifies trackers of the progress of a run. One that raises is disabled for the rest of it.

    A tracker is given copies, and what it changes in the process is restored. Used as a context manager.

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
        with ExitStack() as stack:
            # All of them, even if a signal interrupts one.
            for name, tracker in reversed(self._trackers.items()):
                stack.callback(self._call, name, tracker, _close)

    def begin(self, run: Run, recipe: Recipe, history: Sequence[EpochRecord]) -> None:
        """Notify the trackers that a run starts, or resumes after these epochs."""
        rows = [dict(record) for record in history]
        self._notify(lambda tracker: tracker.begin(run.path.absolute(), *copy.deepcopy((recipe.to_dict(), rows))))

    def epoch(self, record: EpochRecord) -> None:
        """Pass on the values of an epoch."""
        self._notify(lambda tracker: tracker.epoch(dict(record)))

    def finish(
        self, results: Mapping[str, Any], samples: Mapping[str, Tensor], names: Sequence[str], task: Task
    ) -> None:
        """Pass on the results of the run."""
        self._notify(lambda tracker: tracker.finish(copy.deepcopy(results), _images(samples, names, task)))

    def _notify(self, call: Callable[[RunTracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            if not self._call(name, tracker, call):
                del self._trackers[name]
                with _guarded():
                    tracker.close()

    def _call(self, name: str, tracker: RunTracker, call: Callable[[RunTracker], None]) -> bool:
        """Call a tracker, and return whether it succeeded."""
        with _guarded() as caught:
            call(tracker)
        if caught.failed:
            _note(self._display, name, caught.error)
        return not caught.failed


@contextmanager
def _guarded() -> Iterator[Caught]:
    """Catch whatever a tracker raises, and restore what it changes in the process."""
    with Caught() as caught, global_state_kept():
        yield caught


def _is_mistake(error: BaseException) -> bool:
    """Whether the user can put it right: an option, or a package that is missing or that the tracker itself names."""
    if isinstance(error, PluginError):
        return error.__cause__ is None or isinstance(error.__cause__, ImportError)
    return isinstance(error, OptionError)


def _note(display: Display, name: str, error: BaseException) -> None:
    display.note(f"tracker {name} failed and is disabled for the rest of this run: {one_line(error)}")


def _close(tracker: RunTracker) -> None:
    tracker.close()


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
