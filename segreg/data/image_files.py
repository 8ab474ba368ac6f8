"""Reads one image or one mask from a file. Anything wrong with the file becomes a `DataError` of one line."""

import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from segreg.contracts import IGNORE_INDEX
from segreg.errors import DataError
from segreg.task import Task, task_of

MAX_PIXELS = 89_478_485
"""The maximum size of an image, in pixels. It is the size from which Pillow suspects a decompression bomb."""

_max_pixels = ContextVar("max_pixels", default=MAX_PIXELS)

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

# Detected by content, whatever the suffix. Pillow supports more, some of which start other programs to render a page.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_TILE = 1024
_RAISING = Lock()
# The code of a JPEG has at least one bit for each block of 8×8 pixels, unless it is arithmetic, which hardly any is.
_PIXELS_PER_BYTE_OF_JPEG = 8 * 64
_SCAN_OF_JPEG = b"\xff\xda"
_MAX_SCANS = 100
_HEADER_OF_PPM = 4096
_NOISE = 32  # how far JPEG compression may move a mask's black or white
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")

Pixels: TypeAlias = npt.NDArray[np.uint8]
_Indices: TypeAlias = npt.NDArray[np.integer[Any]]


@contextmanager
def pixels_allowed(number: int) -> Iterator[None]:
    """Read images and masks of up to this many pixels in the block, instead of `MAX_PIXELS`."""
    before = _max_pixels.set(number)
    try:
        yield
    finally:
        _max_pixels.reset(before)


def read_image(path: Path) -> Pixels:
    """Read an image as RGB, rotated upright by its EXIF orientation.

    Args:
        path: The file.

    Shapes:
        returns: uint8 [H, W, 3].

    Raises:
        DataError: the file is missing, truncated, not an image, too large (a WebP may have half of `MAX_PIXELS`), an
            animation, has several pages, would take too long to decode, or cannot be converted to RGB.
    """
    with _opened(path) as image:
        return as_rgb(image, str(path))


def as_rgb(image: Image.Image, what: str) -> Pixels:
    """Return an open image as RGB.

    Grey, palette and CMYK images become RGB, alpha is dropped, and 16-bit grey is scaled to 8 bits.

    Args:
        image: The image.
        what: Its name in messages.

    Shapes:
        returns: uint8 [H, W, 3].

    Raises:
        DataError: its pixels are floating-point, or of 32 bits.
    """
    if image.mode == "F":
        raise DataError(f"{what} holds floating-point pixels: save it with 8 or 16 bits per channel")
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for place, part in _parts(image):
        if part.mode in _SIXTEEN_BIT:
            pixels[place] = np.rint(_sixteen_bit(part, what) / 257)[..., None]
        else:
            pixels[place] = np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    return pixels


def _parts(image: Image.Image) -> Iterator[tuple[tuple[slice, slice], Image.Image]]:
    """Yield the tiles of an image with their places, since intermediate results take several times its memory."""
    for top in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            right, bottom = min(left + _TILE, image.width), min(top + _TILE, image.height)
            yield (slice(top, bottom), slice(left, right)), image.crop((left, top, right, bottom))


def read_mask(path: Path, *, num_classes: int, ignore_value: int | None = None, by_index: bool = False) -> Pixels:
    """Read a mask as class indices, rotated upright by its EXIF orientation.

    A binary mask (`num_classes=1`) holds 0 and 1, or 0 and white (255; 65535 in 16 bits), and becomes 0 and 1. In a
    JPEG, white and black may be off by compression noise. Any other mask holds class indices, 0 to
    `num_classes - 1`, and 255 where no class applies. Of a palette image the indices are read, not the
    colours, except in a binary mask whose palette is black and white.

    Args:
        path: The file.
        num_classes: 1 for a binary mask, else the number of classes.
        ignore_value: A value of the file that means "no class here", and becomes 255.
        by_index: Whether the indices of a palette image are read even if its colours are black and white.

    Shapes:
        returns: uint8 [H, W].

    Raises:
        DataError: as for `read_image`, or the mask has invalid colours or values.
    """
    task = task_of(num_classes)
    with _opened(path) as image:
        jpeg = _is_jpeg(image)
        if jpeg and not task.black_and_white:
            raise DataError(f"mask {path} is a JPEG, which changes class indices: save masks as PNG")
        colours_count = task.black_and_white and not by_index and _is_black_and_white(image)
        mask = np.empty((image.height, image.width), dtype=np.uint8)
        counts = np.zeros(65536, dtype=np.int64)
        for place, part in _parts(image):
            values = _values(part, path, colours_count=colours_count)
            counts += np.bincount(values.ravel(), minlength=len(counts))
            classes = values > (127 if jpeg else 0) if task.black_and_white else values
            mask[place] = np.where(values == (-1 if ignore_value is None else ignore_value), IGNORE_INDEX, classes)
    noise = float(counts[_NOISE + 1 : 255 - _NOISE].sum() / counts.sum())
    if ignore_value in range(len(counts)):
        counts[ignore_value] = 0
    present = np.flatnonzero(counts)
    if not task.black_and_white:
        valid = bool(np.all((present < task.num_values) | (present == IGNORE_INDEX)))
    elif jpeg:
        valid = noise < 0.1
    else:
        valid = any(set(present.tolist()) <= {0, white} for white in (1, 255, 65535))
    if not valid:
        raise DataError(f"mask {path} has the values {_some(present)}: {_expected(task, ignore_value)}")
    return mask


