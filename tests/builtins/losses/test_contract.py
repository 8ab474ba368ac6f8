"""What every loss guarantees, tested on all of them."""

import importlib
from typing import Any

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
@binary_and_classes
def test_a_fully_ignored_image_does_not_count(loss: nn.Module, classes: int) -> None:
    logits, target = draw_case(8, batch=3, classes=classes)
    target[1] = 255
    rest = value(loss, (logits[[0, 2]], target[[0, 2]]))
    assert value(loss, (logits, target)) == pytest.approx(rest, rel=1e-12)


@every_loss
@binary_and_classes
def test_a_fully_ignored_batch_gives_a_loss_of_zero_with_a_zero_gradient(loss: nn.Module, classes: int) -> None:
    logits, target = tensors(draw_case(9, classes=classes, ignored=1.0))
    result = loss(logits, target)
    result.backward()
    assert result.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


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
def test_half_precision_is_computed_in_float32_even_under_autocast(
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
def test_has_no_parameters_and_no_state(loss: nn.Module) -> None:
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}


@every_loss
def test_input_of_a_wrong_shape_type_or_value_is_named(loss: nn.Module) -> None:
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
