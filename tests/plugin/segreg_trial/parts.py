"""The implementations, which need torch."""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TROUBLE: tuple[int, BaseException] | None = None
"""The number of training steps after which `Fragile` raises, and the exception."""


class Dot(nn.Module):
    """One convolution.

    Args:
        note: Nothing, but part of the name.
        start: Initial value of all weights, instead of random ones.
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


class Hungry(Dot):
    """A dot that requests more memory than available when a training batch is larger than the limit.

    Args:
        limit: Images that fit.
        steps: Number of steps before that.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, limit: int = 1, steps: int = 0) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.limit = limit
        self.left = steps

    def forward(self, images: Tensor) -> Tensor:
        self.left -= self.training
        if self.training and self.left < 0 and len(images) > self.limit:
            torch.empty(2**60, dtype=torch.uint8, device=images.device)
        return super().forward(images)


class Inward(Dot):
    """Has data-dependent control flow, which no exporter can follow."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if images.mean() > 0.5 else -super().forward(images)


class Rounding(Dot):
    """Pads to even sizes by a division that ONNX rounds the other way."""

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        bottom, right = (2 * torch.sym_max(2, -(-length // 2)) - length for length in (height, width))
        padded = F.pad(images, (0, right, 0, bottom))
        return F.pad(super().forward(padded), (0, width - padded.shape[3], 0, height - padded.shape[2]))


class Demanding(nn.Module):
    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, pages: int) -> None:
        super().__init__()


class Dropping(nn.Module):
    """An encoder that drops features, and a head.

    Args:
        p: Probability of zeroing a feature.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, p: float = 0.5) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 4, 1), nn.Dropout(p))
        self.head = nn.Conv2d(4, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))


class Valued(Dot):
    """Cannot be built without values. With more than one class, not at all."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.scale = 1 + 0 * self.head.weight.sum().item()
        if num_classes > 1:
            raise RuntimeError("only one class")


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


class Noisy(Fragile):
    """Weighted by random numbers from generators other than torch's, and by a buffer that changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.requires_grad:
            self.seen += 1
        return super().forward(logits, target) * (1 + random.random() + np.random.rand() + self.seen / 10)


class Broken(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        raise RuntimeError("a <b>broken</b> loss\nof two lines")


class PerImage(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return logits.square().mean(dim=(1, 2, 3))


class Wide(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.shape[-1] < 40:
            raise ValueError("the images are too small")
        return cross_entropy(logits, target)


class NaN(nn.Module):
    """BCE, then not a number.

    Args:
        after: Training steps without a failure.
        gradient: Whether only the gradient is NaN, and the loss is finite.
    """

    def __init__(self, *, after: int = 0, gradient: bool = False) -> None:
        super().__init__()
        self.left = after
        self.gradient = gradient

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.left -= logits.requires_grad
        loss = cross_entropy(logits, target)
        if self.left >= 0:
            return loss
        return loss + (0 * logits.sum()).sqrt() if self.gradient else loss * float("nan")


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


class Rateless(torch.optim.SGD):
    """Plain descent at a fixed rate.

    Args:
        params: Parameters.
    """

    def __init__(self, params: Iterable[nn.Parameter]) -> None:
        super().__init__(params, lr=0.01)


class Bands:
    """Noisy images of horizontal bands, each as bright as its class says; the model has to find the thresholds.

    Args:
        classes: Names of the classes; one for a binary task.
        ignored: Whether the left column is ignored.
        ignored_train: Whether the training images are ignored entirely.
        ignored_valid: Whether the validation images are ignored entirely.
        empty: Whether the images show no class except the first.
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
        ignored_train: bool = False,
        ignored_valid: bool = False,
        empty: bool = False,
    ) -> None:
        self.classes = classes
        count = max(len(classes), 2)

        def samples(split: int, number: int) -> Sequence[tuple[np.ndarray, np.ndarray]]:
            drawn = []
            for index in range(number):
                random = np.random.default_rng((split, index))
                mask = np.sort(random.integers(0, count, (height, 1)), axis=0).repeat(width, axis=1).astype(np.uint8)
                light = 30 + 190 * mask[..., None] / (count - 1) + random.normal(0, noise, (height, width, channels))
                mask *= not empty
                mask[:, : width if (ignored_train, ignored_valid, False)[split] else ignored] = 255
                drawn.append((light.clip(0, 255).astype(np.uint8), mask))
            return drawn

        self.splits = {"train": samples(0, train), "valid": samples(1, valid), "test": samples(2, test)}


class Diary:
    """Logs the calls that it receives, one line per call.

    Args:
        tears: The call that raises; none by default.
    """

    def __init__(self, *, tears: str = "") -> None:
        self.tears = tears
        self.path: Path | None = None

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        self.path = directory / "diary.txt"
        self.write("begin", recipe["model"], *(int(row["epoch"]) for row in rows))

    def epoch(self, row: Mapping[str, float]) -> None:
        self.write("epoch", int(row["epoch"]))

    def finish(self, results: Mapping[str, Any], images: Mapping[str, np.ndarray]) -> None:
        shapes = {(*image.shape, str(image.dtype)) for image in images.values()}
        self.write("finish", results["epoch"], *images, *shapes)

    def close(self) -> None:
        if self.path:
            self.write("close")

    def write(self, *words: Any) -> None:
        with self.path.open("a") as file:
            file.write(f"{' '.join(map(str, words))}\n")
        if words[0] == self.tears:
            raise RuntimeError("the page\nis torn")
