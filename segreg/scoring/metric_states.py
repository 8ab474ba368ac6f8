"""The state of a metric for each single image, from which its value over any selection of images is computed."""

import copy
from collections.abc import Iterator, Mapping, Sequence
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
    # A copy: torch's own few bytes, behind the large tensors that led to them, would keep the C library from using the
    # memory of these again.
    return {name: torch.stack([row[name] for row in rows]).cpu().numpy().copy() for name in rows[0]}


def merge(parts: Sequence[States]) -> States:
    """Return the states of all images of several batches, in their order."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
