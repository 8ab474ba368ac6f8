"""Decodes one sample of any dataset; a sample that cannot be used becomes a reason of one line."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs
import numpy as np
from PIL import Image

from segreg.contracts import IGNORE_INDEX, Sample
from segreg.errors import DataError, single_line

OnBadImage: TypeAlias = Literal["error", "skip"]


@attrs.frozen
class Skipped:
    """An image that could not be used.

    Args:
        split: The split that it belongs to.
        name: Its name in reports.
        reason: What is wrong with it, in one line.
        cause: The exception that was raised.
    """

    split: str
    name: str
    reason: str
    cause: Exception = attrs.field(eq=False, repr=False)


def decode(split: str, samples: Sequence[Sample], position: int, name: str, limit: int) -> Sample | Skipped:
    """Return a sample of a split, or why it cannot be used.

    Args:
        split: The name of the split.
        samples: The split.
        position: The index of the sample.
        name: Its name in reports.
        limit: One more than the largest class index in a mask.
    """
    where = f"{split} image {name!r}"
    try:
        image, mask = samples[position]
        check_sample(image, mask, where, limit)
    except DataError as error:
        return Skipped(split, name, str(error), error)
    except OSError as error:  # from the dataset of a plugin
        return Skipped(split, name, f"{where} cannot be read: {single_line(error)}", error)
    return image, mask


def decode_resized(
    split: str, samples: Sequence[Sample], position: int, name: str, limit: int, size: tuple[int, int]
) -> Sample | Skipped:
    """Return a sample resized, its image with antialiasing, its mask to the nearest pixel; otherwise as `decode`."""
    read = decode(split, samples, position, name, limit)
    if isinstance(read, Skipped):
        return read
    image, mask = read
    small = resized(mask[..., None], size, Image.Resampling.NEAREST)[..., 0]
    return resized(image, size, Image.Resampling.BILINEAR), small


def resized(pixels: np.ndarray, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    """Resize uint8 [H, W, C] to `size`, channel by channel: Pillow has no images of two or of five channels."""
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    channels = [Image.fromarray(channel).resize((width, height), resampling) for channel in np.moveaxis(pixels, 2, 0)]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def names_of(samples: Sequence[Sample]) -> list[str]:
    """Return the names of the samples of a split in reports: their own, or else their positions."""
    # On some file systems names need not be valid text.
    return [
        str(name).encode(errors="backslashreplace").decode() for name in getattr(samples, "names", range(len(samples)))
    ]


def check_sample(image: np.ndarray, mask: np.ndarray, where: str, limit: int) -> None:
    """Raise `DataError` unless a sample follows the contract of datasets."""
    if image.dtype != np.uint8 or image.ndim != 3 or mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise DataError(
            f"{where} has an image {image.dtype} {list(image.shape)} and a mask {mask.dtype} {list(mask.shape)}: "
            "expected uint8 [H, W, C] and uint8 [H, W]"
        )
    wrong = mask[(mask >= limit) & (mask != IGNORE_INDEX)]
    if wrong.size:
        raise DataError(
            f"{where} has the value {wrong[0]} in its mask: expected 0 to {limit - 1}, or {IGNORE_INDEX} to ignore"
        )
