"""Cross-entropy over the classes."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.losses.balance import Balance, weights_of_classes
from segreg.builtins.losses.common import check_input
from segreg.contracts import IGNORE_INDEX
from segreg.options import check_option


class CrossEntropyLoss(nn.Module):
    """Cross-entropy of a softmax over the classes, averaged over pixels; with one logit, of a sigmoid.

    Formula:
        sum of -w log p / sum of w,  p the probability of a pixel's true class,  w the weight of that class

    Args:
        class_weights: One weight per class; two (background, foreground) for one logit. The mean is weighted: the sum
            over pixels is divided by the sum of their weights. Finite, not negative, not all 0. `balanced` and
            `median-frequency` compute them from the training images, where a class that does not occur has weight 0:
            the first gives each class the same sum of weights, the second weighs a class by the median frequency over
            its own, its share of the pixels of the images in which it occurs.
        label_smoothing: Fraction of the target that is spread evenly over all classes, in [0, 1).
        class_pixels: The training pixels of each class, for weights that follow from the data. Training passes them.
        class_image_pixels: The pixels of the training images in which each class occurs, likewise.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: an option is out of range; class_weights does not match the number of classes; the shapes
            disagree; the target has values that are neither a class nor 255.

    Reference: Goodfellow et al., Deep Learning, 2016, section 6.2.2.3; label smoothing: Szegedy et al., Rethinking the
        Inception Architecture, 2015, arXiv:1512.00567, section 7; median frequency: Eigen and Fergus, Predicting Depth,
        Surface Normals and Semantic Labels, 2015, arXiv:1411.4734, section 6.3.2.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        class_weights: tuple[float, ...] | Balance | None = None,
        label_smoothing: float = 0.0,
        class_pixels: tuple[int, ...] = (),
        class_image_pixels: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.from_data: Mapping[str, object] = {}
        if isinstance(class_weights, str):
            class_weights = weights_of_classes(class_weights, class_pixels, class_image_pixels)
            self.from_data = {"class_weights": class_weights}
        check_option("label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "in [0, 1)")
        if class_weights is not None:
            accepted = all(0 <= weight < math.inf for weight in class_weights) and any(class_weights)
            check_option("class_weights", class_weights, accepted, "finite numbers, none negative, not all 0")
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, _, task = check_input(logits, target)
        logits, target = task.as_softmax(logits, target)
        valid = target != IGNORE_INDEX
        weights = self._weights(logits)
        total = F.cross_entropy(
            logits,
            target,
            weight=weights,
            ignore_index=IGNORE_INDEX,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        divisor = torch.where(valid, weights[torch.where(valid, target, 0)], 0).sum()
        # Where no pixel has weight, dividing by infinity gives 0 and a gradient of 0; dividing by 0 gives nan.
        return total / torch.where(divisor > 0, divisor, math.inf)

    def _weights(self, logits: Tensor) -> Tensor:
        num_classes = logits.shape[1]
        if self.class_weights is None:
            return logits.new_ones(num_classes)
        if len(self.class_weights) != num_classes:
            raise ValueError(f"class_weights has {len(self.class_weights)} weights for {num_classes} classes")
        return self.class_weights.to(logits.dtype)
