"""Noise."""

from torch import Tensor

from segreg.builtins.augmentations.common import check_probability, normal_field, per_image
from segreg.options import check_option


class Noise:
    """Adds Gaussian noise to each pixel and channel, and keeps them in [0, 1].

    Args:
        sigma: Largest standard deviation; that of an image is uniform from 0 to it. 0 to 1.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 3

    def __init__(self, *, sigma: float = 0.05, p: float = 0.5) -> None:
        check_option("sigma", sigma, 0 <= sigma <= 1, "a number, 0 to 1")
        check_probability(p)
        self.sigma, self.p = sigma, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        deviation = self.sigma * u[:, 1] * (u[:, 0] < self.p)
        return (images + per_image(deviation) * normal_field(u[:, 2], tuple(images.shape[1:]))).clamp(0, 1)
