"""Precision."""

from torch import Tensor

from segreg.builtins.metrics.averaging import ConfusionMetric


class Precision(ConfusionMetric):
    """Share of the predicted area that is correct.

    A class that is in the ground truth but not predicted scores 0. One that is in neither scores 1 in a binary task;
    with several classes the image (or, with `average="dataset"`, the class) is left out of the mean.

    Formula:
        TP / (TP + FP)

    Args:
        num_classes: 1 for a binary task, which scores the foreground, or the number of classes, 2 to 255.
        average: `"image"` for the mean over images, `"dataset"` for pooled pixels.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  per_class(): float64 [K].

    Raises:
        ValueError: an option has an invalid value.

    Reference: van Rijsbergen, Information Retrieval, 1979, chapter 7.
    """

    def ratio(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Return the intersection and the predicted area."""
        return right, predicted
