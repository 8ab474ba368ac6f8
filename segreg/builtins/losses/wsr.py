"""Cross-entropy with weakly supervised regularisation."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.losses.common import check_input, masked_mean
from segreg.options import check_option


class WSRLoss(nn.Module):
    """Binary cross-entropy plus a term that keeps the prediction sparse and one that keeps it in one piece.

    With K >= 2 each class has its own sigmoid. Differences are taken between neighbours that are both not ignored.

    That "WSR" in reports of segmentation experiments stands for this loss, weakly supervised regularisation, is an
    inference from the literature, not a definition found under that name.

    Formula:
        BCE + weight * (mean p + contiguity * (mean |p - p to the right| + mean |p - p below|)),  p = sigmoid(logit)

    Args:
        weight: Weight of both terms. Finite, at least 0; keep it well under 1: above 1 the best prediction of a
            foreground pixel is p = 1 / weight, so that from 2 on nothing passes a threshold of 0.5.
        contiguity: Weight of the differences against the sparsity. Finite, at least 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range; the shapes disagree; the target has values that are neither a class nor
            255.

    Reference: Ferreira et al., Physiological Inspired Deep Neural Networks for Emotion Recognition, IEEE Access
        6:53930, 2018.
    """

    def __init__(self, *, weight: float = 0.1, contiguity: float = 1.0) -> None:
        super().__init__()
        check_option("weight", weight, 0 <= weight < math.inf, "a finite number, at least 0")
        check_option("contiguity", contiguity, 0 <= contiguity < math.inf, "a finite number, at least 0")
        self.weight = weight
        self.contiguity = contiguity

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        loss = F.binary_cross_entropy_with_logits(logits, task.one_hot(target).to(logits), reduction="none")
        p = logits.sigmoid()
        rightward = masked_mean(p.diff(dim=3).abs(), valid[..., 1:] & valid[..., :-1])
        downward = masked_mean(p.diff(dim=2).abs(), valid[..., 1:, :] & valid[..., :-1, :])
        regularisation = masked_mean(p, valid) + self.contiguity * (rightward + downward)
        return masked_mean(loss, valid) + self.weight * regularisation
