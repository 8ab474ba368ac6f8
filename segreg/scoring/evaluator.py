"""Scores of a model on images.

Without gradients, but not in inference mode: a tensor that a metric creates there could not be changed outside it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs
import torch
from torch import Tensor, nn

from segreg.contracts import SegmentationMetric
from segreg.data.split import Split
from segreg.nn.fuse import ready_to_predict
from segreg.scoring.metric_states import CollectedStates, States
from segreg.support.device import Precision, autocast
from segreg.task import Task


@attrs.frozen(kw_only=True)
class Evaluator:
    """Scores models.

    Args:
        task: The meaning of the logits.
        metrics: The metrics by their names in the recipe, on the device.
        batch: Number of images per batch.
        device: The device to compute on.
        precision: The precision of convolutions.
    """

    task: Task
    metrics: Mapping[str, SegmentationMetric]
    batch: int
    device: torch.device
    precision: Precision

    @torch.no_grad()
    def evaluate(self, model: nn.Module, loss: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Return the mean loss over the images of batches, as `loss`, and each metric by its name."""
        model = self._ready(model)
        for metric in self.metrics.values():
            metric.reset()
        total, count = torch.zeros((), device=self.device), 0
        for images, target in batches:
            logits = self._logits(model, images)
            total += loss(logits, target) * len(images)
            count += len(images)
            for metric in self.metrics.values():
                metric.update(logits, target)
        return {"loss": total.item() / count, **{name: metric.compute() for name, metric in self.metrics.items()}}

    @torch.no_grad()
    def states(self, model: nn.Module, split: Split) -> dict[str, States]:
        """Return each metric's state for every single image, from which values and their intervals are computed."""
        model = self._ready(model)
        collected = {name: CollectedStates(metric, len(split)) for name, metric in self.metrics.items()}
        for images, target in split.batches(self.batch, self.device):
            logits = self._logits(model, images)
            for each in collected.values():
                each.add(logits, target)
        return {name: each.states for name, each in collected.items()}

    @torch.no_grad()
    def predict(self, model: nn.Module, split: Split, positions: Sequence[int]) -> Tensor:
        """Return the classes predicted for some images of a split.

        Shapes:
            returns: uint8 [n, H, W], on the CPU.
        """
        model = self._ready(model)
        found = []
        for images, _ in split.batches(self.batch, self.device, positions):
            logits = self._logits(model, images)
            found.append(self.task.decide(logits).to(torch.uint8).cpu())
        return torch.cat(found)

    def _ready(self, model: nn.Module) -> nn.Module:
        return ready_to_predict(model, self.device, self.precision)

    def _logits(self, model: nn.Module, images: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            logits: Tensor = model(images)
        return logits


def evaluation_batch(batch: int) -> int:
    """Return how many images to score at once: without gradients, four times as many fit as in a training step."""
    return 4 * batch


def is_better(value: float, best: float, higher_is_better: bool) -> bool:
    """Whether a value beats the best so far; `nan` never does, and anything beats `nan`."""
    if math.isnan(value):
        return False
    return math.isnan(best) or (value > best if higher_is_better else value < best)
