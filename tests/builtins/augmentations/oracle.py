"""What SciPy makes of an augmentation that moves pixels, and images to move."""

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

import segreg
from segreg.training.augmenter import Augmenter


def smooth(count: int, height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Images without edges, in [0, 1], which two resamplings blur as little as one."""
    noise = np.random.default_rng(seed).random((count, channels, height, width))
    blurred = gaussian_filter(noise, (0, 0, 3, 3), mode="wrap")
    low, high = blurred.min((2, 3), keepdims=True), blurred.max((2, 3), keepdims=True)
    return torch.from_numpy((blurred - low) / (high - low)).float()


def augment(names: list[str], images: Tensor, target: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Augment with the components of these names, from given uniform numbers."""
    return Augmenter([segreg.augmentation(name) for name in names], 0)(images, target, u)


def uniforms(name: str, count: int, seed: int = 0) -> Tensor:
    """Uniform numbers for one augmentation of so many images."""
    return Augmenter([segreg.augmentation(name)], seed).uniforms(1, count)


def sampled(image: Any, x: Any, y: Any) -> Any:
    """Sample an image [C, H, W] bilinearly at coordinates in pixels, [H, W] each, reflected at its edges."""
    return np.stack([map_coordinates(channel, [y, x], order=1, mode="reflect") for channel in np.asarray(image)])


def nearest(mask: Any, x: Any, y: Any) -> Any:
    """Sample a mask [H, W] at the pixels nearest to coordinates, reflected at its edges."""
    return map_coordinates(np.asarray(mask), [y, x], order=0, mode="reflect")


def pixel_grid(height: int, width: int) -> tuple[Any, Any]:
    """The coordinates x and y of pixels, relative to the centre of the image."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return x - (width - 1) / 2, y - (height - 1) / 2
