"""Binary cross-entropy."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.losses.common import check_input, masked_mean
from segreg.options import check_option


class BCELoss(nn.Module):
    """Binary cross-entropy of a sigmoid, averaged over pixels and classes.

    With K >= 2 each class has its own sigmoid, against all others. For a softmax use `cross-entropy`.

    Formula:
        mean of -(pos_weight t log p + (1 - t) log(1 - p)),  t 1 in the class and 0 outside,  p = sigmoid(logit)

    Args:
        pos_weight: Weight of the foreground pixels in the sum, against 1 for the background. Values above 1
            find more of small objects, at the cost of false positives. A finite number above 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: pos_weight is out of range; the shapes disagree; the target has values that are neither a class
            nor 255.

    Reference: Goodfellow et al., Deep Learning, 2016, section 6.2.2.2.
    """

    def __init__(self, *, pos_weight: float = 1.0) -> None:
        super().__init__()
        check_option("pos_weight", pos_weight, 0 < pos_weight < math.inf, "a finite number above 0")
        self.pos_weight = pos_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        # Created on the device: a tensor made from a Python number would have to be copied there.
        pos_weight = logits.new_full((), self.pos_weight)
        ground_truth = task.one_hot(target).to(logits)
        loss = F.binary_cross_entropy_with_logits(logits, ground_truth, pos_weight=pos_weight, reduction="none")
        return masked_mean(loss, valid)
