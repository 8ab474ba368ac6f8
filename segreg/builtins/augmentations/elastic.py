"""Elastic deformation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from segreg.builtins.augmentations.common import check_probability, per_image
from segreg.options import check_option


class Elastic:
    """Displaces the pixels of image and mask by a smooth random field.

    A coarse grid of normally distributed displacements is interpolated bicubically. With `grid=3,sigma=0.0175` these
    are the 10 pixels of U-Net's images of 572.

    Args:
        sigma: Standard deviation of the displacements of the grid's points, as a share of the image's shorter side. 0
            or more.
        grid: Points of the grid per side. 2 or more.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.

    Reference: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015,
        arXiv:1505.04597, section 3.1.
    """

    def __init__(self, *, sigma: float = 0.02, grid: int = 3, p: float = 0.5) -> None:
        check_option("sigma", sigma, 0 <= sigma < math.inf, "a share of the image, 0 or more")
        check_option("grid", grid, 2 <= grid <= 64, "from 2 to 64 points per side")
        check_probability(p)
        self.sigma, self.grid, self.p = sigma, grid, p
        self.draws = 1 + 2 * grid**2

    def displacement(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the displacement of each output pixel, float32 [B, H, W, 2]."""
        height, width = size
        # The quantiles of the normal distribution, without the infinite one of 0.
        normal = math.sqrt(2) * torch.erfinv((2 * u[:, 1:] - 1).clamp(min=-1 + 2**-23))
        coarse = normal.view(-1, 2, self.grid, self.grid) * per_image(u[:, 0] < self.p)
        field = F.interpolate(coarse, size, mode="bicubic", align_corners=True)
        pixels = self.sigma * min(size)
        return field.movedim(1, -1) * torch.tensor([2 * pixels / width, 2 * pixels / height], device=u.device)
