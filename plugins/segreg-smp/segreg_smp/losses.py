"""The losses of segmentation_models_pytorch, adapted to infer the task from the logits and to leave ignored pixels out.

smp counts areas over the whole batch, where segreg's own losses count them in each image.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from segreg.builtins.losses.common import check_input
from segreg.compat import patch_torchvision
from segreg.contracts import IGNORE_INDEX
from segreg.options import check_option
from segreg.task import Task

patch_torchvision()

from segmentation_models_pytorch import losses as smp  # type: ignore[import-untyped]  # noqa: E402

# The sigmoid of this logit is exactly 0, in float32 too.
_SURELY_NOT = -1e4


class ByTask(nn.Module):
    """A loss whose mode smp sets beforehand, by the name of the task: here the logits decide it.

    Args:
        peer: The loss.
        options: Its options, except for the mode.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].
    """

    def __init__(self, peer: type[nn.Module], **options: Any) -> None:
        super().__init__()
        self.modes = nn.ModuleDict({mode: peer(mode, **options) for mode in ("binary", "multiclass")})

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, _, task = check_input(logits, target)
        value: Tensor = self.modes[task.name](logits, target)
        return value


def dice(*, smooth: float = 0.0, log_loss: bool = False) -> nn.Module:
    """Dice loss of smp: one minus the overlap, counted over the batch, averaged over the classes.

    A class that is absent from the batch contributes 0.

    Args:
        smooth: Added to both sides of the ratio. In pixels, at least 0.
        log_loss: Whether to take minus the logarithm of the overlap.

    Raises:
        ValueError: smooth is out of range.

    Reference: Milletari et al., V-Net, 2016, arXiv:1606.04797.
    """
    _check_not_negative(smooth=smooth)
    return ByTask(smp.DiceLoss, smooth=smooth, log_loss=log_loss, ignore_index=IGNORE_INDEX)


def jaccard(*, smooth: float = 0.0, log_loss: bool = False) -> nn.Module:
    """Jaccard loss of smp: one minus intersection over union, counted over the batch, averaged over the classes.

    A class that is absent from the batch contributes 0.

    Args:
        smooth: Added to both sides of the ratio. In pixels, at least 0.
        log_loss: Whether to take minus the logarithm of the ratio.

    Raises:
        ValueError: smooth is out of range.

    Reference: Rahman and Wang, Optimizing Intersection-over-Union, 2016.
    """
    _check_not_negative(smooth=smooth)
    return ByTask(smp.JaccardLoss, smooth=smooth, log_loss=log_loss, ignore_index=IGNORE_INDEX)


def tversky(*, alpha: float = 0.5, beta: float = 0.5, smooth: float = 0.0) -> nn.Module:
    """Tversky loss of smp: Dice with weights for false positives and false negatives.

    Args:
        alpha: Weight of false positives. At least 0.
        beta: Weight of false negatives. At least 0.
        smooth: Added to both sides of the ratio. In pixels, at least 0.

    Raises:
        ValueError: an option is out of range.

    Reference: Salehi et al., Tversky loss function, 2017, arXiv:1706.05721.
    """
    _check_not_negative(alpha=alpha, beta=beta, smooth=smooth)
    return ByTask(smp.TverskyLoss, alpha=alpha, beta=beta, smooth=smooth, ignore_index=IGNORE_INDEX)


class Focal(nn.Module):
    """Focal loss of smp: binary cross-entropy that focuses on the pixels still wrong, with one sigmoid per class.

    Args:
        gamma: Strength of the focus. At least 0; at 0 it is plain cross-entropy.
        alpha: Weight of the foreground, in [0, 1], against 1 - alpha for the background. `None` weights both by 1.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range.

    Reference: Lin et al., Focal Loss for Dense Object Detection, 2017, arXiv:1708.02002.
    """

    def __init__(self, *, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        _check_not_negative(gamma=gamma)
        check_option("alpha", alpha, alpha is None or 0 <= alpha <= 1, "in [0, 1], or None")
        self.loss = ByTask(smp.FocalLoss, gamma=gamma, alpha=alpha)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        # Given an index to ignore, smp waits for the device to count pixels, and gives nan if all are ignored. A pixel
        # that is certainly and correctly no class adds 0 to the sum instead, and the mean is taken over the others.
        mean: Tensor = self.loss(*_surely_right(task, logits, target, valid))
        return mean * (valid.numel() / valid.sum().clamp(min=1))


class Lovasz(nn.Module):
    """Lovász loss of smp: hinge for one logit, softmax for several, over the batch as if it were one image.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Reference: Berman et al., The Lovász-Softmax loss, 2018, arXiv:1705.08790.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hinge = smp.LovaszLoss("binary")
        self.softmax = smp.LovaszLoss("multiclass", ignore_index=IGNORE_INDEX)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        # smp multiplies by weights in float32, and accepts no other type.
        logits = logits.float()
        value: Tensor
        if task.independent:
            # As for the focal loss: a negative hinge is sorted behind everything that counts.
            value = self.hinge(*_surely_right(task, logits, target, valid))
        else:
            # Where all pixels are ignored, smp gives a tensor without elements.
            value = self.softmax(logits, target).sum()
        return value


class MCC(nn.Module):
    """Matthews correlation coefficient loss of smp, which takes all four cells of the confusion matrix into account.

    smp has it for binary tasks only. With K >= 2 this is the mean over the classes, each against the rest.

    Args:
        eps: Added to each of the four counts, so that none is 0. In pixels, above 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: eps is out of range.

    Reference: Abhishek and Hamarneh, Matthews Correlation Coefficient Loss, 2021, arXiv:2010.13454.
    """

    def __init__(self, *, eps: float = 1e-5) -> None:
        super().__init__()
        check_option("eps", eps, 0 < eps < math.inf, "a finite number of pixels above 0")
        self.loss = smp.MCCLoss(eps)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        ground_truth, valid = task.one_hot(target).to(logits), valid.expand_as(logits)
        classes = zip(task.activate(logits).unbind(1), ground_truth.unbind(1), valid.unbind(1), strict=True)
        return torch.stack([self.loss(found[kept][None], real[kept][None]) for found, real, kept in classes]).mean()


def _surely_right(task: Task, logits: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Make ignored pixels certain background; with several logits, of no class at all."""
    logits = logits.masked_fill(~valid, _SURELY_NOT)
    return logits, target.where(target != IGNORE_INDEX, 0) if task.independent else target


def _check_not_negative(**options: float) -> None:
    for name, value in options.items():
        check_option(name, value, 0 <= value < math.inf, "a finite number, at least 0")
