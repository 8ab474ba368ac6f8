"""Scores of a model on images."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segreg.builtins.losses.bce import BCELoss
from segreg.builtins.metrics.iou import IoU
from segreg.data.in_memory import InMemory
from segreg.scoring.evaluator import Evaluator, is_better
from segreg.scoring.metric_states import value
from segreg.task import task_of

CPU = torch.device("cpu")


def evaluator(batch: int, num_classes: int = 1, **metrics: IoU) -> Evaluator:
    return Evaluator(task=task_of(num_classes), metrics=metrics, batch=batch, device=CPU, precision="fp32")


class Brightness(nn.Module):
    """Predicts foreground where the first channel is brighter than half; with dropout, to detect training mode."""

    def __init__(self, num_classes: int = 1) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.dropout = nn.Dropout(0.9)

    def forward(self, images: Tensor) -> Tensor:
        bright = self.dropout(images[:, :1] - 0.5)
        return bright if self.num_classes == 1 else torch.cat([-bright, bright, bright - 1], dim=1)


def random_images(count: int = 5) -> InMemory:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 6, 7), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, 2, (count, 6, 7), generator=generator, dtype=torch.uint8)
    return InMemory(images, masks, ["x"] * count)


def iou_of(predicted: np.ndarray, true: np.ndarray) -> float:
    return float((predicted & true).sum() / (predicted | true).sum())


def expected_ious() -> list[float]:
    shown = random_images()
    predicted = shown.images.numpy()[:, 0] > 127
    return [iou_of(one, true == 1) for one, true in zip(predicted, shown.masks.numpy(), strict=True)]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_loss_and_metric_are_means_over_images_whatever_the_batch(batch: int) -> None:
    shown, metric = random_images(), IoU(num_classes=1)
    metric.update(torch.ones(1, 1, 6, 7), torch.zeros(1, 6, 7, dtype=torch.int64))
    model = Brightness().train()
    scores = evaluator(batch, iou=metric).evaluate(model, BCELoss(), shown.batches(batch, CPU))
    logits = shown.images.double().numpy()[:, 0] / 255 - 0.5
    loss = np.mean(np.logaddexp(0, logits) - logits * shown.masks.numpy())
    assert scores == {"loss": pytest.approx(loss, rel=1e-5), "iou": pytest.approx(np.mean(expected_ious()))}


def test_there_is_one_state_per_image_in_order() -> None:
    states = evaluator(2, iou=IoU(num_classes=1)).states(Brightness(), random_images())["iou"]
    for number, expected in enumerate(expected_ious()):
        alone = {name: state[number : number + 1] for name, state in states.items()}
        assert value(IoU(num_classes=1), alone) == pytest.approx(expected, abs=1e-8)


def test_a_prediction_is_the_class_index_as_uint8() -> None:
    bright = (random_images().images[:, 0] > 127).to(torch.uint8)[[3, 1, 4]]
    for num_classes in (1, 3):
        predicted = evaluator(2, num_classes).predict(Brightness(num_classes), random_images(), [3, 1, 4])
        assert predicted.dtype == torch.uint8
        assert torch.equal(predicted, bright)


@pytest.mark.parametrize(
    ("value", "best", "higher", "lower"),
    [
        (2, 1, True, False),
        (1, 2, False, True),
        (1, 1, False, False),
        (1, math.nan, True, True),
        (math.nan, 1, False, False),
        (math.nan, math.nan, False, False),
        (math.inf, 1, True, False),
    ],
)
def test_which_value_is_better(value: float, best: float, higher: bool, lower: bool) -> None:
    assert is_better(value, best, higher_is_better=True) is higher
    assert is_better(value, best, higher_is_better=False) is lower
