"""A large image in overlapping tiles, whose predictions are blended into one without a seam."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from segreg.data.image_files import Pixels

Strip = tuple[int, Tensor]
"""The first row, and the probabilities of some rows from there on: float32 [K, n, W]."""

Piece = tuple[slice, Tensor]
"""A part of a length, and its weight at each of its pixels: float32 [size]."""

# Models that pool see no shift between tiles that start at multiples of their stride, which is rarely more than this.
_STRIDE = 32


def divide(length: int, tile: int, overlap: int) -> list[Piece]:
    """Divide a length into pieces of `tile` pixels; the last one may have up to 31 more.

    Neighbours overlap by `overlap` pixels or more, and fade into each other in the middle half of these: the pixels
    nearest to a cut, of which a model has seen one side only, do not count. The weights of all pieces at a pixel sum to
    1.
    """
    last = max(0, length - tile) // _STRIDE * _STRIDE
    step = (tile - overlap) // _STRIDE * _STRIDE or tile - overlap
    parts = [slice(start, start + tile) for start in range(0, last, step)] + [slice(last, length)]
    middle = max(1, overlap - 2 * (overlap // 4))
    fading = []
    for number, part in enumerate(parts):
        inwards = torch.arange(part.stop - part.start)
        rising = ((inwards - overlap // 4 + 0.5) / middle).clamp(0, 1)
        weights = torch.ones(len(inwards))
        if number > 0:
            weights *= rising
        if number < len(parts) - 1:
            weights *= rising.flip(0)
        fading.append(weights)
    sums = torch.zeros(length)
    for part, weights in zip(parts, fading, strict=True):
        sums[part] += weights
    return [(part, weights / sums[part]) for part, weights in zip(parts, fading, strict=True)]


def blended(
    predict: Callable[[Tensor], Tensor], pixels: Pixels, *, tile: int, overlap: int, batch: int
) -> Iterator[Strip]:
    """Predict an image tile by tile, and yield the result from top to bottom, each row as soon as it is complete.

    Only one row of tiles is held in memory at a time.

    Args:
        predict: Maps pieces, uint8 [B, C, h, w], to probabilities, float32 [B, K, h, w] on any device.
        pixels: The image, uint8 [H, W, C].
        tile: Height and width of a tile, in pixels.
        overlap: Minimum overlap of neighbours, in pixels, less than `tile`.
        batch: Tiles per batch.
    """
    height, width, _ = pixels.shape
    down, across = divide(height, tile, overlap), divide(width, tile, overlap)
    ends = [rows.start for rows, _ in down[1:]] + [height]
    carried: Tensor | None = None
    for (rows, weights), end in zip(down, ends, strict=True):
        found = _row_of_tiles(predict, pixels[rows], across, weights, batch)
        if carried is not None:
            found[:, : carried.shape[1]] += carried
        complete = end - rows.start
        carried = found[:, complete:]
        yield rows.start, found[:, :complete]


def _row_of_tiles(
    predict: Callable[[Tensor], Tensor], pixels: Pixels, across: Sequence[Piece], weights: Tensor, batch: int
) -> Tensor:
    """Return the weighted probabilities of some rows, float32 [K, n, W], from tiles as high as they are."""
    total: Tensor | None = None
    for _, group in groupby(across, key=lambda piece: len(piece[1])):
        alike = list(group)
        for first in range(0, len(alike), batch):
            pieces = alike[first : first + batch]
            stacked = np.stack([pixels[:, columns] for columns, _ in pieces])
            found = predict(torch.from_numpy(stacked).permute(0, 3, 1, 2))
            if total is None:
                total = found.new_zeros(found.shape[1], len(pixels), pixels.shape[1])
            for (columns, fading), probabilities in zip(pieces, found, strict=True):
                total[:, :, columns] += probabilities * torch.outer(weights, fading).to(found.device)
    assert total is not None
    return total
