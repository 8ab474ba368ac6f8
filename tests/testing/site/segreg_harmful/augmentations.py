"""Augmentations with hidden state or own randomness, that mix images, or that are wrong for some sizes and numbers."""

import random
from itertools import count

import numpy as np
import torch
from segreg_faulty.augmentations import Sound
from torch import Tensor

_CALLS = count()


class FadesIn(Sound):
    """Becomes stronger from call to call."""

    calls = 0

    def by(self, u: Tensor) -> Tensor:
        self.calls += 1
        return super().by(u) * min(1.0, self.calls / 1000)


class FadesInLate(Sound):
    """Begins after fifty calls."""

    calls = 0

    def by(self, u: Tensor) -> Tensor:
        self.calls += 1
        return super().by(u) * (1 if self.calls < 50 else 2)


class FadesOutWithOthers(Sound):
    """Counts the calls of every instance."""

    def by(self, u: Tensor) -> Tensor:
        return super().by(u) / (1 + next(_CALLS))


class DiffersByInstance(Sound):
    """Has a strength of its own."""

    def __init__(self) -> None:
        self.strength = 1 / (1 + next(_CALLS))

    def by(self, u: Tensor) -> Tensor:
        return super().by(u) * self.strength


class DrawsFromTorch(Sound):
    """Draws its noise."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return (super().change(images, u) + 0.1 * torch.rand_like(images)).clamp(0, 1)


class DrawsFromNumpy(Sound):
    """Draws from NumPy's generator."""

    def by(self, u: Tensor) -> Tensor:
        return super().by(u) * np.random.rand()


class Reseeds(Sound):
    """Draws its own numbers, and seeds for them."""

    def by(self, u: Tensor) -> Tensor:
        random.seed(0)
        return super().by(u) * random.random()


class MixesImages(Sound):
    """Blends each image with the next one."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return super().change(0.9 * images + 0.1 * images.roll(1, 0), u)


class RarelyMixesImages(Sound):
    """Blends one image of fifty with the next one."""

    draws = 3

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        share = 0.1 * (u[:, 2] < 0.02)[:, None, None, None]
        return super().change((1 - share) * images + share * images.roll(1, 0), u)


class StandardizesTheBatch(Sound):
    """Uses the mean of all images."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return super().change(0.9 * images + 0.1 * images.mean(), u)


class TreatsAllAlike(Sound):
    """Makes every image darker by the same amount."""

    def by(self, u: Tensor) -> Tensor:
        return torch.full_like(u[:, 0], 0.2)


class NotANumberAtZero(Sound):
    """Takes a logarithm of what may be zero."""

    def by(self, u: Tensor) -> Tensor:
        return (0.01 * u[:, 1].log()).nan_to_num(neginf=torch.nan)


class ComputesInFloat64(Sound):
    """Returns what takes twice the memory."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return super().change(images.double(), u)


class OvershootsOnWhite(Sound):
    """Sharpens, and trusts that no pixel is at the end of the range."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return super().change(images, u) + 0.2 * u[:, 1, None, None, None] * (images == 1)


class ModifiesItsNumbers(Sound):
    """Scales its numbers in place."""

    def by(self, u: Tensor) -> Tensor:
        return u[:, 1].mul_(0.3)


class HasPerspective:
    """Writes a perspective into the last row, which no resampling reads."""

    draws = 1

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        matrix = torch.eye(3).repeat(len(u), 1, 1)
        matrix[:, 2, 0] = 0.1 * u[:, 0]
        return matrix


class Collapses:
    """Scales down to nothing."""

    draws = 1

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.diag_embed(torch.stack([u[:, 0], u[:, 0], torch.ones(len(u))], 1))


class SwapsHeightAndWidth:
    """Displaces along x by a field that is transposed."""

    draws = 1

    def displacement(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = size
        return (u[:, 0, None, None, None] - 0.5).expand(-1, width, height, 2) * 0.1


class StaysOnTheCpu:
    """Creates its field where it is not wanted."""

    draws = 1

    def displacement(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.full((len(u), *size, 2), 0.05) * (u[:, 0, None, None, None] if u.device.type == "cpu" else 1)
