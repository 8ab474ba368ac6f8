"""Dice coefficient."""

from torch import Tensor

from segreg.builtins.metrics.averaging import ConfusionMetric


class Dice(ConfusionMetric):
    """Dice coefficient, the F1 score of the pixels.

    A class that is in neither prediction nor ground truth scores 1 in a binary task; with several classes the image
    (or, with `average="dataset"`, the class) is left out of the mean.

    Formula:
        2 TP / (2 TP + FP + FN)

    Args:
        num_classes: 1 for a binary task, which scores the foreground, or the number of classes, 2 to 255.
        average: `"image"` for the mean over images, `"dataset"` for pooled pixels.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  per_class(): float64 [K].

    Raises:
        ValueError: an option has an invalid value.

    Reference: Dice, Measures of the Amount of Ecologic Association Between Species, 1945.
    """

    def ratio(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Return twice the intersection and the sum of both areas."""
        return 2 * right, predicted + true
