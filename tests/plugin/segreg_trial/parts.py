"""The implementations, which need torch."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TROUBLE: tuple[int, BaseException] | None = None
"""After how many steps of training `Fragile` raises, and what."""


class Dot(nn.Module):
    """One convolution.

    Args:
        note: Nothing, but part of the name.
        start: What all weights are to begin with, in the place of random ones.
    """

    def __init__(
        self, *, in_channels: int = 3, num_classes: int = 1, note: str = "", start: float | None = None
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.head = nn.Conv2d(in_channels, num_classes, 1)
        if start is not None:
            nn.init.constant_(self.head.weight, start)
            nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(images))


class Demanding(nn.Module):
    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, pages: int) -> None:
        super().__init__()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, target, ignore_index=255)
    return F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float())


class Fragile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if TROUBLE and logits.requires_grad and self.steps == TROUBLE[0]:
            raise TROUBLE[1]
        self.steps += logits.requires_grad
        return cross_entropy(logits, target)


class Broken(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        raise RuntimeError("a <b>broken</b> loss\nof two lines")


class NaN(nn.Module):
    def __init__(self, *, after: int = 0) -> None:
        super().__init__()
        self.left = after

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.left -= logits.requires_grad
        return cross_entropy(logits, target) * (1.0 if self.left >= 0 else float("nan"))


class Mistakes(nn.Module):
    """Written as many are: `update` makes new tensors, and `reset` changes them in place."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("wrong", torch.zeros((), dtype=torch.int64))
        self.register_buffer("pixels", torch.zeros((), dtype=torch.int64))

    def update(self, logits: Tensor, target: Tensor) -> None:
        predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
        valid = target != 255
        self.wrong = self.wrong + ((predicted != target) & valid).sum()
        self.pixels = self.pixels + valid.sum()

    def compute(self) -> float:
        return float(self.wrong) / float(self.pixels)

    def reset(self) -> None:
        self.wrong.zero_()
        self.pixels.zero_()


class Bands:
    """Noisy pictures of horizontal bands, each as bright as its class says; the model has to find the thresholds.

    Args:
        classes: Names of the classes; one for a binary task.
        ignored: Whether the left column counts for nothing.
        ignored_valid: Whether that is so for all of the validation pictures.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        classes: tuple[str, ...] = ("band",),
        channels: int = 3,
        height: int = 12,
        width: int = 8,
        train: int = 16,
        valid: int = 6,
        test: int = 0,
        noise: float = 40.0,
        ignored: bool = False,
        ignored_valid: bool = False,
    ) -> None:
        self.classes = classes
        count = max(len(classes), 2)

        def samples(split: int, number: int) -> Sequence[tuple[np.ndarray, np.ndarray]]:
            drawn = []
            for index in range(number):
                random = np.random.default_rng((split, index))
                mask = np.sort(random.integers(0, count, (height, 1)), axis=0).repeat(width, axis=1).astype(np.uint8)
                light = 30 + 190 * mask[..., None] / (count - 1) + random.normal(0, noise, (height, width, channels))
                mask[:, : (ignored + (width if ignored_valid and split == 1 else 0))] = 255
                drawn.append((light.clip(0, 255).astype(np.uint8), mask))
            return drawn

        self.splits = {"train": samples(0, train), "valid": samples(1, valid), "test": samples(2, test)}
