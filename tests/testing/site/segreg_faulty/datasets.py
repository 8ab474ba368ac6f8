"""Datasets that each violate one requirement."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Sound:
    """A few images of noise.

    Args:
        root: Not needed.
    """

    classes: Sequence[str] = ("thing",)

    def __init__(self, *, root: str | None = None) -> None:
        self.splits: Mapping[str, Any] = {"train": self.samples(0), "valid": self.samples(1)}

    def samples(self, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
        return [(image, (image[..., 0] > 99).astype(np.uint8)) for image in images]


class HasClassesAndSplits(Sound):
    """Names a split differently."""

    def __init__(self, *, root: str | None = None) -> None:
        self.splits = {"train": self.samples(0), "val": self.samples(1)}


class SamplesHaveTheirForm(Sound):
    """Gives floats."""

    def samples(self, seed: int) -> Any:
        return [(image / 255, mask) for image, mask in super().samples(seed)]


class MasksNameClasses(Sound):
    """Leaves grey values in its masks."""

    def samples(self, seed: int) -> Any:
        return [(image, mask * np.uint8(254)) for image, mask in super().samples(seed)]


class AccessIsRepeatable(Sound):
    """Draws other images each time it is opened."""

    opened = 0

    def samples(self, seed: int) -> Any:
        AccessIsRepeatable.opened += 1
        return super().samples(AccessIsRepeatable.opened)


class SplitsEnd(Sound):
    """Starts over after the end."""

    def samples(self, seed: int) -> Any:
        return Endless(super().samples(seed))


class Endless(list[Any]):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index % len(self))


class SplitsAreDisjoint(Sound):
    """Validates on what it trains on."""

    def samples(self, seed: int) -> Any:
        return super().samples(0)


class SplitsGoToWorkers(Sound):
    """Holds on to a function that cannot be pickled."""

    def samples(self, seed: int) -> Any:
        samples = Endless(super().samples(seed))
        samples.transform = lambda sample: sample
        return samples
