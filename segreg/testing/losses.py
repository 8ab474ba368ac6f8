"""The conformance checks of a loss: `forward(logits float [B, K, H, W], target int64 [B, H, W]) -> float []`."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.contracts import IGNORE_INDEX
from segreg.task import task_of
from segreg.testing.components import REFERENCE
from segreg.testing.mistakes import Mistakes, confident, confused, ground_truth, misplaced
from segreg.testing.process import expect_no_global_change, expect_seeded
from segreg.testing.subject import Check, ComponentSubject, expect, expect_resumed


def _cases(height: int = 6, width: int = 5) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield a label, logits and target, for one, two, three and five classes; some of the pixels are ignored."""
    for classes in (1, 2, 3, 5):
        logits = 2 * torch.randn(3, classes, height, width)
        target = torch.randint(0, max(classes, 2), (3, height, width))
        target[torch.rand(target.shape) < 0.2] = IGNORE_INDEX
        yield f"with {classes} logit(s) per pixel", logits, target


def _built(subject: ComponentSubject, classes: int) -> Any:
    alike = (1,) * task_of(classes).num_values
    facts = {"in_channels": 3, "num_classes": classes, "class_pixels": alike, "class_image_pixels": alike}
    return subject.build(**{name: value for name, value in facts.items() if name in subject.entry.options()})


