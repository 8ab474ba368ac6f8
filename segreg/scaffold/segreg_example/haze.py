"""Haze."""

from torch import Tensor


class Haze:
    """Blends an image with white, as haze does with what lies behind it.

    Args:
        density: Largest share of white; that of an image is uniform from 0 to it. 0 to 1.

    Raises:
        ValueError: the density is outside its range.

    Reference: He et al., Single Image Haze Removal Using Dark Channel Prior, 2009, equation 1.
    """

    draws = 1

    def __init__(self, *, density: float = 0.3) -> None:
        if not 0 <= density <= 1:
            raise ValueError(f"density is {density}: expected 0 to 1")
        self.density = density

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Change images, float [B, C, H, W] in [0, 1], as the numbers say, uniform in [0, 1), float [B, draws]."""
        share = self.density * u[:, :1, None, None]
        return images + share * (1 - images)
