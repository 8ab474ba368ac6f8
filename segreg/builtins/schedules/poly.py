"""The polynomial schedule."""

import math

from segreg.options import check_option


class Poly:
    """The learning rate falls to zero along a power of the remaining share of the steps.

    Formula:
        (1 - step / steps) ** power

    Args:
        power: 1 for a straight line. Above 0.

    Raises:
        ValueError: the power is outside its range.

    Reference: Chen et al., DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and
        Fully Connected CRFs, 2016, arXiv:1606.00915, section 4.1.2.
    """

    def __init__(self, *, power: float = 0.9) -> None:
        check_option("power", power, 0 < power < math.inf, "a finite number above 0")
        self.power = power

    def __call__(self, step: int, steps: int) -> float:
        """Return the factor of a step."""
        return float(max(1 - step / steps, 0) ** self.power)
