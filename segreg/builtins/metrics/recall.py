"""Recall."""

from torch import Tensor

from segreg.builtins.metrics.averaging import ConfusionMetric


class Recall(ConfusionMetric):
    """Share of the true area that is found, also called sensitivity.

    A class that is predicted but not in the ground truth scores 0. One that is in neither scores 1 in a binary task;
    with several classes the image (or, with `average="dataset"`, the class) is left out of the mean.

    With K >= 2 and `average="dataset"` this is the class average accuracy of the SegNet paper.

    Formula:
        TP / (TP + FN)

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
        """Return the intersection and the true area."""
        return right, true
