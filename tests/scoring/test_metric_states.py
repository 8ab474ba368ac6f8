"""The states of single images against the same metric updated with the images themselves."""

import subprocess
import sys
from itertools import pairwise
from textwrap import dedent

import pytest
import torch
from torch import Tensor

from segreg.builtins.metrics.accuracy import Accuracy
from segreg.builtins.metrics.iou import IoU
from segreg.contracts import SegmentationMetric
from segreg.scoring.metric_states import CollectedStates, States, fill, holding_all, image_states, value


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


def collected(metric: SegmentationMetric, logits: Tensor, target: Tensor, *ends: int, images: int) -> States:
    """The states of images that are added in batches, which end where told."""
    states = CollectedStates(metric, images)
    for start, end in pairwise((0, *ends)):
        states.add(logits[start:end], target[start:end])
    return states.states


@each_metric
def test_states_of_several_batches_give_the_value_of_all_images(number: int) -> None:
    metric, (logits, target) = metrics()[number], random_images(7)
    states = collected(metric, logits, target, 4, 7, images=7)
    whole = metrics()[number]
    whole.update(logits, target)

    assert {len(state) for state in states.values()} == {7}
    assert value(metric, states) == whole.compute()
    assert holding_all(metric, states).per_class().tolist() == whole.per_class().tolist()


@each_metric
def test_each_state_is_that_of_its_image(number: int) -> None:
    metric, (logits, target) = metrics()[number], random_images(5)
    # Fewer than there could be, as when some cannot be read.
    states = collected(metric, logits, target, 2, 5, images=9)
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_memory_does_not_grow_with_the_number_of_images() -> None:
    """Of five metrics, as `segreg evaluate` collects them: the states of one image are a hundred bytes."""
    program = """
        from pathlib import Path
        import torch
        import segreg
        from segreg.scoring.metric_states import CollectedStates

        names = ("iou", "dice", "precision", "recall", "accuracy")
        states = [CollectedStates(segreg.metric(name, num_classes=1), 24) for name in names]
        for _ in range(24):
            logits, target = torch.rand(1, 1, 700, 1000) - 0.5, (torch.rand(1, 700, 1000) > 0.5).long()
            for each in states:
                each.add(logits, target)
            print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=120)
    kilobytes = [int(line) for line in done.stdout.split()]
    assert len(kilobytes) == 24, done.stderr
    assert kilobytes[-1] - kilobytes[3] < 40_000, kilobytes
