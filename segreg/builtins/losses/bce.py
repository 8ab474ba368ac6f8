"""Binary cross-entropy."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.losses.balance import check_counted
from segreg.builtins.losses.common import check_input, masked_mean
from segreg.options import check_option


class BCELoss(nn.Module):
    """Binary cross-entropy of a sigmoid, averaged over pixels and classes.

    With K >= 2 each class has its own sigmoid, against all others. For a softmax use `cross-entropy`.

    Formula:
        mean of -(pos_weight t log p + (1 - t) log(1 - p)),  t 1 in the class and 0 outside,  p = sigmoid(logit)

    Args:
        pos_weight: Weight of the foreground pixels in the sum, against 1 for the background. Values above 1
            find more of small objects, at the cost of false positives. A finite number above 0. `balanced` computes it
            for each class from the training images: pixels outside the class over pixels in it, or 1 if
            either is 0.
        class_pixels: The training pixels of each class, for weights that follow from the data. Training passes them.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: pos_weight is out of range; the shapes disagree; the target has values that are neither a class
            nor 255.

    Reference: Goodfellow et al., Deep Learning, 2016, section 6.2.2.2.
    """

    weights: Tensor | None

    def __init__(self, *, pos_weight: float | Literal["balanced"] = 1.0, class_pixels: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.from_data: Mapping[str, object] = {}
        self.pos_weight = 1.0
        weights = None
        if isinstance(pos_weight, str):
            check_counted(pos_weight, class_pixels)
            total = sum(class_pixels)
            balanced = tuple((total - count) / count if 0 < count < total else 1.0 for count in class_pixels)
            weights = torch.tensor(balanced, dtype=torch.float32)
            self.from_data = {"pos_weight": balanced}
        else:
            check_option("pos_weight", pos_weight, 0 < pos_weight < math.inf, "a finite number above 0")
            self.pos_weight = pos_weight
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        if self.weights is None:
            # Created on the device: a tensor made from a Python number would have to be copied there.
            pos_weight = logits.new_full((), self.pos_weight)
        else:
            # With one logit, of background and foreground only the latter.
            pos_weight = self.weights[-task.num_classes :, None, None].to(logits)
        ground_truth = task.one_hot(target).to(logits)
        loss = F.binary_cross_entropy_with_logits(logits, ground_truth, pos_weight=pos_weight, reduction="none")
        return masked_mean(loss, valid)
