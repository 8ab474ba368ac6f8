"""Focal Tversky loss."""

import math

from torch import Tensor, nn

from segreg.builtins.losses.common import masked_mean, soft_overlap
from segreg.options import check_option

STRAIGHT_BELOW = 1e-6
"""The Tversky loss below which its root is replaced by a straight line: the slope of the root is infinite at 0."""


class FocalTverskyLoss(nn.Module):
    """Focal Tversky loss: the Tversky loss of each image and class to the power 1 / gamma, then averaged.

    A gamma above 1 makes the loss steeper where the overlap is nearly perfect, so that gradients persist there, and
    flatter where it is poor. With K >= 2 the mean is over the classes present in each image, with one logit over all
    images.

    Formula:
        mean of T^(1 / gamma),  T = 1 - (tp + smooth) / (tp + alpha fp + beta fn + smooth)

    Args:
        alpha: Weight of false positives. Finite, at least 0. (The paper calls the weight of false negatives alpha.)
        beta: Weight of false negatives. Finite, at least 0.
        gamma: Degree of the root, in [1, 3]. 1 gives the Tversky loss.
        smooth: Added to numerator and denominator, so that an empty mask predicted empty costs 0. In pixels, above 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range; the shapes disagree; the target has values that are neither a class nor
            255.

    Reference: Abraham and Khan, A Novel Focal Tversky Loss Function, 2018, arXiv:1810.07842,
        with its weights and gamma.
    """

    def __init__(self, *, alpha: float = 0.3, beta: float = 0.7, gamma: float = 4 / 3, smooth: float = 1.0) -> None:
        super().__init__()
        check_option("alpha", alpha, 0 <= alpha < math.inf, "a finite number, at least 0")
        check_option("beta", beta, 0 <= beta < math.inf, "a finite number, at least 0")
        check_option("gamma", gamma, 1 <= gamma <= 3, "in [1, 3]")
        check_option("smooth", smooth, 0 < smooth < math.inf, "a finite number of pixels above 0")
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        tp, fp, fn, counted = soft_overlap(logits, target)
        wrong = self.alpha * fp + self.beta * fn
        tversky = wrong / (tp + wrong + self.smooth)
        root = tversky * tversky.clamp(min=STRAIGHT_BELOW) ** (1 / self.gamma - 1)
        return masked_mean(root, counted)
