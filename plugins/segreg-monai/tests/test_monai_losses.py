"""MONAI's losses under segreg's contract: the same value as MONAI, from the pixels that count."""

from typing import Any

import pytest
import torch
from monai import losses
from torch import Tensor, nn

import segreg
from segreg.errors import OptionError

# MONAI's classes with their options.
PEERS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "dice": (losses.DiceLoss, {}),
    "dice:squared_pred=true,smooth=0.5": (
        losses.DiceLoss,
        {"squared_pred": True, "smooth_nr": 0.5, "smooth_dr": 0.5},
    ),
    "dice:include_background=false": (losses.DiceLoss, {"include_background": False}),
    "jaccard": (losses.DiceLoss, {"jaccard": True}),
    "generalizeddice": (losses.GeneralizedDiceLoss, {}),
    "generalizeddice:w_type=simple": (losses.GeneralizedDiceLoss, {"w_type": "simple"}),
    "tversky:alpha=0.2,beta=0.9": (losses.TverskyLoss, {"alpha": 0.2, "beta": 0.9}),
    "focal": (losses.FocalLoss, {}),
    "focal:gamma=1.5,alpha=0.25": (losses.FocalLoss, {"gamma": 1.5, "alpha": 0.25}),
    "focal:use_softmax=true": (losses.FocalLoss, {"use_softmax": True}),
    "dicece": (losses.DiceCELoss, {}),
    "dicece:lambda_dice=0.5,lambda_ce=2": (losses.DiceCELoss, {"lambda_dice": 0.5, "lambda_ce": 2.0}),
    "dicefocal:gamma=1,lambda_focal=3": (losses.DiceFocalLoss, {"gamma": 1.0, "lambda_focal": 3.0}),
}
# MONAI warns that `include_background` has no effect with a single logit.
pytestmark = pytest.mark.filterwarnings("ignore:single channel prediction")
every_loss = pytest.mark.parametrize("name", PEERS)
binary_and_classes = pytest.mark.parametrize("classes", [1, 4])


def peer(name: str, classes: int) -> nn.Module:
    kind, options = PEERS[name]
    if kind is losses.FocalLoss:
        # A softmax over a single logit would be 1 everywhere.
        softmax = options.get("use_softmax", False) and classes > 1
        return kind(to_onehot_y=classes > 1, **{**options, "use_softmax": softmax})
    return kind(to_onehot_y=classes > 1, sigmoid=classes == 1, softmax=classes > 1, **options)


def ground_truth(target: Tensor, classes: int) -> Tensor:
    # MONAI one-hot encodes a ground truth of several classes itself, and leaves that of one unchanged.
    return target.float() if classes == 1 else target


def draw(classes: int, ignored: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(3, classes, 7, 5, generator=generator)
    target = torch.randint(0, max(classes, 2), (3, 7, 5), generator=generator)
    target[torch.rand(target.shape, generator=generator) < ignored] = 255
    return logits, target


@every_loss
@binary_and_classes
def test_gives_what_monai_gives(name: str, classes: int) -> None:
    logits, target = draw(classes)
    expected = peer(name, classes)(logits, ground_truth(target, classes)[:, None])
    torch.testing.assert_close(segreg.loss(f"monai/{name}")(logits, target), expected)


@every_loss
@binary_and_classes
def test_ignored_pixels_are_as_if_cut_out(name: str, classes: int) -> None:
    """MONAI averages over images or over pixels; with as many ignored in each image that is the mean over images."""
    logits, target = draw(classes)
    for image in target:
        image.view(-1)[torch.randperm(35)[:10]] = 255
    cut_out = []
    for image, mask in zip(logits, target, strict=True):
        counts = mask != 255
        pixels = image[:, counts][None, :, None], ground_truth(mask[counts], classes)[None, None, None]
        cut_out.append(peer(name, classes)(*pixels))
    torch.testing.assert_close(segreg.loss(f"monai/{name}")(logits, target), torch.stack(cut_out).mean())


@every_loss
@binary_and_classes
def test_an_image_that_is_ignored_as_a_whole_does_not_count(name: str, classes: int) -> None:
    logits, target = draw(classes, ignored=0.3)
    loss = segreg.loss(f"monai/{name}")
    expected = loss(logits[1:], target[1:])
    target[0] = 255
    torch.testing.assert_close(loss(logits, target), expected)


@every_loss
@binary_and_classes
def test_half_precision_is_taken(name: str, classes: int) -> None:
    logits, target = draw(classes, ignored=0.3)
    loss = segreg.loss(f"monai/{name}")
    value = loss(logits.bfloat16(), target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.bfloat16().float(), target))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("dice:smooth=0", "smooth is 0.0: expected a finite number above 0"),
        ("generalizeddice:w_type=cube", "w_type is 'cube'.*: expected 'square'"),
        ("tversky:beta=-1", "beta is -1.0: expected a finite number, at least 0"),
        ("focal:alpha=2", r"alpha is 2.0: expected in \[0, 1\], or None"),
        ("dicece:lambda_ce=-1", "lambda_ce is -1.0: expected a finite number, at least 0"),
        ("dicefocal:gamma=-1", "gamma is -1.0: expected a finite number, at least 0"),
    ],
)
def test_bad_options_are_refused(expression: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        segreg.loss(f"monai/{expression}")
