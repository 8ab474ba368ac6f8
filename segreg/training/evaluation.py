"""Scores of a model on pictures.

Without gradients, but not in inference mode: a tensor that a metric makes there could not be changed outside it.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segreg.contracts import SegmentationMetric
from segreg.training.device import Precision, autocast
from segreg.training.metric_states import States, image_states, merge
from segreg.training.pictures import Pictures
from segreg.training.prediction import ready_to_predict


@torch.no_grad()
def evaluate(
    model: nn.Module,
    pictures: Pictures,
    loss: nn.Module,
    metrics: Mapping[str, SegmentationMetric],
    *,
    batch: int,
    device: torch.device,
    precision: Precision,
) -> dict[str, float]:
    """Return the mean loss over pictures, as `loss`, and each metric by its name."""
    model = ready_to_predict(model, device, precision)
    for metric in metrics.values():
        metric.reset()
    total = torch.zeros((), device=device)
    for images, target in pictures.batches(batch, device):
        with autocast(device, precision):
            logits = model(images)
        total += loss(logits, target) * len(images)
        for metric in metrics.values():
            metric.update(logits, target)
    return {"loss": total.item() / len(pictures), **{name: metric.compute() for name, metric in metrics.items()}}


@torch.no_grad()
def states_of_images(
    model: nn.Module,
    pictures: Pictures,
    metrics: Mapping[str, SegmentationMetric],
    *,
    batch: int,
    device: torch.device,
    precision: Precision,
) -> dict[str, States]:
    """Return each metric's state for every single picture, from which values and their intervals are worked out."""
    model = ready_to_predict(model, device, precision)
    parts: dict[str, list[States]] = {name: [] for name in metrics}
    for images, target in pictures.batches(batch, device):
        with autocast(device, precision):
            logits = model(images)
        for name, metric in metrics.items():
            parts[name].append(image_states(metric, logits, target))
    return {name: merge(states) for name, states in parts.items()}


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, *, device: torch.device, precision: Precision) -> Tensor:
    """Return the predicted classes.

    Shapes:
        images: uint8 [N, C, H, W];  returns: uint8 [N, H, W].
    """
    model = ready_to_predict(model, device, precision)
    with autocast(device, precision):
        logits = model(images.to(device).float() / 255)
    classes: Tensor = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return classes.to(torch.uint8).cpu()


def evaluation_batch(batch: int) -> int:
    """Return how many pictures to score at once: without gradients, four times as many fit as in a training step."""
    return 4 * batch


def is_better(value: float, best: float, higher_is_better: bool) -> bool:
    """Whether a value beats the best so far; `nan` never does, and anything beats `nan`."""
    if math.isnan(value):
        return False
    return math.isnan(best) or (value > best if higher_is_better else value < best)
