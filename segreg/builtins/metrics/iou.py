"""Intersection over union."""

from torch import Tensor

from segreg.builtins.metrics.averaging import ConfusionMetric


class IoU(ConfusionMetric):
    """Intersection over union of prediction and ground truth, the Jaccard index.

    A class that is in neither prediction nor ground truth scores 1 in a binary task; with several classes the image
    (or, with `average="dataset"`, the class) is left out of the mean.

    Formula:
        TP / (TP + FP + FN)

    Args:
        num_classes: 1 for a binary task, which scores the foreground, or the number of classes, 2 to 255.
        average: `"image"` for the mean over images, `"dataset"` for pooled pixels (the usual mIoU).

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  per_class(): float64 [K].

    Raises:
        ValueError: an option has an invalid value.

    Reference: Jaccard, The Distribution of the Flora in the Alpine Zone, 1912.
    """

    def ratio(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Return the areas of intersection and union."""
        return right, predicted + true - right
