"""Rotation by quarter turns."""

import torch
from torch import Tensor

_TURNS = torch.tensor([[[1.0, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]])


class QuarterTurns:
    """Rotates images and masks by 0°, 90°, 180° or 270° counter-clockwise, each as often, without resampling.

    Images that are not square are rotated by 0° or 180°, since their size must not change.
    """

    draws = 1

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return where each output pixel is taken from, float32 [B, 3, 3]."""
        turns = (4 * u[:, 0]).long() if size[0] == size[1] else 2 * (2 * u[:, 0]).long()
        matrix = torch.eye(3).repeat(len(u), 1, 1)
        matrix[:, :2, :2] = _TURNS[turns]
        return matrix
