"""Gamma."""

import math

from torch import Tensor

from segreg.builtins.augmentations.common import between, check_probability, per_image
from segreg.options import check_option


class Gamma:
    """Raises all pixels of an image to a power, which is as often below 1 as above.

    Args:
        limit: Largest power; the smallest is its reciprocal. 1 or more.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 2

    def __init__(self, *, limit: float = 1.5, p: float = 0.5) -> None:
        check_option("limit", limit, 1 <= limit < math.inf, "a finite number, 1 or more")
        check_probability(p)
        self.limit, self.p = limit, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        power = (between(u[:, 1], -1, 1) * (u[:, 0] < self.p) * math.log(self.limit)).exp()
        return images.clamp(0, 1) ** per_image(power)
