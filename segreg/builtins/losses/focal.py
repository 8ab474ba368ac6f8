"""Focal loss."""

import math
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from segreg.builtins.losses.balance import check_counted
from segreg.builtins.losses.common import check_input, masked_mean
from segreg.options import check_option
from segreg.task import IGNORE_INDEX, Multiclass


class FocalLoss(nn.Module):
    """Cross-entropy times (1 - p)^gamma, p the probability of the true class, averaged over pixels.

    Well-classified pixels are down-weighted, so that the loss focuses on those still wrong. The classes share a
    softmax; with one logit it is a sigmoid.

    Formula:
        mean of -a (1 - p)^gamma log p,  p the probability of the true class,
        a = alpha in the foreground and 1 - alpha in the background, or 1 without alpha

    Args:
        gamma: How fast the weight falls as p approaches 1. 0 is plain cross-entropy. Finite, at least 0.
        alpha: Weight of the foreground (class 1), against 1 - alpha for the background, in [0, 1]; the paper's is
            0.25. `None` weighs all classes alike, and `balanced` is the background's share of the training pixels, so
            that both have the same sum of weights. Only for binary tasks, K = 1 or 2.
        class_pixels: The training pixels of each class, for weights that follow from the data. Training passes them.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range; alpha is given for more than two classes; the shapes disagree; the
            target has values that are neither a class nor 255.

    Reference: Lin et al., Focal Loss for Dense Object Detection, 2017, arXiv:1708.02002, eq. 4, and 5 for alpha. The
        paper divides the sum by the number of anchors assigned to an object; here it is a mean over pixels.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | Literal["balanced"] | None = None,
        class_pixels: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.from_data: Mapping[str, object] = {}
        if isinstance(alpha, str):
            check_counted(alpha, class_pixels)
            if len(class_pixels) != 2:
                raise ValueError(f"alpha is {alpha!r}: expected None with {len(class_pixels)} classes")
            alpha = class_pixels[0] / sum(class_pixels)
            self.from_data = {"alpha": alpha}
        check_option("gamma", gamma, 0 <= gamma < math.inf, "a finite number, at least 0")
        check_option("alpha", alpha, alpha is None or 0 <= alpha <= 1, "None or in [0, 1]")
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, _, task = check_input(logits, target)
        logits, target = task.as_softmax(logits, target)
        ground_truth = Multiclass(task.num_values).one_hot(target).to(logits)
        # Both p and 1 - p as logarithms: 1 - p itself rounds to 0, where its power has no finite derivative.
        log_probability = logits.log_softmax(dim=1)
        log_p = (log_probability * ground_truth).sum(dim=1)
        log_not_p = log_probability.masked_fill(ground_truth.bool(), -math.inf).logsumexp(dim=1)
        loss = -(self.gamma * log_not_p).exp() * log_p
        return masked_mean(loss * self._balance(ground_truth), target != IGNORE_INDEX)

    def _balance(self, ground_truth: Tensor) -> Tensor | float:
        if self.alpha is None:
            return 1.0
        if ground_truth.shape[1] != 2:
            raise ValueError(f"alpha is {self.alpha!r}: expected None with {ground_truth.shape[1]} classes")
        return (1 - self.alpha) * ground_truth[:, 0] + self.alpha * ground_truth[:, 1]
