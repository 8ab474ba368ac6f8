"""kornia's functions as augmentations: every random number comes from `u`, and every image has its own."""

import math

import torch
from kornia.enhance import adjust_hue, adjust_saturation, equalize_clahe, jpeg_codec_differentiable, sharpness
from kornia.filters import gaussian_blur2d, motion_blur
from torch import Tensor

from segreg.builtins.augmentations.common import between, check_probability, per_image
from segreg.errors import OptionError
from segreg.options import check_option


class Blur:
    """Blurs images with a Gaussian, whose width is uniform in its range.

    Args:
        sigma: Smallest and largest standard deviation, in pixels of the size of training. Above 0, at most 50.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 2

    def __init__(self, *, sigma: tuple[float, float] = (0.1, 2.0), p: float = 0.5) -> None:
        check_option(
            "sigma", sigma, 0 < sigma[0] <= sigma[1] <= 50, "the smallest and the largest, above 0, at most 50"
        )
        check_probability(p)
        self.sigma, self.p = sigma, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        sigma = between(u[:, 1], *self.sigma)[:, None].repeat(1, 2)
        size = 2 * math.ceil(3 * self.sigma[1]) + 1
        # The only border that an image smaller than the filter can have.
        return _where_drawn(images, gaussian_blur2d(images, size, sigma, "replicate"), u, self.p)


class Motion:
    """Blurs images along a line, as the motion of a camera does. Its angle, and where it is heaviest, are uniform.

    Args:
        length: Length of the line, in pixels of the size of training. Odd, from 3 to 99.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 3

    def __init__(self, *, length: int = 7, p: float = 0.5) -> None:
        check_option("length", length, 3 <= length <= 99 and length % 2 == 1, "an odd number, from 3 to 99")
        check_probability(p)
        self.length, self.p = length, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        angle, direction = between(u[:, 1], 0, 360), between(u[:, 2], -1, 1)
        blurred = motion_blur(images, self.length, angle, direction, "replicate", "bilinear")
        return _where_drawn(images, blurred, u, self.p)


class Sharpness:
    """Blends images with their smoothed copies: a factor of 0 smooths, 1 changes nothing, and more sharpens.

    Args:
        factor: Smallest and largest factor, uniform between. 0 or more.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 2

    def __init__(self, *, factor: tuple[float, float] = (0.0, 3.0), p: float = 0.5) -> None:
        within = 0 <= factor[0] <= factor[1] < math.inf
        check_option("factor", factor, within, "the smallest and the largest, 0 or more")
        check_probability(p)
        self.factor, self.p = factor, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W], of 3×3 pixels or more."""
        _check_size("kornia/sharpness", images, 3)
        return _where_drawn(images, sharpness(images, between(u[:, 1], *self.factor)), u, self.p)


class CLAHE:
    """Equalizes the histogram of each part of an image and channel, up to a limit of contrast.

    Args:
        limit: How much the contrast is raised at most. At least 1.
        grid: Parts per side. 1 to 64, and less than there are pixels.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.

    Reference: Zuiderveld, Contrast Limited Adaptive Histogram Equalization, Graphics Gems IV, 1994.
    """

    draws = 1

    def __init__(self, *, limit: float = 2.0, grid: int = 4, p: float = 0.5) -> None:
        check_option("limit", limit, 1 <= limit < math.inf, "a finite number, 1 or more")
        check_option("grid", grid, 1 <= grid <= 64, "from 1 to 64 parts per side")
        check_probability(p)
        self.limit, self.grid, self.p = limit, grid, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        _check_size(f"kornia/clahe with grid={self.grid}", images, self.grid + 1)
        return _where_drawn(images, equalize_clahe(images, self.limit, (self.grid, self.grid)), u, self.p)


class Hue:
    """Shifts the hue of colour images, by an angle that is uniform in its range.

    Args:
        degrees: Largest shift to either side, in degrees of the colour wheel. 0 to 180.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 2

    def __init__(self, *, degrees: float = 20.0, p: float = 0.5) -> None:
        check_option("degrees", degrees, 0 <= degrees <= 180, "an angle, 0 to 180")
        check_probability(p)
        self.degrees, self.p = degrees, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, 3, H, W]."""
        _check_colour("kornia/hue", images)
        angle = torch.deg2rad(between(u[:, 1], -self.degrees, self.degrees))
        return _where_drawn(images, adjust_hue(images, angle), u, self.p)