def _expected(task: Task, ignore_value: int | None) -> str:
    besides = "" if ignore_value is None else f", and {ignore_value} for pixels to ignore"
    if task.black_and_white:
        return f"a binary mask has 0 and 1, or 0 and 255{besides}; name all classes if there are more"
    largest = task.num_values - 1
    return f"{task.num_classes} classes allow 0 to {largest}, and {IGNORE_INDEX} for pixels to ignore{besides}"


def _some(values: npt.NDArray[np.intp]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return shown if len(values) <= 8 else f"{shown}, ... {values[-1]}"


def _values(image: Image.Image, path: Path, *, colours_count: bool) -> _Indices:
    """Return the single value of each pixel, [H, W]."""
    if image.mode in _SIXTEEN_BIT:
        return _sixteen_bit(image, path)
    if image.mode == "F":
        raise DataError(f"mask {path} holds floating-point pixels: save class indices as an 8-bit PNG")
    if image.mode in ("1", "L"):
        return np.array(image, dtype=np.uint8)
    if image.mode == "P":
        return np.array(image.convert("L") if colours_count else image)
    colours = np.array(image.convert("RGB"))
    if np.any(colours != colours[:, :, :1]):
        raise DataError(f"mask {path} is a colour image ({image.mode}): save class indices as an 8-bit PNG")
    return colours[:, :, 0]


def _is_black_and_white(image: Image.Image) -> bool:
    """Whether an image has a palette, and no other colours."""
    return image.mode == "P" and all(
        {colour for _, colour in part.convert("RGB").getcolors(256) or []} <= {(0, 0, 0), (255, 255, 255)}
        for _, part in _parts(image)
    )


def _sixteen_bit(image: Image.Image, what: object) -> _Indices:
    values = np.array(image)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{what} holds 32-bit pixels ({values.min()} to {values.max()}): save it with 8 or 16 bits")
    return values


@contextmanager
def pillow_warnings_ignored() -> Iterator[None]:
    """Ignore Pillow's warnings about oddities that change no pixel: they read like errors of segreg.

    Filters apply to the whole process: no two threads may enter this at once.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _is_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Yield the upright image; everything that Pillow raises about a damaged file becomes a `DataError`."""
    max_pixels = _max_pixels.get()
    try:
        # Opening a pipe would block until something is written to it.
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path} is not a regular file: remove it")
        if not about.st_size:
            raise DataError(f"{path} is empty: fetch it again or remove it")
        _refuse_comments(path)
        with _allowed(max_pixels), Image.open(path, formats=_FORMATS) as image:
            _check_cost(image, path, about.st_size, max_pixels)
            # The other images of an MPO are previews, as phones save them.
            if image.format != "MPO" and getattr(image, "is_animated", False):
                raise DataError(f"{path} is an animation or has several pages: save one image per file")
            ImageOps.exif_transpose(image, in_place=True)
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as cause:
        raise DataError(f"{path} has more than {max_pixels:,} pixels: cut it into tiles") from cause
    except UnidentifiedImageError as cause:
        raise DataError(f"{path} is not an image in a supported format ({', '.join(_FORMATS)}): replace it") from cause
    except Exception as cause:  # decoders raise nearly anything on damaged bytes
        if isinstance(cause, OSError) and cause.errno is not None:
            raise DataError(
                f"{path} cannot be read ({cause.strerror}): check that it exists and is readable"
            ) from cause
        reason = " ".join(str(cause)[:200].split()) or type(cause).__name__
        raise DataError(
            f"{path} cannot be read ({reason}): it may be truncated; fetch it again or remove it"
        ) from cause


def _check_cost(image: Image.Image, path: Path, size: int, max_pixels: int) -> None:
    """Raise `DataError` for an image that would take too much memory or time, before it is decoded.

    Args:
        image: The image.
        path: Its file.
        size: The size of the file, in bytes.
        max_pixels: The maximum size of the image, in pixels.
    """
    pixels = image.width * image.height
    # Decoding a WebP takes 16 bytes per pixel, any other at most 12.
    limit = max_pixels // 2 if image.format == "WEBP" else max_pixels
    if pixels > limit:
        raise DataError(f"{path} has more than {limit:,} pixels: cut it into tiles")
    if not _is_jpeg(image):
        return
    # libjpeg fills what is missing with grey.
    if pixels > size * _PIXELS_PER_BYTE_OF_JPEG:
        raise DataError(
            f"{path} has {size:,} bytes, too few for {image.width}×{image.height} pixels: it may be truncated; "
            "fetch it again or remove it"
        )
    # Each scan of a progressive JPEG goes over all pixels, however short it is. Ten are usual.
    if image.info.get("progressive") and path.read_bytes().count(_SCAN_OF_JPEG) > _MAX_SCANS:
        raise DataError(f"{path} has more than {_MAX_SCANS} scans, which take too long to decode: save it again")


def _refuse_comments(path: Path) -> None:
    """Raise `DataError` for a PPM with long comments, over which Pillow spends seconds per megabyte.

    Others have at most a few lines of comments, before the pixels.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_OF_PPM)
        if not re.match(rb"P[0-9fy]", start):
            return
        header = re.sub(rb"#[^\r\n]*", b"", start).split(maxsplit=4)
        unfinished = len(start) == _HEADER_OF_PPM and len(header) < (3 if start[1:2] in b"14" else 4)
        as_text = start[1:2] in b"123"
        if unfinished or (as_text and any(b"#" in part for part in iter(lambda: file.read(2**20), b""))):
            raise DataError(f"{path} is a PPM with comments in unusual places: remove them, or save it as PNG")


@contextmanager
def _allowed(max_pixels: int) -> Iterator[None]:
    """Raise Pillow's own limit, which applies to the whole process, while one image is read."""
    if max_pixels <= MAX_PIXELS:
        yield
        return
    with _RAISING:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
