"""smp's losses under segreg's contract: the same value as smp, from the pixels that count."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import segreg
from segreg.errors import OptionError
from segreg_smp.architectures import smp

Peer = Callable[..., Any]


def mcc(mode: str) -> Peer:
    """smp's loss of one probability per pixel: of the sigmoid, or the mean over classes against the rest."""
    peer = smp.losses.MCCLoss()
    if mode == "binary":
        return lambda logits, target: peer(logits.sigmoid(), target)
    return lambda logits, target: torch.stack(
        [peer(found, (target == label).long()) for label, found in enumerate(logits.softmax(1).unbind(1))]
    ).mean()


PEERS: dict[str, Peer] = {
    "dice": smp.losses.DiceLoss,
    "dice:smooth=2.0,log_loss=true": lambda mode: smp.losses.DiceLoss(mode, smooth=2.0, log_loss=True),
    "jaccard": smp.losses.JaccardLoss,
    "jaccard:smooth=0.5": lambda mode: smp.losses.JaccardLoss(mode, smooth=0.5),
    "tversky:alpha=0.3,beta=0.7,smooth=1": lambda mode: smp.losses.TverskyLoss(mode, alpha=0.3, beta=0.7, smooth=1.0),
    "focal": smp.losses.FocalLoss,
    "focal:gamma=0.5,alpha=0.25": lambda mode: smp.losses.FocalLoss(mode, gamma=0.5, alpha=0.25),
    "lovasz": smp.losses.LovaszLoss,
    "mcc": mcc,
}
every_loss = pytest.mark.parametrize("name", PEERS)
binary_and_classes = pytest.mark.parametrize("classes", [1, 4])


def draw(classes: int, ignored: float = 0.0) -> tuple[Tensor, Tensor, Peer]:
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(3, classes, 7, 5, generator=generator)
    target = torch.randint(0, max(classes, 2), (3, 7, 5), generator=generator)
    target[torch.rand(target.shape, generator=generator) < ignored] = 255
    return logits, target, lambda name: PEERS[name]("binary" if classes == 1 else "multiclass")


@every_loss
@binary_and_classes
def test_gives_what_smp_gives(name: str, classes: int) -> None:
    logits, target, peer = draw(classes)
    torch.testing.assert_close(segreg.loss(f"smp/{name}")(logits, target), peer(name)(logits, target))


@every_loss
@binary_and_classes
def test_ignored_pixels_are_as_if_cut_out(name: str, classes: int) -> None:
    """smp pools the pixels of a batch, so those that count make one image."""
    logits, target, peer = draw(classes, ignored=0.3)
    counts = target != 255
    assert 0 < counts.sum() < counts.numel()
    cut_out = logits.movedim(1, 0)[:, counts][None, :, None], target[counts][None, None]
    torch.testing.assert_close(segreg.loss(f"smp/{name}")(logits, target), peer(name)(*cut_out))


@every_loss
@binary_and_classes
def test_half_precision_is_taken(name: str, classes: int) -> None:
    logits, target, _ = draw(classes, ignored=0.3)
    loss = segreg.loss(f"smp/{name}")
    value = loss(logits.bfloat16(), target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.bfloat16().float(), target))


def test_binary_lovasz_does_not_wait_for_the_device() -> None:
    """The conformance kit cannot check this: with several classes smp does wait, which the record declares."""
    logits = torch.empty(2, 1, 4, 4, device="meta")
    target = torch.empty(2, 4, 4, dtype=torch.int64, device="meta")
    assert segreg.loss("smp/lovasz")(logits, target).shape == ()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("dice:smooth=-1", "smooth is -1.0: expected a finite number, at least 0"),
        ("tversky:alpha=-1", "alpha is -1.0: expected a finite number, at least 0"),
        ("focal:alpha=2", r"alpha is 2.0: expected in \[0, 1\], or None"),
        ("mcc:eps=0", "eps is 0.0: expected a finite number of pixels above 0"),
    ],
)
def test_bad_options_are_refused(expression: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        segreg.loss(f"smp/{expression}")
