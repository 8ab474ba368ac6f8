"""Tversky loss."""

import math

from torch import Tensor, nn

from segreg.builtins.losses.common import masked_mean, soft_overlap
from segreg.options import check_option


class TverskyLoss(nn.Module):
    """Tversky loss: Dice with separate weights for false positives and false negatives.

    True positives, false positives and false negatives, tp, fp and fn, are sums of probabilities, per image and class.
    alpha = beta = 0.5 is Dice with twice the smooth, alpha = beta = 1 is Jaccard. With K >= 2 the mean is over the
    classes present in each image, with one logit over all images.

    Formula:
        mean of 1 - (tp + smooth) / (tp + alpha fp + beta fn + smooth)

    Args:
        alpha: Weight of false positives. Finite, at least 0.
        beta: Weight of false negatives. Finite, at least 0. Above alpha it favours recall over precision.
        smooth: Added to numerator and denominator, so that an empty mask predicted empty costs 0. In pixels, above 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range; the shapes disagree; the target has values that are neither a class nor
            255.

    Reference: Salehi et al., Tversky loss function for image segmentation using 3D fully convolutional deep networks,
        2017, arXiv:1706.05721; the weights are those of its best result.
    """

    def __init__(self, *, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0) -> None:
        super().__init__()
        check_option("alpha", alpha, 0 <= alpha < math.inf, "a finite number, at least 0")
        check_option("beta", beta, 0 <= beta < math.inf, "a finite number, at least 0")
        check_option("smooth", smooth, 0 < smooth < math.inf, "a finite number of pixels above 0")
        self.alpha = alpha
        self.beta = beta
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        tp, fp, fn, counted = soft_overlap(logits, target)
        wrong = self.alpha * fp + self.beta * fn
        return masked_mean(wrong / (tp + wrong + self.smooth), counted)
