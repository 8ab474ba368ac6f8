"""What every loss promises, tested on all of them."""

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segreg.builtins import plugin as builtins
from segreg.builtins.losses.bce import BCELoss
from segreg.builtins.losses.cross_entropy import CrossEntropyLoss
from segreg.builtins.losses.dice import DiceLoss
from segreg.builtins.losses.focal import FocalLoss
from segreg.builtins.losses.focal_tversky import FocalTverskyLoss
from segreg.builtins.losses.jaccard import JaccardLoss
from segreg.builtins.losses.lovasz import LovaszLoss
from segreg.builtins.losses.tversky import TverskyLoss
from segreg.builtins.losses.wsr import WSRLoss
from tests.builtins.losses.cases import draw_case, tensors, value

LOSSES: dict[str, nn.Module] = {
    "bce": BCELoss(),
    "bce, weighted": BCELoss(pos_weight=3.0),
    "cross-entropy": CrossEntropyLoss(),
    "cross-entropy, smoothed": CrossEntropyLoss(label_smoothing=0.1),
    "dice": DiceLoss(),
    "focal": FocalLoss(),
    "focal, gamma 0.5": FocalLoss(gamma=0.5),
    "wsr": WSRLoss(),
    "jaccard": JaccardLoss(),
    "tversky": TverskyLoss(),
    "focal-tversky": FocalTverskyLoss(),
    "focal-tversky, gamma 3": FocalTverskyLoss(gamma=3.0),
    "lovasz": LovaszLoss(),
}

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
binary_and_classes = pytest.mark.parametrize("classes", [1, 2, 5])


def test_covers_every_loss_that_segreg_declares() -> None:
    for record in builtins.segreg_losses():
        module, _, name = record.target.partition(":")
        declared = getattr(importlib.import_module(module), name)
        assert any(type(loss) is declared for loss in LOSSES.values()), f"{record.name} is not tested here"


@every_loss
@pytest.mark.parametrize("classes", [1, 3])
def test_gradient_agrees_with_finite_differences(loss: nn.Module, classes: int) -> None:
    logits, target = tensors(draw_case(5, classes=classes, height=2, width=3))
    assert {int(value) for value in target.unique()} >= {0, 1, 255}
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)


@every_loss
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("mask", ["random", "empty", "full", "part ignored"])
@pytest.mark.parametrize("shape", ["random signs", "all low", "all high"])
def test_extreme_logits_give_finite_loss_and_gradient(loss: nn.Module, classes: int, mask: str, shape: str) -> None:
    logits, target = draw_case(6, classes=classes, ignored=0.5 if mask == "part ignored" else 0.0)
    if mask in ("empty", "full"):
        target[:] = 0 if mask == "empty" else max(classes, 2) - 1
    logits = (
        1e4
        * {"random signs": np.sign(logits), "all low": -np.ones_like(logits), "all high": np.ones_like(logits)}[shape]
    )
    tensor, ground_truth = tensors((logits, target), dtype=torch.float32)
    result = loss(tensor, ground_truth)
    result.backward()
    assert torch.isfinite(result)
    assert torch.isfinite(tensor.grad).all()


@every_loss
@binary_and_classes
def test_ignored_pixels_have_no_influence(loss: nn.Module, classes: int) -> None:
    logits, target = draw_case(7, classes=classes, height=7, width=6, ignored=0.4)
    tensor, ground_truth = tensors((logits, target))
    result = loss(tensor, ground_truth)
    result.backward()
    ignored = np.broadcast_to((target == 255)[:, None], logits.shape)
    assert (tensor.grad.numpy()[ignored] == 0).all()

    other, _ = tensors((np.where(ignored, -30 * logits + 9, logits), target))
    changed = loss(other, ground_truth)
    changed.backward()
    torch.testing.assert_close(changed, result, rtol=1e-12, atol=0)
    torch.testing.assert_close(other.grad, tensor.grad, rtol=1e-9, atol=1e-15)


@every_loss
@binary_and_classes
def test_an_image_that_is_ignored_as_a_whole_does_not_count(loss: nn.Module, classes: int) -> None:
    logits, target = draw_case(8, batch=3, classes=classes)
    target[1] = 255
    rest = value(loss, (logits[[0, 2]], target[[0, 2]]))
    assert value(loss, (logits, target)) == pytest.approx(rest, rel=1e-12)


@every_loss
@binary_and_classes
def test_nothing_to_learn_from_is_a_loss_of_zero_that_can_be_trained_on(loss: nn.Module, classes: int) -> None:
    logits, target = tensors(draw_case(9, classes=classes, ignored=1.0))
    result = loss(logits, target)
    result.backward()
    assert result.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@every_loss
@binary_and_classes
def test_the_order_of_the_batch_does_not_matter(loss: nn.Module, classes: int) -> None:
    logits, target = draw_case(10, batch=4, classes=classes)
    order = [2, 0, 3, 1]
    assert value(loss, (logits[order], target[order])) == pytest.approx(value(loss, (logits, target)), rel=1e-12)


