"""Jaccard loss."""

import math

from torch import Tensor, nn

from segreg.builtins.losses.common import masked_mean, soft_overlap
from segreg.options import check_option


class JaccardLoss(nn.Module):
    """Soft Jaccard loss: one minus intersection over union, averaged over images and classes.

    True positives, false positives and false negatives, tp, fp and fn, are sums of probabilities, per image and class.
    With K >= 2 the mean is over the classes present in each image, with one logit over all images.

    Formula:
        mean of 1 - (tp + smooth) / (tp + fp + fn + smooth)

    Args:
        smooth: Added to numerator and denominator, so that an empty mask predicted empty costs 0. In pixels, above 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: smooth is out of range; the shapes disagree; the target has values that are neither a class nor
            255.

    Reference: Rahman and Wang, Optimizing Intersection-over-Union in Deep Neural Networks for Image Segmentation, 2016.
    """

    def __init__(self, *, smooth: float = 1.0) -> None:
        super().__init__()
        check_option("smooth", smooth, 0 < smooth < math.inf, "a finite number of pixels above 0")
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        tp, fp, fn, counted = soft_overlap(logits, target)
        wrong = fp + fn
        return masked_mean(wrong / (tp + wrong + self.smooth), counted)
