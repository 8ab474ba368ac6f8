"""Small synthetic images and masks, of which datasets that need files write their examples."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def noise(seed: int) -> npt.NDArray[np.uint8]:
    """Return an image of random pixels, uint8 [12, 16, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def rectangle(seed: int) -> npt.NDArray[np.uint8]:
    """Return a binary mask, uint8 [12, 16] of 0 and 255."""
    mask = np.zeros((12, 16), np.uint8)
    mask[2:8, 3 : 6 + seed] = 255
    return mask


def save(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write pixels as an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
