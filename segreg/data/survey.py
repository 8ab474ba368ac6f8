"""What is counted in the images and masks of a split: pixels of each class, and the mean and deviation of channels."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from segreg.task import Task

if TYPE_CHECKING:
    from segreg.data.split import Split

_AT_ONCE = 32
_VALUES = 256


def count_classes(split: "Split", task: Task) -> Tensor:
    """Count the pixels of each image by their value in the mask. Ignored pixels are not counted.

    Shapes:
        returns: int64 [N, task.num_values].
    """
    counts = [torch.bincount(mask.flatten(), minlength=_VALUES) for _, masks in _portions(split) for mask in masks]
    return torch.stack(counts)[:, : task.num_values]


def mean_and_deviation(split: "Split") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel over all pixels of all images, of images in [0, 1].

    They follow from a histogram, so they do not depend on the order of the images or on how often it is computed.
    """
    histogram = sum(_histogram(images) for images, _ in _portions(split))
    assert isinstance(histogram, Tensor)
    values = torch.arange(_VALUES, dtype=torch.float64) / (_VALUES - 1)
    shares = histogram.double() / histogram.sum(dim=1, keepdim=True)
    mean = shares @ values
    deviation = (shares * (values - mean[:, None]).square()).sum(dim=1).sqrt()
    return tuple(mean.tolist()), tuple(deviation.tolist())


def _portions(split: "Split") -> Iterator[tuple[Tensor, Tensor]]:
    for first in range(0, len(split), _AT_ONCE):
        yield split.take(range(first, min(first + _AT_ONCE, len(split))))


def _histogram(images: Tensor) -> Tensor:
    """Shapes: uint8 [n, H, W, C] -> int64 [C, 256]."""
    return torch.stack([torch.bincount(channel.flatten(), minlength=_VALUES) for channel in images.unbind(-1)])
