"""Affine maps."""

import math

import torch
from torch import Tensor

from segreg.builtins.augmentations.common import between, check_probability, identity
from segreg.options import check_option


class Affine:
    """Rotates, translates, scales and shears images and masks, about the centre of the image.

    Angles and scales are those of what is seen: a scale of 2 doubles its size. Each number is uniform in its range.

    Args:
        degrees: Largest rotation to either side, in degrees. 0 to 180.
        translate: Largest translation in each direction, as a share of the image's width and height. 0 or more.
        scale: Smallest and largest scale. Above 0.
        shear: Largest angle by which vertical lines are sheared to either side, in degrees. 0 or more, below 90.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 6

    def __init__(
        self,
        *,
        degrees: float = 20.0,
        translate: float = 0.05,
        scale: tuple[float, float] = (0.8, 1.2),
        shear: float = 0.0,
        p: float = 0.5,
    ) -> None:
        check_option("degrees", degrees, 0 <= degrees <= 180, "an angle, 0 to 180")
        check_option("translate", translate, 0 <= translate < math.inf, "a share of the image, 0 or more")
        check_option("scale", scale, 0 < scale[0] <= scale[1] < math.inf, "the smallest and the largest, above 0")
        check_option("shear", shear, 0 <= shear < 90, "an angle, 0 or more and below 90")
        check_probability(p)
        self.degrees, self.translate, self.scale, self.shear, self.p = degrees, translate, scale, shear, p

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return where each output pixel is taken from, float32 [B, 3, 3]."""
        height, width = size
        angle = torch.deg2rad(between(u[:, 1], -self.degrees, self.degrees))
        lean = torch.deg2rad(between(u[:, 2], -self.shear, self.shear)).tan()
        cos, sin = (part / between(u[:, 3], *self.scale) for part in (angle.cos(), angle.sin()))
        # Undoes rotation and scale, and then shear: in pixels first, and then in shares of the image.
        linear = torch.stack([cos - lean * sin, -sin - lean * cos, sin, cos], 1).view(-1, 2, 2)
        linear[:, 0, 1] *= height / width
        linear[:, 1, 0] *= width / height
        shift = 2 * between(u[:, 4:6], -self.translate, self.translate)
        matrix = identity(len(u))
        matrix[:, :2, :2] = linear
        matrix[:, :2, 2] = -(linear * shift[:, None]).sum(2)
        return torch.where((u[:, 0] < self.p)[:, None, None], matrix, identity(len(u)))
