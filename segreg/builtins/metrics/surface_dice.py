"""Surface Dice."""

import math

import numpy as np

from segreg.builtins.metrics.boundary import BoundaryMetric, Distances


class SurfaceDice(BoundaryMetric):
    """Share of both boundaries that is within a tolerance of the other one, also called normalised surface distance.

    (|P within the tolerance of T| + |T within the tolerance of P|) / (|P| + |T|), for the pixels P and T of the
    predicted and the true boundary. The tolerance is how far two annotators may differ without either being wrong;
    it is best measured on images that two people have annotated. The default of 2 pixels allows for a border drawn one
    pixel off to either side, and for the shift that resizing a mask may cause.

    Pixels are those of the image as it is scored. A class that is in only one of prediction and ground truth scores 0.
    One that is in neither scores 1 in a binary task; with several classes the image is left out of the mean.

    Args:
        num_classes: 1 for a binary task, which scores the foreground, or the number of classes, 2 to 255.
        tolerance: Distance up to which a boundary pixel is correct, in pixels, 0 or more.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  per_class(): float64 [K].

    Raises:
        ValueError: an option has an invalid value.

    Reference: Nikolov et al., Deep Learning to Achieve Clinically Applicable Segmentation, 2018, arXiv:1809.04430, with
        each boundary pixel counted as one unit of length.
    """

    best = 1.0

    def __init__(self, *, num_classes: int, tolerance: float = 2.0) -> None:
        super().__init__(num_classes=num_classes)
        if not 0 <= tolerance < math.inf:
            raise ValueError(f"tolerance is {tolerance}: expected a finite number of pixels, 0 or more")
        self.tolerance = tolerance

    def of_distances(self, predicted: Distances, true: Distances) -> float:
        """Return the share of both boundaries that is within the tolerance."""
        return float(np.mean(np.concatenate([predicted, true]) <= self.tolerance))

    def worst(self, diagonal: float) -> float:
        """Return 0: nothing is within any tolerance."""
        return 0.0
