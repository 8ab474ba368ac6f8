"""Random resized crops."""

import math

import torch
from torch import Tensor

from segreg.builtins.augmentations.common import between, check_probability, identity
from segreg.options import check_option


class Zoom:
    """Cuts a random part out of image and mask, and scales it to the image's size: a random resized crop.

    Args:
        area: Smallest and largest share of the image's area that is cut out. Above 0, at most 1.
        ratio: Smallest and largest width over height of the part, relative to those of the image. Above 0. A part that
            would be wider or higher than the image ends at its edges.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.

    Reference: Szegedy et al., Going Deeper with Convolutions, 2014, arXiv:1409.4842, section 6.
    """

    draws = 5

    def __init__(
        self, *, area: tuple[float, float] = (0.5, 1.0), ratio: tuple[float, float] = (0.75, 4 / 3), p: float = 0.5
    ) -> None:
        check_option("area", area, 0 < area[0] <= area[1] <= 1, "the smallest and the largest share, above 0 to 1")
        check_option("ratio", ratio, 0 < ratio[0] <= ratio[1] < math.inf, "the smallest and the largest, above 0")
        check_probability(p)
        self.area, self.ratio, self.p = area, ratio, p

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return where each output pixel is taken from, float32 [B, 3, 3]."""
        area = between(u[:, 1], *self.area)
        ratio = between(u[:, 2], *map(math.log, self.ratio)).exp()
        part = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp(max=1)
        matrix = identity(len(u))
        matrix[:, [0, 1], [0, 1]] = part
        matrix[:, :2, 2] = (1 - part) * (2 * u[:, 3:5] - 1)
        return torch.where((u[:, 0] < self.p)[:, None, None], matrix, identity(len(u)))
