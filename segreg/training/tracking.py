"""The trackers of a run: they are told how it goes, and cannot stop it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
from torch import Tensor

from segreg.contracts import RunTracker
from segreg.plugins import one_line
from segreg.registry import registry
from segreg.training.plots import overlay, shown_picture
from segreg.training.progress import Display
from segreg.training.recipe import Recipe
from segreg.training.run import Row, Run


def build_trackers(recipe: Recipe) -> dict[str, RunTracker]:
    """Build the trackers of a recipe, by name.

    Raises:
        PluginError, OptionError: a tracker lacks a package, or cannot be built as the recipe says.
    """
    return {name: registry().build("tracker", name) for name in recipe.track}


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
        self._tell("close")

    def begin(self, run: Run, recipe: Recipe, rows: Sequence[Row]) -> None:
        """Say that a run begins, or goes on after these epochs."""
        self._tell("begin", run.path, recipe.to_dict(), [dict(row) for row in rows])

    def epoch(self, row: Row) -> None:
        """Say how an epoch went."""
        self._tell("epoch", dict(row))

    def finish(
        self, results: Mapping[str, Any], samples: Mapping[str, Tensor], names: Sequence[str], num_classes: int
    ) -> None:
        """Say how the run ended."""
        if not self._trackers:
            return
        pictures = {}
        for name, image, mask, prediction in zip(
            names, samples["images"], samples["masks"], samples["predictions"], strict=True
        ):
            picture = shown_picture(image.numpy())
            layers = [overlay(picture, classes.numpy(), num_classes) for classes in (mask, prediction)]
            pictures[name] = np.concatenate([picture, *layers], axis=1)
        self._tell("finish", results, pictures)

    def _tell(self, what: str, *about: Any) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                getattr(tracker, what)(*about)
            # Whatever it is, the run is worth more.
            except Exception as error:
                del self._trackers[name]
                if what != "close":
                    with suppress(Exception):
                        tracker.close()
                self._display.note(f"the tracker {name} is told no more: {one_line(error)}")
