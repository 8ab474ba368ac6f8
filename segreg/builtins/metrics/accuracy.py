"""Pixel accuracy."""

from torch import Tensor

from segreg.builtins.metrics.averaging import ConfusionMetric


class Accuracy(ConfusionMetric):
    """Share of correctly classified pixels, over all classes, including the background of a binary task.

    With `average="dataset"` this is the global accuracy of the SegNet paper. Its class average accuracy is
    `recall` with `average="dataset"`.

    Formula:
        correct pixels / pixels

    Args:
        num_classes: 1 for a binary task, or the number of classes, 2 to 255.
        average: `"image"` for the mean over images, `"dataset"` for pooled pixels.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  per_class(): float64 [1], one value for all classes.

    Raises:
        ValueError: an option has an invalid value.

    Reference: Badrinarayanan et al., SegNet, 2015, arXiv:1511.00561.
    """

    pools_classes = True

    def ratio(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Return the correct pixels and all pixels."""
        return right, true
