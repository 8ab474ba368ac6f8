"""The state of a metric for each single image, from which its value over any selection of images is computed."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from segreg.contracts import SegmentationMetric

States: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""The buffers of a metric, by name, for each of N images: arrays [N, ...]."""


def image_states(metric: SegmentationMetric, logits: Tensor, target: Tensor) -> States:
    """Return the state of the metric for each image of a batch. The metric itself is not changed.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: arrays [B, ...].
    """
    metric = copy.deepcopy(metric)
    rows = []
    for i in range(len(target)):
        metric.reset()
        metric.update(logits[i : i + 1], target[i : i + 1])
        rows.append({name: buffer.clone() for name, buffer in buffers_of(metric).items()})
    return {name: torch.stack([row[name] for row in rows]).cpu().numpy() for name in rows[0]}


class CollectedStates:
    """The states of all images of several batches, in their order, in arrays that are allocated once.

    A few bytes kept for each image, allocated after the large tensors of that image, would prevent the C library from
    using the memory of these for the next one.

    Args:
        metric: The metric. It is not changed.
        images: Maximum number of images.
    """

    def __init__(self, metric: SegmentationMetric, images: int) -> None:
        self._metric, self._images, self._count = metric, images, 0
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def add(self, logits: Tensor, target: Tensor) -> States:
        """Add a batch, and return the states of its images.

        Shapes:
            logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: arrays [B, ...].
        """
        states = image_states(self._metric, logits, target)
        if not self._arrays:
            self._arrays = {
                name: np.empty((self._images, *part.shape[1:]), part.dtype) for name, part in states.items()
            }
        added = slice(self._count, self._count + len(target))
        for name, part in states.items():
            self._arrays[name][added] = part
        self._count = added.stop
        return states

    @property
    def states(self) -> States:
        """The states of the images added so far."""
        return {name: array[: self._count] for name, array in self._arrays.items()}


def value(metric: SegmentationMetric, states: States) -> float:
    """Return the metric's value over all images. The metric itself is not changed."""
    return holding_all(metric, states).compute()


def values_of_images(metric: SegmentationMetric, states: States) -> npt.NDArray[np.float64]:
    """Return the metric's value on each single image, float64 [N]: `nan` where it is undefined."""
    return np.array([each.compute() for each in _of_each_image(metric, states)])


def class_values_of_images(metric: SegmentationMetric, states: States) -> npt.NDArray[np.float64]:
    """Return the value of each class on each single image, float64 [N, K], as `class_values`."""
    return np.stack([class_values(each) for each in _of_each_image(metric, states)])


def class_values(metric: SegmentationMetric) -> npt.NDArray[np.float64]:
    """Return the value of each class, float64 [K]: `nan` where it is undefined. K is 0 if there are none.

    A single value for all classes, as of accuracy, is not the value of a class.
    """
    per_class = getattr(metric, "per_class", None)
    values = np.asarray(per_class(), dtype=np.float64) if per_class else np.empty(0)
    return values if values.size > 1 else np.empty(0)


def _of_each_image(metric: SegmentationMetric, states: States) -> Iterator[SegmentationMetric]:
    """Yield the metric with the state of each single image, in one copy that changes."""
    metric = copy.deepcopy(metric)
    cast(nn.Module, metric).cpu()
    for i in range(len(next(iter(states.values())))):
        fill(metric, {name: state[i] for name, state in states.items()})
        yield metric


def holding_all(metric: SegmentationMetric, states: States) -> SegmentationMetric:
    """Return a copy of the metric, on the CPU, that has seen all the images."""
    copied = copy.deepcopy(metric)
    cast(nn.Module, copied).cpu()
    fill(copied, {name: state.sum(0) for name, state in states.items()})
    return copied


def fill(metric: SegmentationMetric, sums: Mapping[str, npt.NDArray[Any]]) -> None:
    """Set the buffers of a metric to the given values."""
    for name, buffer in buffers_of(metric).items():
        buffer.copy_(torch.as_tensor(sums[name]))


def buffers_of(metric: SegmentationMetric) -> dict[str, Tensor]:
    """Return the buffers of a metric, by name: they are its entire state."""
    return dict(cast(nn.Module, metric).named_buffers())
