"""Weights of classes that follow from how often the classes occur in the training images."""

from collections.abc import Sequence
from statistics import median
from typing import Literal, TypeAlias

Balance: TypeAlias = Literal["balanced", "median-frequency"]


def weights_of_classes(balance: Balance, pixels: Sequence[int], image_pixels: Sequence[int]) -> tuple[float, ...]:
    """Return a weight for each class; one that does not occur has weight 0, and counts as none of the classes.

    `balanced` gives every class the same sum of weights, and the pixels a mean weight of 1: all pixels, divided by the
    number of classes and by the pixels of the class. `median-frequency` is the median of the frequencies divided by
    that of the class, where a class's frequency is its share of the pixels of those images in which it occurs.

    Args:
        balance: How to weigh.
        pixels: The pixels of each class.
        image_pixels: The pixels of the images in which each class occurs.

    Raises:
        ValueError: no class occurs.

    Reference: Eigen and Fergus, Predicting Depth, Surface Normals and Semantic Labels, 2015, arXiv:1411.4734, section
        6.3.2, for `median-frequency`.
    """
    check_counted(balance, pixels)
    if balance == "balanced":
        share = sum(pixels) / sum(count > 0 for count in pixels)
        return tuple(share / count if count else 0.0 for count in pixels)
    frequencies = [count / of if count else 0.0 for count, of in zip(pixels, image_pixels, strict=True)]
    middle = median(filter(None, frequencies))
    return tuple(middle / frequency if frequency else 0.0 for frequency in frequencies)


def check_counted(balance: str, pixels: Sequence[int]) -> None:
    """Raise `ValueError` unless there are training pixels to balance by."""
    if not pixels:
        raise ValueError(f"{balance!r} follows from the training images: train with it, or pass class_pixels")
    if not any(pixels):
        raise ValueError(f"{balance!r} needs training pixels that are not ignored, and there are none")
