"""Random augmentation of the images and masks of a batch."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segreg.contracts import DisplacementAugmentation, ImageAugmentation, MatrixAugmentation

# What flips, and on a square also quarter turns, are but for their signs.
_SAME_SIZE = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]])


class Augmenter:
    """Augments batches: all that moves pixels in one resampling, then what changes their values.

    All that is random about an image follows from the seed, the epoch and its position in the epoch. Resampling
    reflects the image at its edges, so that no black corner is learnt as background. Images that are only flipped or
    rotated by quarter turns are not resampled.

    Args:
        augmentations: The augmentations, in order.
        seed: Seed of the run.
    """

    def __init__(self, augmentations: Sequence[Any], seed: int) -> None:
        self._seed = seed
        ends = list(accumulate(int(each.draws) for each in augmentations))
        self._draws = ends[-1] if ends else 0
        mine = [slice(end - each.draws, end) for each, end in zip(augmentations, ends, strict=True)]
        placed = list(zip(augmentations, mine, strict=True))
        self._maps = [(each, draws) for each, draws in placed if isinstance(each, MatrixAugmentation)]
        self._fields = [(each, draws) for each, draws in placed if isinstance(each, DisplacementAugmentation)]
        self._changes = [(each, draws) for each, draws in placed if isinstance(each, ImageAugmentation)]

    def uniforms(self, epoch: int, images: int) -> Tensor:
        """Return the random numbers of an epoch, float32 [images, draws] in [0, 1), by position in it."""
        # torch's generator on the CPU takes only 32 bits of a seed, which do not hold both.
        generator = np.random.default_rng((self._seed, epoch))
        return torch.from_numpy(generator.random((images, self._draws), dtype=np.float32))

    def __call__(self, images: Tensor, target: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Shapes:
            images: float [B, C, H, W] in [0, 1];  target: int64 [B, H, W];  u: float32 [B, draws], on the CPU;
            returns: the same.
        """
        size = (images.shape[2], images.shape[3])
        there = u.to(images.device, non_blocking=True)
        matrix: Tensor | None = None
        for each, draws in self._maps:
            further = each.matrix(u[:, draws], size)
            # What comes later sees the output of what came before, and so its matrix is applied to a pixel first.
            matrix = further if matrix is None else (matrix[..., None] * further[:, None]).sum(2)
        displacement: Tensor | None = None
        for moving, draws in self._fields:
            field = moving.displacement(there[:, draws], size)
            displacement = field if displacement is None else displacement + field
        if displacement is not None:
            images, target = _resampled(images, target, matrix, displacement)
        elif matrix is not None:
            images, target = _moved(images, target, matrix)
        for changing, draws in self._changes:
            images = changing.change(images, there[:, draws])
        return images, target


def _moved(images: Tensor, target: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Move pixels as the matrices say; resample only those images for which that is needed."""
    groups: dict[tuple[float, ...] | None, list[int]] = {}
    kinds = _SAME_SIZE if images.shape[2] == images.shape[3] else _SAME_SIZE[:1]
    exact = (matrix.abs()[:, None] == kinds).all((2, 3)).any(1).tolist()
    for index, (is_exact, values) in enumerate(zip(exact, matrix[:, :2, :2].flatten(1).tolist(), strict=True)):
        groups.setdefault(tuple(values) if is_exact else None, []).append(index)
    moved_images, moved_target = torch.empty_like(images), torch.empty_like(target)
    for turn, positions in groups.items():
        chosen = torch.tensor(positions)
        there = chosen.to(images.device, non_blocking=True)
        # These copy whole images, in a fraction of the time that `images[there]` takes on a CPU.
        some_images, some_target = images.index_select(0, there), target.index_select(0, there)
        if turn is None:
            some_images, some_target = _resampled(some_images, some_target, matrix[chosen], None)
        else:
            some_images, some_target = _turned(some_images, turn), _turned(some_target, turn)
        moved_images.index_copy_(0, there, some_images)
        moved_target.index_copy_(0, there, some_target)
    return moved_images, moved_target


def _turned(pixels: Tensor, turn: tuple[float, ...]) -> Tensor:
    """Flip and rotate by index, as a matrix of zeros and ±1 says: [xx, xy, yx, yy]."""
    xx, xy, yx, yy = turn
    # An output pixel's x comes from the input's y if the image is transposed.
    if xy:
        pixels, xx, yy = pixels.transpose(-1, -2), yx, xy
    flipped = [dimension for dimension, sign in ((-1, xx), (-2, yy)) if sign < 0]
    return pixels.flip(flipped) if flipped else pixels


def _resampled(
    images: Tensor, target: Tensor, matrix: Tensor | None, displacement: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Sample the images bilinearly and the masks at the nearest pixel."""
    size = (images.shape[2], images.shape[3])
    matrix = torch.eye(3)[None] if matrix is None else matrix
    grid = _grid(matrix.to(images.device, non_blocking=True), size)
    if displacement is not None:
        grid = grid + displacement
    sampled = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    masks = target[:, None].to(images.dtype)
    nearest = F.grid_sample(masks, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    return sampled, nearest[:, 0].to(target.dtype)


def _grid(matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Return where pixels are taken from, float32 [B, H, W, 2].

    Neither here nor where matrices are composed are they multiplied by torch, whose rounding depends on how many there
    are: an image would depend on the size of its batch.
    """
    y, x = ((2 * torch.arange(side, device=matrix.device) + 1) / side - 1 for side in size)
    rows = matrix[:, :2, :, None, None].unbind(1)
    return torch.stack([row[:, 0] * x + row[:, 1] * y[:, None] + row[:, 2] for row in rows], -1)
