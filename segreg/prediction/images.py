"""Images in any common form: a file, a PIL image, an array or a tensor, of any size."""

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from segreg.data.image_files import MAX_PIXELS, Pixels, as_rgb, pillow_warnings_ignored, pixels_allowed, read_image
from segreg.errors import DataError, shown

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | npt.NDArray[np.generic] | Tensor

_ROWS = 256


def pixels_of(image: ImageLike, in_channels: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return the pixels of an image.

    Args:
        image: A file, which is read as RGB and rotated upright; a PIL image, which is converted to RGB; an array
            [H, W, C] or [H, W]; or a tensor [C, H, W] or [H, W]. Arrays and tensors are uint8, or float in [0, 1].
        in_channels: Number of channels that the model takes.
        max_pixels: Maximum size of a file, in pixels.

    Shapes:
        returns: uint8 [H, W, C].

    Raises:
        DataError: the image cannot be read, is none of these, or has another number of channels.
    """
    if isinstance(image, str | os.PathLike):
        with pillow_warnings_ignored(), pixels_allowed(max_pixels):
            pixels = read_image(Path(image))
    elif isinstance(image, Image.Image):
        pixels = _rgb(image)
    elif isinstance(image, Tensor | np.ndarray):
        pixels = _bytes(image)
    else:
        raise DataError(
            f"image is {shown(image)}, a {type(image).__name__}: expected a path, a PIL image, an array [H, W, C] "
            "or a tensor [C, H, W]"
        )
    is_file = isinstance(image, str | os.PathLike)
    what = image if is_file else "the image"
    if not pixels.size:
        raise DataError(f"{what} is empty ({pixels.shape[0]}×{pixels.shape[1]})")
    if pixels.shape[2] != in_channels:
        way_out = "pass an array instead of a file" if is_file else f"pass an image with {in_channels}"
        raise DataError(f"{what} has {pixels.shape[2]} channels, but the model takes {in_channels}: {way_out}")
    return pixels


def _rgb(image: Image.Image) -> Pixels:
    try:
        return as_rgb(image, "the image")
    except DataError:
        raise
    except Exception as error:  # decoders raise nearly anything over damaged bytes
        raise DataError(f"the image cannot be read ({' '.join(str(error)[:200].split())}): is it damaged?") from error


def _bytes(image: npt.NDArray[np.generic] | Tensor) -> Pixels:
    channels_first = isinstance(image, Tensor)
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        # NumPy has no bfloat16.
        values = (image.float() if image.is_floating_point() else image).numpy()
    else:
        values = image
    if values.ndim == 2:
        values = values[None] if channels_first else values[..., None]
    if values.ndim != 3:
        expected = "tensor [C, H, W]" if channels_first else "array [H, W, C]"
        raise DataError(f"the image has shape {list(values.shape)}: expected one image at a time, as {expected}")
    if channels_first:
        values = np.moveaxis(values, 0, 2)
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise DataError(f"the image has dtype {values.dtype}: expected uint8, or float in [0, 1]")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not 0 <= low <= high <= 1:
        raise DataError(f"the float image has values from {low:g} to {high:g}: expected [0, 1]")
    return np.rint(values * np.float32(255)).astype(np.uint8)


def mean_and_std(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of an image, scaled to [0, 1], without copying it.

    Shapes:
        pixels: uint8 [H, W, C];  returns: two float32 [1, C, 1, 1].
    """
    channels = pixels.shape[2]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for top in range(0, len(pixels), _ROWS):
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[top : top + _ROWS, :, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    return tuple(torch.from_numpy(each).float().view(1, -1, 1, 1) for each in (mean, std))  # type: ignore[return-value]