class Saturation:
    """Scales the saturation of colour images: a factor of 0 leaves shades of grey, and 1 changes nothing.

    Args:
        factor: Smallest and largest factor, uniform between. 0 or more.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.
    """

    draws = 2

    def __init__(self, *, factor: tuple[float, float] = (0.5, 1.5), p: float = 0.5) -> None:
        within = 0 <= factor[0] <= factor[1] < math.inf
        check_option("factor", factor, within, "the smallest and the largest, 0 or more")
        check_probability(p)
        self.factor, self.p = factor, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, 3, H, W]."""
        _check_colour("kornia/saturation", images)
        return _where_drawn(images, adjust_saturation(images, between(u[:, 1], *self.factor)), u, self.p)


class JPEG:
    """Gives colour images the artefacts of JPEG compression, whose quality is uniform in its range.

    Args:
        quality: Lowest and highest quality. 1 to 100.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.

    Reference: Reich et al., Differentiable JPEG: The Devil is in the Details, 2023, arXiv:2309.06978.
    """

    draws = 2

    def __init__(self, *, quality: tuple[float, float] = (30.0, 90.0), p: float = 0.5) -> None:
        within = 1 <= quality[0] <= quality[1] <= 100
        check_option("quality", quality, within, "the lowest and the highest, 1 to 100")
        check_probability(p)
        self.quality, self.p = quality, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, 3, H, W]."""
        _check_colour("kornia/jpeg", images)
        return _where_drawn(images, jpeg_codec_differentiable(images, between(u[:, 1], *self.quality)), u, self.p)


class Cutout:
    """Replaces a rectangle of an image by the mean of each channel, so that what is behind it has to be inferred.

    The mask stays as it is: it says what is behind the rectangle. A rectangle lies within the image.

    Args:
        area: Smallest and largest share of the image's area. Above 0, at most 0.5.
        ratio: Smallest and largest width over height of the rectangle, relative to those of the image. From 0.5 to 2.
        p: Share of the images that are changed.

    Raises:
        ValueError: an option is outside its range.

    Reference: Zhong et al., Random Erasing Data Augmentation, 2017, arXiv:1708.04896.
    """

    draws = 5

    def __init__(
        self, *, area: tuple[float, float] = (0.02, 0.2), ratio: tuple[float, float] = (0.5, 2.0), p: float = 0.5
    ) -> None:
        check_option("area", area, 0 < area[0] <= area[1] <= 0.5, "the smallest and the largest share, above 0 to 0.5")
        check_option("ratio", ratio, 0.5 <= ratio[0] <= ratio[1] <= 2, "the smallest and the largest, from 0.5 to 2")
        check_probability(p)
        self.area, self.ratio, self.p = area, ratio, p

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images, float32 [B, C, H, W]."""
        area = between(u[:, 1], *self.area)
        ratio = between(u[:, 2], *map(math.log, self.ratio)).exp()
        across = _within((area * ratio).sqrt(), u[:, 3], images.shape[3])[:, None, None, :]
        down = _within((area / ratio).sqrt(), u[:, 4], images.shape[2])[:, None, :, None]
        mean = images.mean((2, 3), keepdim=True)
        return _where_drawn(images, torch.where(across & down, mean, images), u, self.p)


def _within(share: Tensor, position: Tensor, pixels: int) -> Tensor:
    """Return which pixels of a side have their centres in an interval, bool [B, pixels]."""
    centres = (torch.arange(pixels, device=share.device) + 0.5) / pixels
    start = ((1 - share) * position)[:, None]
    return (start <= centres) & (centres < start + share[:, None])


def _where_drawn(images: Tensor, changed: Tensor, u: Tensor, p: float) -> Tensor:
    """Return the changed images, within [0, 1], where the first number is below `p`, and the others as they are."""
    return torch.where(per_image(u[:, 0] < p), changed.clamp(0, 1), images)


def _check_colour(name: str, images: Tensor) -> None:
    channels = images.shape[1]
    if channels != 3:
        raise OptionError(
            f"{name} takes colour images of 3 channels, and these have {channels}: leave it out of augment"
        )


def _check_size(name: str, images: Tensor, least: int) -> None:
    height, width = images.shape[2:]
    if min(height, width) < least:
        raise OptionError(f"{name} takes images of {least}x{least} or more, and these have {height}x{width}")