@every_loss
@binary_and_classes
def test_the_ground_truth_costs_less_than_a_mistake_and_that_less_than_the_opposite(
    loss: nn.Module, classes: int
) -> None:
    _, target = draw_case(11, classes=classes, height=6, width=6, ignored=0.0)
    wanted = np.array([1]) if classes == 1 else np.arange(classes)
    right = np.where(target[:, None] == wanted[:, None, None], 8.0, -8.0)
    mistaken = right.copy()
    mistaken[0, :, 0, 0] *= -1
    ground_truth, mistake, opposite = (value(loss, (logits, target)) for logits in (right, mistaken, -right))
    assert ground_truth < mistake < opposite


@every_loss
@binary_and_classes
def test_following_the_gradient_finds_the_mask(loss: nn.Module, classes: int) -> None:
    _, target = draw_case(12, classes=classes, height=6, width=6, ignored=0.0)
    logits = torch.zeros(2, classes, 6, 6)
    for _ in range(25):
        logits.requires_grad_()
        (slope,) = torch.autograd.grad(loss(logits, torch.tensor(target)), logits)
        logits = logits.detach() - 0.2 * slope.sign()
    predicted = (logits[:, 0] > 0).long() if classes == 1 else logits.argmax(dim=1)
    assert (predicted.numpy() == target).mean() > 0.95


@every_loss
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32_also_inside_autocast(
    loss: nn.Module, classes: int, dtype: torch.dtype
) -> None:
    logits, target = tensors(draw_case(13, classes=classes, height=16, width=16), dtype=dtype)
    with torch.autocast("cpu", dtype=dtype):
        result = loss(logits, target)
    result.backward()
    upcast = logits.detach().float().requires_grad_()
    expected = loss(upcast, target)
    expected.backward()
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)
    assert torch.equal(logits.grad, upcast.grad.to(dtype))


@every_loss
@pytest.mark.parametrize("classes", [1, 3])
def test_never_waits_for_the_device(loss: nn.Module, classes: int) -> None:
    """Tensors on the meta device have no values, so looking at one (item, bool, a boolean index) raises."""
    logits = torch.empty(2, classes, 8, 8, device="meta", requires_grad=True)
    target = torch.empty(2, 8, 8, device="meta", dtype=torch.int64)
    result = loss(logits, target)
    result.backward()
    assert result.shape == ()
    assert logits.grad.shape == logits.shape


@every_loss
def test_has_no_state_to_keep(loss: nn.Module) -> None:
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}


@every_loss
def test_input_that_does_not_fit_is_named(loss: nn.Module) -> None:
    logits, target = tensors(draw_case(14, classes=3, batch=2, height=4, width=5))
    for wrong, ground_truth, message in [
        (logits, target[:1], r"logits \[2, 3, 4, 5\] and target \[1, 4, 5\] disagree"),
        (logits, target[:, None], "disagree"),
        (logits[0], target, "disagree"),
        (logits, target.float(), "must be int64 class indices, not torch.float32"),
        (logits, target.clamp(max=2).int(), "must be int64 class indices, not torch.int32"),
        (logits.detach().long(), target, "logits must be floating point, not torch.int64"),
        (logits, target.masked_fill(target == 0, 3), "the target has the value 3"),
        (logits, target.masked_fill(target == 0, -1), "the target has the value -1"),
        (logits[:, :1], target.masked_fill(target == 0, 2), "the target has the value 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            loss(wrong, ground_truth)


@pytest.mark.parametrize(
    ("loss", "option", "bad"),
    [
        (BCELoss, "pos_weight", [0.0, -1.0, float("inf"), float("nan")]),
        (CrossEntropyLoss, "label_smoothing", [-0.1, 1.0, float("nan")]),
        (CrossEntropyLoss, "class_weights", [(1.0, -1.0), (0.0, 0.0), (1.0, float("inf")), ()]),
        (DiceLoss, "smooth", [0.0, -1.0, float("inf"), float("nan")]),
        (FocalLoss, "gamma", [-1.0, float("inf"), float("nan")]),
        (FocalLoss, "alpha", [-0.1, 1.1, float("nan")]),
        (WSRLoss, "weight", [-0.1, float("inf"), float("nan")]),
        (WSRLoss, "contiguity", [-0.1, float("inf"), float("nan")]),
        (JaccardLoss, "smooth", [0.0, float("nan")]),
        (TverskyLoss, "alpha", [-0.1, float("inf"), float("nan")]),
        (TverskyLoss, "beta", [-0.1, float("inf"), float("nan")]),
        (TverskyLoss, "smooth", [0.0, float("nan")]),
        (FocalTverskyLoss, "alpha", [-0.1, float("inf"), float("nan")]),
        (FocalTverskyLoss, "beta", [-0.1, float("inf"), float("nan")]),
        (FocalTverskyLoss, "gamma", [0.75, 3.1, float("nan")]),
        (FocalTverskyLoss, "smooth", [0.0, float("nan")]),
    ],
)
def test_option_out_of_range_is_named_with_its_value(loss: type[nn.Module], option: str, bad: list[Any]) -> None:
    for wrong in bad:
        with pytest.raises(ValueError, match=f"^{option} is ") as caught:
            loss(**{option: wrong})
        assert repr(wrong) in str(caught.value)
        assert "\n" not in str(caught.value)
