"""The conformance checks of a metric: `update(logits, target)`, `compute() -> float`, `reset()`, additive buffers."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segreg.contracts import IGNORE_INDEX
from segreg.specs import Definition, Metric
from segreg.testing.components import REFERENCE
from segreg.testing.mistakes import Mistakes, confident, confused, ground_truth, misplaced
from segreg.testing.process import expect_no_global_change
from segreg.testing.subject import Check, ComponentSubject, expect

Counts = npt.NDArray[np.float64]


def _cases() -> Iterator[tuple[str, int, Tensor, Tensor]]:
    """Yield a label, the number of classes, logits and target of unequal images; some pixels are ignored."""
    for classes in (1, 2, 3, 4):
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


def _expect_equal(got: float, expected: float, what: str, tolerance: float = 1e-6) -> None:
    same = math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance) or (
        math.isnan(got) and math.isnan(expected)
    )
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
    for what, classes, _, target in _cases():
        known = target.where(target != IGNORE_INDEX, 0)
        count = max(classes, 2)
        right, wrong = (F.one_hot((known + shift) % count, count).movedim(-1, 1).float() for shift in (0, 1))
        values = [
            _value(subject.build(num_classes=classes), (8 * (2 * shown[:, -classes:] - 1), target))
            for shown in (right, wrong)
        ]
        expect(_is_better(subject, *values), f"{what}: right gives {values[0]:.4g}, wrong {values[1]:.4g}")


def _is_better(subject: ComponentSubject, one: float, other: float) -> bool:
    record = subject.entry.record
    return one > other if not isinstance(record, Metric) or record.higher_is_better else one < other


def every_region_counts(subject: ComponentSubject) -> None:
    """A mistake anywhere in a large image makes the value worse."""
    _expect_noticed(subject, (1, 2, 3), misplaced)


def every_class_counts(subject: ComponentSubject) -> None:
    """To take one of two, three or four classes for another makes the value worse."""
    _expect_noticed(subject, (2, 3, 4), confused)


def _expect_noticed(subject: ComponentSubject, numbers: Sequence[int], mistakes: Mistakes) -> None:
    for classes in numbers:
        target = ground_truth(classes)
        right = _value(subject.build(num_classes=classes), (confident(target, classes), target))
        for what, prediction in mistakes(classes):
            wrong = _value(subject.build(num_classes=classes), (confident(prediction, classes), target))
            expect(
                _is_better(subject, right, wrong),
                f"with num_classes={classes}: {what} gives {wrong:.6g}, all right {right:.6g}",
            )


def counts_stay_exact(subject: ComponentSubject) -> None:
    """After 4,096 images of a million pixels, the buffers have room for that and still count an image of 35 pixels."""
    many = 4096
    for what, classes, logits, target in _cases():
        metric, alone = (subject.build(num_classes=classes) for _ in range(2))
        large = torch.zeros(1, 1024, 1024, dtype=torch.int64)
        large[:, 200:700, 300:800] = max(classes, 2) - 1
        metric.update(confident(large.roll(20, 1), classes), large)
        held = {}
        for name, buffer in metric.named_buffers():
            held[name] = buffer.double() * many
            buffer.copy_(held[name])
            fits = torch.equal(buffer.double(), held[name])
            expect(fits, f"{what}: the buffer {name}, {buffer.dtype}, has no room for {many:,} images of 1024x1024")
        for each in (metric, alone):
            each.update(logits[:1], target[:1])
        for name, buffer in metric.named_buffers():
            added, expected = buffer.double() - held[name], alone.get_buffer(name).double()
            near = (added - expected).abs() <= 0.01 * expected.abs().max()
            expect(
                near.all(),
                f"{what}: after {many:,} images of 1024x1024 the buffer {name}, {buffer.dtype}, does not count one of "
                "35 pixels: count in int64 or float64",
            )


def bfloat16_agrees(subject: ComponentSubject) -> None:
    """For logits in bfloat16, as a model gives them on a GPU, the value is off by at most 2 %."""
    for what, classes, logits, target in _cases():
        rounded = logits.bfloat16()
        value = _value(subject.build(num_classes=classes), (rounded, target))
        expected = _value(subject.build(num_classes=classes), (rounded.float(), target))
        _expect_equal(value, expected, f"{what}: in bfloat16, it", tolerance=0.02)


def resumes_where_it_stopped(subject: ComponentSubject) -> None:
    """With its buffers copied to a new one, that has the same value and continues with the same."""
    for what, classes, logits, target in _cases():
        metric, resumed = (subject.build(num_classes=classes) for _ in range(2))
        metric.update(logits[:4], target[:4])
        for name, buffer in resumed.named_buffers():
            buffer.copy_(metric.get_buffer(name))
        _expect_equal(_value(resumed), _value(metric), f"{what}: with its buffers copied to a new one, it")
        rest = logits[4:], target[4:]
        _expect_equal(_value(resumed, rest), _value(metric, rest), f"{what}: with its buffers copied and updated, it")


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Using it changes nothing of the process: torch's settings, directory, environment, streams, random numbers."""
    expect_no_global_change(lambda: _used(subject))


def _used(subject: ComponentSubject) -> Iterator[tuple[str, Sequence[Tensor]]]:
    metric = subject.build(num_classes=1)
    yield "building it", []
    metric.update(torch.linspace(-3, 3, 30).view(1, 1, 6, 5), torch.arange(30).view(1, 6, 5) % 2)
    yield "update()", []
    metric.compute()
    yield "compute()", []
    metric.reset()
    yield "reset()", []


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
    for guess, wanted in groups:
        seen = [(int(g), int(t)) for g, t in zip(guess.flat, wanted.flat, strict=True) if t != IGNORE_INDEX]
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
    Check(every_region_counts),
    Check(every_class_counts),
    Check(agrees_with_its_definition, applies=lambda subject: bool(subject.entry.record.definition)),
    Check(counts_stay_exact),
    Check(bfloat16_agrees),
    Check(resumes_where_it_stopped),
    Check(update_does_not_wait),
    Check(global_state_is_not_modified),
)
