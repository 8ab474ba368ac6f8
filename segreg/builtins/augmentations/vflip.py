"""Vertical flips."""

from torch import Tensor

from segreg.builtins.augmentations.common import check_probability, flipped


class VerticalFlip:
    """Flips images and masks top to bottom, without resampling. Leave it out if up and down differ in the images.

    Args:
        p: Share of the images that are flipped.

    Raises:
        ValueError: p is outside its range.
    """

    draws = 1

    def __init__(self, *, p: float = 0.5) -> None:
        check_probability(p)
        self.p = p

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return where each output pixel is taken from, float32 [B, 3, 3]."""
        return flipped(u, 1, self.p)
