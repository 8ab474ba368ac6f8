"""The conformance checks of a metric: `update(logits, target)`, `compute() -> float`, `reset()`, additive buffers."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segreg.contracts import IGNORE_INDEX
from segreg.specs import Definition, Metric
from segreg.testing.components import REFERENCE
from segreg.testing.subject import Check, ComponentSubject, expect

Counts = npt.NDArray[np.float64]


def _cases() -> Iterator[tuple[str, int, Tensor, Tensor]]:
    """Yield a label, the number of classes, logits and target of unequal images; some pixels are ignored."""
    for classes in (1, 2, 4):
        target = torch.randint(0, max(classes, 2), (6, 7, 5))
        target[0] = 0
        logits = torch.randn(6, classes, 7, 5)
        logits[1] += 4 * F.one_hot(target[1], max(classes, 2)).movedim(-1, 0)[-classes:]
        logits[2, -1] = -9.0
        target[torch.rand(target.shape) < 0.2] = IGNORE_INDEX
        target[3, :6] = IGNORE_INDEX
        yield f"with num_classes={classes}", classes, logits, target


def _value(metric: Any, *batches: tuple[Tensor, Tensor]) -> float:
    for logits, target in batches:
        metric.update(logits, target)
    value = metric.compute()
    expect(isinstance(value, float), f"compute() returns {type(value).__name__}, not a float")
    return float(value)


def _expect_equal(got: float, expected: float, what: str) -> None:
    same = math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-6) or (math.isnan(got) and math.isnan(expected))
    expect(same, f"{what} gives {got:.6f}, not {expected:.6f}")


def batches_do_not_matter(subject: ComponentSubject) -> None:
    """The value is the same for one batch and for the same images in several unequal batches."""
    for what, classes, logits, target in _cases():
        whole = _value(subject.build(num_classes=classes), (logits, target))
        split = [(logits[:1], target[:1]), (logits[1:], target[1:])]
        _expect_equal(_value(subject.build(num_classes=classes), *split), whole, f"{what}: split in batches, it")


def states_add_up(subject: ComponentSubject) -> None:
    """The sum of the buffers of two metrics is the state of one that saw the images of both."""
    for what, classes, logits, target in _cases():
        whole, one, other = (subject.build(num_classes=classes) for _ in range(3))
        expected = _value(whole, (logits, target))
        one.update(logits[:2], target[:2])
        other.update(logits[2:], target[2:])
        expect(bool(dict(one.named_buffers())), "it has no state in buffers")
        for name, buffer in one.named_buffers():
            buffer += other.get_buffer(name)
        _expect_equal(_value(one), expected, f"{what}: two states added up, it")


def reset_forgets(subject: ComponentSubject) -> None:
    """After `reset()` it behaves like a new one."""
    for what, classes, logits, target in _cases():
        metric = subject.build(num_classes=classes)
        _value(metric, (logits[:3], target[:3]))
        metric.reset()
        again = _value(metric, (logits[3:], target[3:]))
        _expect_equal(again, _value(subject.build(num_classes=classes), (logits[3:], target[3:])), f"{what}: reset, it")


def nothing_is_nan(subject: ComponentSubject) -> None:
    """Without an image, or with only ignored pixels, the value is `nan`."""
    for what, classes, logits, target in _cases():
        metric = subject.build(num_classes=classes)
        expect(math.isnan(_value(metric)), f"{what}: without an image it gives {metric.compute()}, not nan")
        value = _value(metric, (logits, torch.full_like(target, IGNORE_INDEX)))
        expect(math.isnan(value), f"{what}: with all pixels ignored it gives {value}, not nan")


def ignored_pixels_have_no_influence(subject: ComponentSubject) -> None:
    """What is predicted where the target is 255 does not matter."""
    for what, classes, logits, target in _cases():
        ignored = (target == IGNORE_INDEX)[:, None].expand_as(logits)
        changed = torch.where(ignored, -3 * logits.roll(1, 1) - 1, logits)
        value = _value(subject.build(num_classes=classes), (logits, target))
        other = _value(subject.build(num_classes=classes), (changed, target))
        _expect_equal(other, value, f"{what}: other logits on ignored pixels, it")


def right_beats_wrong(subject: ComponentSubject) -> None:
    """A prediction that is right everywhere has a better value than one that is wrong everywhere."""
    record = subject.entry.record
    higher = not isinstance(record, Metric) or record.higher_is_better
    for what, classes, _, target in _cases():
        known = target.where(target != IGNORE_INDEX, 0)
        count = max(classes, 2)
        right, wrong = (F.one_hot((known + shift) % count, count).movedim(-1, 1).float() for shift in (0, 1))
        values = [
            _value(subject.build(num_classes=classes), (8 * (2 * shown[:, -classes:] - 1), target))
            for shown in (right, wrong)
        ]
        better = values[0] > values[1] if higher else values[0] < values[1]
        expect(better, f"{what}: right gives {values[0]:.4g}, wrong {values[1]:.4g}")


def agrees_with_its_definition(subject: ComponentSubject) -> None:
    """Its value is that of a count of single pixels. Only for a metric whose record names a definition."""
    record = subject.entry.record
    assert isinstance(record, Metric)
    averages = ("image", "dataset") if "average" in subject.entry.options() else ("image",)
    for what, classes, logits, target in _cases():
        for average in averages:
            options = {"average": average} if len(averages) > 1 else {}
            value = _value(subject.build(num_classes=classes, **options), (logits, target))
            expected = _by_definition(record.definition, average, logits.numpy(), target.numpy())
            _expect_equal(value, expected, f"{what}: averaged by {average}, it")


def update_does_not_wait(subject: ComponentSubject) -> None:
    """`update` can be called on the `meta` device: nothing synchronizes with the device."""
    for _, classes, logits, target in _cases():
        subject.build(num_classes=classes).to("meta").update(logits.to("meta"), target.to("meta"))


def _by_definition(
    definition: Definition, average: str, logits: npt.NDArray[np.float32], target: npt.NDArray[np.int64]
) -> float:
    """Compute the metric from lists of pixels, one image and one class at a time."""
    classes = logits.shape[1]
    predicted = np.argmax(logits, axis=1) if classes > 1 else (logits[:, 0] > 0).astype(np.int64)
    groups = [(predicted[i : i + 1], target[i : i + 1]) for i in range(len(target))]
    if average == "dataset":
        groups = [(predicted, target)]
    values: dict[int, list[float]] = {}
    for guess, ground_truth in groups:
        seen = [(int(g), int(t)) for g, t in zip(guess.flat, ground_truth.flat, strict=True) if t != IGNORE_INDEX]
        if definition == "accuracy":
            if seen:
                values.setdefault(0, []).append(sum(g == t for g, t in seen) / len(seen))
            continue
        for scored in range(classes) if classes > 1 else [1]:
            both = sum(g == scored and t == scored for g, t in seen)
            shown, true = (sum(pair[i] == scored for pair in seen) for i in (0, 1))
            denominator = {"iou": shown + true - both, "dice": (shown + true) / 2, "precision": shown, "recall": true}
            if shown + true:
                values.setdefault(scored, []).append(both / denominator[definition] if denominator[definition] else 0)
            elif seen and classes == 1:
                values.setdefault(scored, []).append(1.0)
    means = [sum(each) / len(each) for each in values.values()]
    return sum(means) / len(means) if means else math.nan


CHECKS = (
    REFERENCE,
    Check(batches_do_not_matter),
    Check(states_add_up),
    Check(reset_forgets),
    Check(nothing_is_nan),
    Check(ignored_pixels_have_no_influence),
    Check(right_beats_wrong),
    Check(agrees_with_its_definition, applies=lambda subject: bool(subject.entry.record.definition)),
    Check(update_does_not_wait),
)
