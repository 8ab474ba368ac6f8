"""Where the definitions agree, other libraries must give the same number."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.losses.bce import BCELoss
from segreg.builtins.losses.cross_entropy import CrossEntropyLoss
from segreg.builtins.losses.dice import DiceLoss
from segreg.builtins.losses.focal import FocalLoss
from segreg.builtins.losses.focal_tversky import FocalTverskyLoss
from segreg.builtins.losses.jaccard import JaccardLoss
from segreg.builtins.losses.lovasz import LovaszLoss
from segreg.builtins.losses.tversky import TverskyLoss
from tests.builtins.losses.cases import draw_case, tensors
from tests.peers import import_monai, import_smp


def draw(classes: int, *, batch: int = 3, ignored: float = 0.0) -> tuple[Tensor, Tensor]:
    """Images large enough to show every class, in float32, the only dtype of some peers."""
    logits, target = tensors(draw_case(0, batch=batch, classes=classes, height=12, width=10, ignored=ignored))
    shown = [len(image[image != 255].unique()) for image in target]
    assert shown == [max(classes, 2)] * batch
    return logits.detach().float(), target


def assert_same(loss: nn.Module, peer: nn.Module, logits: Tensor, target: Tensor, peer_target: Tensor) -> None:
    torch.testing.assert_close(loss(logits, target), peer(logits, peer_target), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("smooth", [0.5, 1.0])
def test_monai_overlap_losses(classes: int, smooth: float) -> None:
    """MONAI averages over all images and classes, so all classes must be present, and has no ignored pixels here."""
    losses = import_monai().losses
    logits, target = draw(classes)
    options = {"sigmoid": classes == 1, "softmax": classes > 1, "to_onehot_y": classes > 1}
    options |= {"smooth_nr": smooth, "smooth_dr": smooth}
    ground_truth = target[:, None]
    assert_same(DiceLoss(smooth=smooth), losses.DiceLoss(**options), logits, target, ground_truth)
    assert_same(JaccardLoss(smooth=smooth / 2), losses.DiceLoss(jaccard=True, **options), logits, target, ground_truth)
    tversky = losses.TverskyLoss(alpha=0.2, beta=0.9, **options)
    assert_same(TverskyLoss(alpha=0.2, beta=0.9, smooth=smooth), tversky, logits, target, ground_truth)


def test_monai_focal() -> None:
    """MONAI averages the softmax form over classes too, of which all except the true one are 0."""
    losses = import_monai().losses
    logits, target = draw(4)
    expected = 4 * losses.FocalLoss(gamma=3.0, use_softmax=True, to_onehot_y=True)(logits, target[:, None])
    torch.testing.assert_close(FocalLoss(gamma=3.0)(logits, target), expected)
    logits, target = draw(1)
    assert_same(FocalLoss(alpha=0.25), losses.FocalLoss(alpha=0.25), logits, target, target[:, None])


@pytest.mark.parametrize("classes", [1, 4])
def test_smp_overlap_losses(classes: int) -> None:
    """smp pools the batch, so it is given one image, and adds its smoothing to tp, not to twice tp."""
    losses = import_smp().losses
    mode = "binary" if classes == 1 else "multiclass"
    logits, target = draw(classes, batch=1, ignored=0.2)
    options = {"mode": mode, "ignore_index": 255, "smooth": 1.0}
    assert_same(DiceLoss(smooth=2.0), losses.DiceLoss(**options), logits, target, target)
    tversky = losses.TverskyLoss(alpha=0.3, beta=0.7, **options)
    assert_same(TverskyLoss(), tversky, logits, target, target)
    if classes == 1:
        jaccard = losses.JaccardLoss(mode=mode, smooth=1.0)
        whole = draw(classes, batch=1)
        assert_same(JaccardLoss(), jaccard, *whole, whole[1])
        root = losses.TverskyLoss(alpha=0.3, beta=0.7, gamma=0.75, **options)
        assert_same(FocalTverskyLoss(), root, logits, target, target)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_smp_focal(alpha: float | None) -> None:
    logits, target = draw(1, ignored=0.2)
    peer = import_smp().losses.FocalLoss("binary", alpha=alpha, ignore_index=255)
    assert_same(FocalLoss(alpha=alpha), peer, logits, target, target)


@pytest.mark.parametrize(("classes", "mode"), [(1, "binary"), (4, "multiclass")])
def test_smp_lovasz(classes: int, mode: str) -> None:
    logits, target = draw(classes, ignored=0.2)
    peer = import_smp().losses.LovaszLoss(mode, per_image=True, ignore_index=255)
    assert_same(LovaszLoss(), peer, logits, target, target)


def test_smp_cross_entropies() -> None:
    losses = import_smp().losses
    logits, target = draw(1)
    weighted = losses.SoftBCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    assert_same(BCELoss(pos_weight=3.0), weighted, logits, target, target[:, None].float())
    logits, target = draw(4)
    assert_same(
        CrossEntropyLoss(label_smoothing=0.1), losses.SoftCrossEntropyLoss(smooth_factor=0.1), logits, target, target
    )
    several = losses.SoftBCEWithLogitsLoss()
    assert_same(BCELoss(), several, logits, target, F.one_hot(target, 4).movedim(3, 1).float())
