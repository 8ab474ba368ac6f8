"""The states of single images against the same metric updated with the images themselves."""

import pytest
import torch
from torch import Tensor

from segreg.builtins.metrics.accuracy import Accuracy
from segreg.builtins.metrics.iou import IoU
from segreg.contracts import SegmentationMetric
from segreg.scoring.metric_states import fill, holding_all, image_states, merge, value


def metrics() -> list[SegmentationMetric]:
    return [
        IoU(num_classes=3, average="image"),
        IoU(num_classes=3, average="dataset"),
        Accuracy(num_classes=3, average="image"),
        Accuracy(num_classes=3, average="dataset"),
    ]


each_metric = pytest.mark.parametrize("number", range(len(metrics())))


def random_images(images: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, 3, 6, 6, generator=generator) + torch.randn(images, 3, 1, 1, generator=generator)
    return logits, torch.randint(0, 3, (images, 6, 6), generator=generator)


@each_metric
def test_states_of_several_batches_give_the_value_of_all_images(number: int) -> None:
    metric, (logits, target) = metrics()[number], random_images(7)
    states = merge([image_states(metric, logits[:4], target[:4]), image_states(metric, logits[4:], target[4:])])
    whole = metrics()[number]
    whole.update(logits, target)

    assert {len(state) for state in states.values()} == {7}
    assert value(metric, states) == whole.compute()
    assert holding_all(metric, states).per_class().tolist() == whole.per_class().tolist()


@each_metric
def test_each_state_is_that_of_its_image(number: int) -> None:
    metric, (logits, target) = metrics()[number], random_images(5)
    parts = [image_states(metric, logits[:2], target[:2]), image_states(metric, logits[2:], target[2:])]
    states = merge(parts)
    for i in range(5):
        alone = metrics()[number]
        alone.update(logits[i : i + 1], target[i : i + 1])
        assert value(metric, {name: state[i : i + 1] for name, state in states.items()}) == alone.compute()


@each_metric
def test_the_metric_is_unchanged(number: int) -> None:
    metric, (logits, target) = metrics()[number], random_images(5)
    metric.update(logits[:2], target[:2])
    before = metric.compute()
    states = image_states(metric, logits[2:], target[2:])
    assert value(metric, states) != before
    holding_all(metric, states).update(logits, target)
    assert metric.compute() == before


@each_metric
def test_fill_replaces_the_previous_state(number: int) -> None:
    metric, (logits, target) = metrics()[number], random_images(5)
    metric.update(logits, target)
    states = image_states(metric, logits[:1], target[:1])
    fill(metric, {name: state[0] for name, state in states.items()})
    assert metric.compute() == value(metric, states)
