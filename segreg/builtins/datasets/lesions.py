"""The embedded dataset: synthetic dermoscopy images with exact masks."""

import math
from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np

from segreg.builtins.datasets.dermoscopy import draw
from segreg.contracts import Sample

_SPLITS = ("train", "valid", "test")


class Lesions:
    """Synthetic images of skin lesions as seen through a dermatoscope. Nothing is downloaded or read.

    A sample depends on `seed`, its split and its index in the split, so more images, or larger ones, show the same
    lesions. It is drawn on first access, and cached.

    Args:
        size: Height and width, in pixels, 32 to 4096.
        train: Number of images to train on, 1 to 1000000.
        valid: Number of images to validate on, 1 to 1000000.
        test: Number of images to test on, 1 to 1000000.
        seed: Seed of the drawings, 0 or more.

    Raises:
        ValueError: an option is out of range.
    """

    classes: Sequence[str] = ("lesion",)
    splits: Mapping[str, Sequence[Sample]]

    def __init__(self, *, size: int = 128, train: int = 96, valid: int = 48, test: int = 48, seed: int = 0) -> None:
        for option, value, low, high in (
            ("size", size, 32, 4096),
            ("train", train, 1, 10**6),
            ("valid", valid, 1, 10**6),
            ("test", test, 1, 10**6),
            ("seed", seed, 0, math.inf),
        ):
            if value < low:
                raise ValueError(f"{option} is {value!r}: expected {low} or more")
            if value > high:
                raise ValueError(f"{option} is {value!r}: expected {high} or less")
        counts = {"train": train, "valid": valid, "test": test}
        self.splits = {split: Drawings(split, count, size=size, seed=seed) for split, count in counts.items()}


class Drawings(Sequence[Sample]):
    """A split: images that are drawn on first access. It can be pickled.

    Args:
        split: "train", "valid" or "test".
        count: Number of images.
        size: Height and width, in pixels.
        seed: The dataset's seed.
    """

    def __init__(self, split: str, count: int, *, size: int, seed: int) -> None:
        self.names = tuple(f"{split}-{index:04d}" for index in range(count))
        self._entropy = (seed, _SPLITS.index(split))
        self._size = size
        self._drawn: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Count the images."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Return an image with its mask, or a list of them.

        Shapes:
            returns: image uint8 [size, size, 3] and mask uint8 [size, size].
        """
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        index = range(len(self))[index]
        if index not in self._drawn:
            self._drawn[index] = draw(np.random.default_rng((*self._entropy, index)), self._size)
        image, mask = self._drawn[index]
        return image.copy(), mask.copy()
