"""Hausdorff distance without the farthest 5 %."""

import numpy as np

from segreg.builtins.metrics.boundary import BoundaryMetric, Distances


class Hausdorff95(BoundaryMetric):
    """Distance of prediction and ground truth boundaries without the farthest 5 %, in pixels. Lower is better.

    The larger of two 95th percentiles: of the distances from the predicted boundary to the nearest pixel of the true
    one, and of those from the true boundary to the predicted one (with linear interpolation between ranks). The plain
    Hausdorff distance is the largest of them all, which a single stray pixel decides. Some libraries take one
    percentile of both lists together, which lets a long boundary outvote a short one: compare values of different
    tools only if both document which one they use.

    Pixels are those of the image as it is scored, so values at 128×128 and at 512×512 are not comparable. A class that
    is in only one of prediction and ground truth scores the image's diagonal, more than any two pixels can be apart.
    One that is in neither scores 0 in a binary task; with several classes the image is left out of the mean.

    Args:
        num_classes: 1 for a binary task, which scores the foreground, or the number of classes, 2 to 255.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  per_class(): float64 [K].

    Raises:
        ValueError: an option has an invalid value.

    Reference: Taha and Hanbury, Metrics for Evaluating 3D Medical Image Segmentation, 2015,
        doi:10.1186/s12880-015-0068-x, on spatial distances, with a quantile instead of the maximum.
    """

    best = 0.0

    def of_distances(self, predicted: Distances, true: Distances) -> float:
        """Return the larger of both percentiles."""
        return float(max(np.percentile(predicted, 95), np.percentile(true, 95)))

    def worst(self, diagonal: float) -> float:
        """Return the diagonal."""
        return diagonal
