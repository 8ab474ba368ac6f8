"""Augmentations that each violate one requirement."""

from typing import Any

import torch
from torch import Tensor


class Sound:
    """Makes half of the images darker."""

    draws = 2

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return (images - self.by(u)[:, None, None, None]).clamp(0, 1)

    def by(self, u: Tensor) -> Tensor:
        return 0.3 * u[:, 1] * (u[:, 0] < 0.5)


class HasOneOfThreeMethods:
    """Has a method that nobody calls."""

    draws = 1

    def transform(self, images: Tensor, u: Tensor) -> Tensor:
        return images


class ResultsHaveTheirForm(Sound):
    """Cuts off the border."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return super().change(images, u)[:, :, 1:-1, 1:-1]


class ValuesStayInRange(Sound):
    """Does not stop at black."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return images - self.by(u)[:, None, None, None]


class AnyChannels(Sound):
    """Weights red, green and blue."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return super().change(images * torch.tensor([0.9, 1.0, 0.8])[:, None, None], u)


class SomethingChanges(Sound):
    """Chooses images by a number that is never reached."""

    def by(self, u: Tensor) -> Tensor:
        return 0.3 * u[:, 1] * (u[:, 0] > 1)


class ImagesOfABatchAreIndependent(Sound):
    """Subtracts from the whole batch what is for the first image."""

    def by(self, u: Tensor) -> Tensor:
        return super().by(u)[:1].expand(len(u)) + 0.1 * u[:, 1]


class RandomnessFollowsFromWhatItIsGiven(Sound):
    """Has a generator of its own."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(1)

    def by(self, u: Tensor) -> Tensor:
        return 0.3 * torch.rand(len(u), generator=self.generator)


class InputIsNotModified(Sound):
    """Works in place."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        return images.sub_(self.by(u)[:, None, None, None]).clamp_(0, 1)


class RunsWithoutValues(Sound):
    """Returns early where nothing changes."""

    def change(self, images: Tensor, u: Tensor) -> Any:
        return super().change(images, u) if self.by(u).any() else images.clone()
