"""The losses of MONAI, adapted to infer the task from the logits and to leave ignored pixels out.

MONAI averages over all classes, including those absent from an image; segreg's own losses leave these out.
"""

import math
from typing import Literal

from torch import Tensor, nn

from segreg.builtins.losses.common import check_input, masked_mean
from segreg.builtins.losses.cross_entropy import CrossEntropyLoss
from segreg.builtins.losses.weighted_sum import WeightedSum
from segreg.compat import patch_torchvision
from segreg.options import check_option

patch_torchvision()

from monai.losses.dice import DiceLoss, GeneralizedDiceLoss  # noqa: E402
from monai.losses.focal_loss import FocalLoss  # noqa: E402
from monai.losses.tversky import TverskyLoss  # noqa: E402


class Overlap(nn.Module):
    """A loss of MONAI that is a ratio of sums over an image.

    At ignored pixels, probabilities and ground truth are zero, which adds nothing to any of the sums. An image that is
    ignored as a whole does not count.

    Args:
        peer: The loss, which takes probabilities and a one-hot ground truth and returns a row of values for each image.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].
    """

    def __init__(self, peer: nn.Module) -> None:
        super().__init__()
        self.peer = peer

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        probability, ground_truth = task.activate(logits), task.one_hot(target).to(logits)
        values = self.peer(probability * valid, ground_truth).flatten(1)
        return masked_mean(values, valid.flatten(1).any(dim=1, keepdim=True))


def dice(
    *, include_background: bool = True, squared_pred: bool = False, jaccard: bool = False, smooth: float = 1e-5
) -> nn.Module:
    """DiceLoss of MONAI: one minus the overlap, averaged over images and all classes.

    Args:
        include_background: Whether the first of several classes counts. With one logit there is only the foreground.
        squared_pred: Whether areas are sums of squares, as in the paper.
        jaccard: Whether to use intersection over union instead of Dice.
        smooth: Added to both sides of the ratio. In pixels, above 0.

    Raises:
        ValueError: smooth is out of range.

    Reference: Milletari et al., V-Net, 2016, arXiv:1606.04797.
    """
    _check_smooth(smooth)
    return Overlap(
        DiceLoss(
            include_background=include_background,
            squared_pred=squared_pred,
            jaccard=jaccard,
            reduction="none",
            smooth_nr=smooth,
            smooth_dr=smooth,
        )
    )


def generalizeddice(
    *,
    include_background: bool = True,
    w_type: Literal["square", "simple", "uniform"] = "square",
    smooth: float = 1e-5,
) -> nn.Module:
    """GeneralizedDiceLoss of MONAI: the overlap of all classes together, each weighted by how small it is.

    With one logit the weight cancels out, and nothing is learnt from an image without foreground.

    Args:
        include_background: Whether the first of several classes counts. With one logit there is only the foreground.
        w_type: The weight: one over the square of the area, one over the area, or 1.
        smooth: Added to both sides of the ratio. In weighted pixels, above 0.

    Raises:
        ValueError: smooth is out of range.

    Reference: Sudre et al., Generalised Dice overlap, 2017, arXiv:1707.03237.
    """
    _check_smooth(smooth)
    return Overlap(
        GeneralizedDiceLoss(
            include_background=include_background,
            w_type=w_type,
            reduction="none",
            smooth_nr=smooth,
            smooth_dr=smooth,
        )
    )


def tversky(
    *, alpha: float = 0.5, beta: float = 0.5, include_background: bool = True, smooth: float = 1e-5
) -> nn.Module:
    """TverskyLoss of MONAI: Dice with weights for false positives and false negatives.

    Args:
        alpha: Weight of false positives. At least 0.
        beta: Weight of false negatives. At least 0.
        include_background: Whether the first of several classes counts. With one logit there is only the foreground.
        smooth: Added to both sides of the ratio. In pixels, above 0.

    Raises:
        ValueError: an option is out of range.

    Reference: Salehi et al., Tversky loss function, 2017, arXiv:1706.05721.
    """
    _check_not_negative(alpha=alpha, beta=beta)
    _check_smooth(smooth)
    return Overlap(
        TverskyLoss(
            alpha=alpha,
            beta=beta,
            include_background=include_background,
            reduction="none",
            smooth_nr=smooth,
            smooth_dr=smooth,
        )
    )


class Focal(nn.Module):
    """FocalLoss of MONAI: cross-entropy that focuses on the pixels still wrong, averaged over pixels and classes.

    Args:
        gamma: Strength of the focus. At least 0; at 0 it is plain cross-entropy.
        alpha: Weight of the foreground, in [0, 1], against 1 - alpha for the background. `None` weights both by 1.
        use_softmax: Whether several classes share a softmax; otherwise each has a sigmoid.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range.

    Reference: Lin et al., Focal Loss for Dense Object Detection, 2017, arXiv:1708.02002.
    """

    def __init__(self, *, gamma: float = 2.0, alpha: float | None = None, use_softmax: bool = False) -> None:
        super().__init__()
        _check_not_negative(gamma=gamma)
        check_option("alpha", alpha, alpha is None or 0 <= alpha <= 1, "in [0, 1], or None")
        self.sigmoid = FocalLoss(gamma=gamma, alpha=alpha, reduction="none")
        self.softmax = FocalLoss(gamma=gamma, alpha=alpha, reduction="none", use_softmax=use_softmax)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        loss = self.sigmoid if task.independent else self.softmax
        return masked_mean(loss(logits, task.one_hot(target).to(logits)), valid)


def dicece(*, lambda_dice: float = 1.0, lambda_ce: float = 1.0) -> nn.Module:
    """DiceCELoss of MONAI: the sum of its Dice loss and of cross-entropy, which is torch's in MONAI as in segreg.

    Args:
        lambda_dice: Weight of the Dice loss. At least 0.
        lambda_ce: Weight of cross-entropy. At least 0.

    Raises:
        ValueError: a weight is out of range.

    Reference: Isensee et al., nnU-Net, 2019, arXiv:1904.08128.
    """
    _check_not_negative(lambda_dice=lambda_dice, lambda_ce=lambda_ce)
    return WeightedSum([(lambda_dice, dice()), (lambda_ce, CrossEntropyLoss())])


def dicefocal(*, gamma: float = 2.0, lambda_dice: float = 1.0, lambda_focal: float = 1.0) -> nn.Module:
    """DiceFocalLoss of MONAI: the sum of its Dice loss and of its focal loss, which has one sigmoid per class.

    Args:
        gamma: How strongly the focal loss focuses on the pixels still wrong. At least 0.
        lambda_dice: Weight of the Dice loss. At least 0.
        lambda_focal: Weight of the focal loss. At least 0.

    Raises:
        ValueError: an option is out of range.

    Reference: Zhu et al., AnatomyNet, 2018, arXiv:1808.05238.
    """
    _check_not_negative(lambda_dice=lambda_dice, lambda_focal=lambda_focal)
    return WeightedSum([(lambda_dice, dice()), (lambda_focal, Focal(gamma=gamma))])


def _check_smooth(smooth: float) -> None:
    check_option("smooth", smooth, 0 < smooth < math.inf, "a finite number above 0")


def _check_not_negative(**options: float) -> None:
    for name, value in options.items():
        check_option(name, value, 0 <= value < math.inf, "a finite number, at least 0")