def _value_and_gradient(subject: ComponentSubject, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = _built(subject, logits.shape[1])(logits, target)
    expect(isinstance(value, Tensor) and value.shape == (), f"it returns {value}, not a scalar tensor")
    expect(value.is_floating_point(), f"it returns {value.dtype}, not a float")
    expect(value.requires_grad, "no gradient flows from it back to the logits")
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def is_a_scalar_with_a_gradient(subject: ComponentSubject) -> None:
    """Logits and target give one finite number, and a finite gradient that is not zero."""
    for what, logits, target in _cases():
        value, gradient = _value_and_gradient(subject, logits, target)
        expect(value.isfinite() & gradient.isfinite().all(), f"{what}: the value {value} or its gradient is not finite")
        expect(gradient.any(), f"{what}: the gradient is zero everywhere")


def extremes_stay_finite(subject: ComponentSubject) -> None:
    """Logits of ±10,000 give a finite value and gradient, whether right or wrong, for mixed, empty and full masks."""
    for what, logits, target in _cases():
        last = max(logits.shape[1], 2) - 1
        ones = torch.ones_like(logits)
        masks = {"mixed": target, "empty": torch.zeros_like(target), "full": torch.full_like(target, last)}
        for mask, shown in masks.items():
            for sign, extreme in {"random": logits.sign(), "low": -ones, "high": ones}.items():
                value, gradient = _value_and_gradient(subject, 1e4 * extreme, shown)
                fine = value.isfinite() & gradient.isfinite().all()
                expect(fine, f"{what}: not finite for logits of ±10,000 ({sign}) on a mask that is {mask}")


def ignored_pixels_have_no_influence(subject: ComponentSubject) -> None:
    """Pixels whose target is 255 change nothing, and get no gradient."""
    for what, logits, target in _cases():
        ignored = (target == IGNORE_INDEX)[:, None].expand_as(logits)
        value, gradient = _value_and_gradient(subject, logits, target)
        other, _ = _value_and_gradient(subject, torch.where(ignored, 5 - 3 * logits, logits), target)
        expect(
            _near(value, other), f"{what}: the logits of ignored pixels change the value, {value:.6g} to {other:.6g}"
        )
        expect(not gradient[ignored].any(), f"{what}: ignored pixels get a gradient")


def nothing_but_ignored_is_finite(subject: ComponentSubject) -> None:
    """A batch whose pixels are all ignored gives a finite value and no gradient."""
    for what, logits, target in _cases():
        value, gradient = _value_and_gradient(subject, logits, torch.full_like(target, IGNORE_INDEX))
        expect(value.isfinite(), f"{what}: all pixels ignored gives {value}")
        expect(not gradient.any(), f"{what}: all pixels ignored gives a gradient")


def right_beats_wrong(subject: ComponentSubject) -> None:
    """A confident correct prediction has a smaller loss than an undecided one, and that than a wrong one."""
    for what, logits, target in _cases():
        classes = logits.shape[1]
        ground_truth = F.one_hot(target.where(target != IGNORE_INDEX, 0), max(classes, 2)).movedim(-1, 1).float()
        # More confident than this, a loss with smoothed labels rightly prefers a prediction that is undecided.
        right = 2 * (2 * ground_truth[:, -classes:] - 1)
        loss = _built(subject, logits.shape[1])
        values = [float(loss(sure * right, target)) for sure in (1, 0, -1)]
        expect(
            values[0] < values[1] < values[2],
            f"{what}: right gives {values[0]:.4g}, undecided {values[1]:.4g}, wrong {values[2]:.4g}",
        )


def order_of_the_batch_does_not_matter(subject: ComponentSubject) -> None:
    """The images of a batch in another order give the same value."""
    for what, logits, target in _cases():
        loss = _built(subject, logits.shape[1])
        value, other = loss(logits, target), loss(logits.roll(1, 0), target.roll(1, 0))
        expect(_near(value, other), f"{what}: the images in another order give {other:.6g}, not {value:.6g}")


def gradient_is_the_slope(subject: ComponentSubject) -> None:
    """The gradient agrees with finite differences, in five random directions."""
    step = 1e-3
    for what, logits, target in _cases():
        logits = logits.double()
        loss = _built(subject, logits.shape[1])
        value, gradient = _value_and_gradient(subject, logits, target)
        for _ in range(5):
            direction = torch.randn_like(logits)
            slope = (loss(logits + step * direction, target) - loss(logits - step * direction, target)) / (2 * step)
            claimed = (gradient * direction).sum()
            # The tolerance suits a loss that computes in float32 whatever its input.
            near = (slope - claimed).abs() <= 0.02 * (claimed.abs() + gradient.norm()) + 2e-4 * value.abs()
            expect(near, f"{what}: the slope is {float(slope):.4g}, the gradient says {float(claimed):.4g}")


def input_is_not_modified(subject: ComponentSubject) -> None:
    """Neither the logits nor the target are modified."""
    for what, logits, target in _cases():
        kept = logits.clone(), target.clone()
        _built(subject, logits.shape[1])(logits, target)
        expect(torch.equal(logits, kept[0]) and torch.equal(target, kept[1]), f"{what}: its input is changed in place")


def runs_without_values(subject: ComponentSubject) -> None:
    """It can be called on the `meta` device: nothing synchronizes with the device."""
    for _, logits, target in _cases():
        value = _built(subject, logits.shape[1]).to("meta")(logits.to("meta"), target.to("meta"))
        expect(value.shape == (), f"it returns {list(value.shape)} on meta tensors")


def every_region_counts(subject: ComponentSubject) -> None:
    """A mistake anywhere in a large image makes the loss larger, and every row and column gets a gradient."""
    _expect_noticed(subject, (1, 2, 3), misplaced)
    for what, logits, target in _cases(*ground_truth(1).shape[1:]):
        _, gradient = _value_and_gradient(subject, logits, target)
        for dimension, name in ((2, "row"), (3, "column")):
            reached = gradient.abs().amax([each for each in range(4) if each != dimension]) > 0
            expect(
                reached.all(), f"{what}: no gradient reaches {name} {int(reached.long().argmin())} of {len(reached)}"
            )


def every_class_counts(subject: ComponentSubject) -> None:
    """To take one of two, three or five classes for another makes the loss larger, and each gets a gradient.

    The logits of the background, class 0, may go without: it is what the others are not.
    """
    _expect_noticed(subject, (2, 3, 5), confused)
    for what, logits, target in _cases():
        _, gradient = _value_and_gradient(subject, logits, target)
        for label in range(1, logits.shape[1]):
            expect(gradient[:, label].any(), f"{what}: no gradient reaches the logits of class {label}")


def _expect_noticed(subject: ComponentSubject, numbers: Sequence[int], mistakes: Mistakes) -> None:
    for classes in numbers:
        loss, target = _built(subject, classes), ground_truth(classes)
        right = float(loss(confident(target, classes), target))
        for what, prediction in mistakes(classes):
            wrong = float(loss(confident(prediction, classes), target))
            expect(
                wrong > right,
                f"with {classes} logit(s) per pixel: {what} gives {wrong:.6g}, all right {right:.6g}",
            )


def bfloat16_agrees(subject: ComponentSubject) -> None:
    """For logits in bfloat16, as a model gives them on a GPU, it is finite and off by at most 5 %."""
    for what, logits, target in _cases():
        classes = logits.shape[1]
        sure = confident(target.where(target != IGNORE_INDEX, 0), classes)
        for each in (logits, sure, -sure, 1e4 * logits.sign()):
            rounded = each.bfloat16()
            value, gradient = _value_and_gradient(subject, rounded, target)
            expected, _ = _value_and_gradient(subject, rounded.float(), target)
            fine = value.isfinite() & gradient.isfinite().all()
            expect(fine, f"{what}: in bfloat16 the value {value} or its gradient is not finite")
            near = (value.float() - expected).abs() <= 0.05 * expected.abs() + 0.01
            expect(near, f"{what}: in bfloat16 the value is {float(value):.4g}, not {float(expected):.4g}")


def resumes_where_it_stopped(subject: ComponentSubject) -> None:
    """Saved after 60 calls and loaded into a new one, it gives what it would have: no counter is left behind."""
    classes = 3
    logits = 2 * torch.randn(2, classes, 6, 5)
    target = torch.randint(0, classes, (2, 6, 5))

    def step(loss: nn.Module, number: int) -> Tensor:
        value: Tensor = loss(logits.clone().requires_grad_(), target)
        return value.detach()

    expect_resumed(lambda: _built(subject, classes).train(), step, steps=60)


def randomness_follows_the_seed(subject: ComponentSubject) -> None:
    """Built and called twice with one seed it gives the same; it never seeds a generator itself."""
    expect_seeded(lambda: _used(subject))


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Building and calling it changes nothing of the process: torch's settings, directory, environment, streams."""
    expect_no_global_change(lambda: _used(subject), may_draw=True)


def _used(subject: ComponentSubject) -> Iterator[tuple[str, Sequence[Tensor]]]:
    logits = torch.linspace(-3, 3, 3 * 6 * 5).view(1, 3, 6, 5).requires_grad_()
    target = torch.arange(6 * 5).view(1, 6, 5) % 3
    loss = _built(subject, 3)
    yield "building it", [each.detach() for each in (*loss.parameters(), *loss.buffers())]
    value = loss(logits, target)
    yield "calling it", [value.detach()]
    value.backward()
    yield "its backward pass", []
    with torch.no_grad():
        value = loss(logits, target)
        expect(not torch.is_grad_enabled(), "calling it without gradients switches them on")
    yield "calling it without gradients", [value]


def _near(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


CHECKS = (
    REFERENCE,
    Check(is_a_scalar_with_a_gradient),
    Check(extremes_stay_finite),
    Check(ignored_pixels_have_no_influence),
    Check(nothing_but_ignored_is_finite),
    Check(right_beats_wrong),
    Check(every_region_counts),
    Check(every_class_counts),
    Check(order_of_the_batch_does_not_matter),
    Check(gradient_is_the_slope),
    Check(bfloat16_agrees),
    Check(input_is_not_modified),
    Check(resumes_where_it_stopped),
    Check(randomness_follows_the_seed),
    Check(global_state_is_not_modified),
    Check(runs_without_values),
)
