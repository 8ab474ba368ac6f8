"""Brightness."""

from torch import Tensor

from segreg.builtins.augmentations.common import between, check_probability, per_image
from segreg.options import check_option


class Brightness:
    """Adds a number to all pixels of an image, and keeps them in [0, 1].

    Args:
        limit: Largest number, to either side. 0 to 1.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 2

    def __init__(self, *, limit: float = 0.2, p: float = 0.5) -> None:
        check_option("limit", limit, 0 <= limit <= 1, "a number, 0 to 1")
        check_probability(p)
        self.limit, self.p = limit, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        change = between(u[:, 1], -self.limit, self.limit) * (u[:, 0] < self.p)
        return (images + per_image(change)).clamp(0, 1)
