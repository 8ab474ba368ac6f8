"""Writes small images and masks, and finds the real data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).resolve().parents[3] / "../shared/data"


def realdata(name: str) -> Any:
    """Mark a test that needs one of the real datasets, and skip it where that is not available."""
    missing = pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"{name} is not here")
    return lambda test: pytest.mark.realdata(missing(test))


def save(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> Path:
    """Write an array, [H, W] or [H, W, C], as an image; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def colours(height: int = 6, width: int = 8, seed: int = 0) -> Any:
    """An image of random colours, uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def blob(height: int = 6, width: int = 8) -> Any:
    """A binary mask, uint8 [H, W] of 0 and 1, without any symmetry."""
    mask = np.zeros((height, width), np.uint8)
    mask[1 : height // 2, 1 : width - 2] = 1
    return mask


def pair(images: Path, masks: Path, name: str, image_suffix: str = ".jpg", mask_name: str | None = None) -> None:
    """Write an image and its binary mask."""
    save(images / f"{name}{image_suffix}", colours())
    save(masks / f"{mask_name or name}.png", blob() * np.uint8(255))
