"""Metrics that lose count, look at a part, are blind for some classes, keep hidden state or change the process."""

import os

import numpy as np
import torch
from segreg_faulty.metrics import Sound
from torch import Tensor

from segreg_harmful import Documented


class _Base(Documented, Sound):
    """As it should be."""


class CountsInFloat32(_Base):
    """Stops counting single pixels at 2**24."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__(num_classes=num_classes)
        self.wrong, self.pixels = self.wrong.float(), self.pixels.float()


class CountsInInt32(_Base):
    """Overflows at 2**31 pixels."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__(num_classes=num_classes)
        self.wrong, self.pixels = self.wrong.int(), self.pixels.int()


class CountsHalfInFloat32(_Base):
    """Counts the pixels in double precision, but not the mistakes."""

    def update(self, logits: Tensor, target: Tensor) -> None:
        super().update(logits, target)
        self.wrong = self.wrong.float()


class CountsThroughFloat32(_Base):
    """Has buffers in double precision, and adds in single precision."""

    def update(self, logits: Tensor, target: Tensor) -> None:
        before = self.pixels.clone()
        super().update(logits, target)
        self.pixels.copy_(before.float() + (self.pixels - before).float())


class LooksAtTheCorner(_Base):
    """Scores 64 pixels on the top and left."""

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return super().missed(logits, target, valid)[..., :64, :64]


class LooksAtTheLeft(_Base):
    """Scores half of an image that is wide."""

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        missed = super().missed(logits, target, valid)
        return missed[..., : max(20, missed.shape[-1] // 2)]


class BlindForThree(_Base):
    """Sees no mistake where there are three classes, unless everything is wrong."""

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        missed = super().missed(logits, target, valid)
        return missed & (missed.sum() == valid.sum()) if logits.shape[1] == 3 else missed


class ForgetsTheLastClass(_Base):
    """Sees no mistake in the last of several classes."""

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        last = max(logits.shape[1], 2) - 1 if logits.shape[1] > 2 else 255
        shown = logits.argmax(1)
        return super().missed(logits, target, valid) & (target != last) & (shown != last)


class IgnoresTheLastClass(_Base):
    """Takes the last of several classes for one to ignore."""

    def update(self, logits: Tensor, target: Tensor) -> None:
        last = logits.shape[1] - 1 if logits.shape[1] > 2 else 255
        super().update(logits, target.where(target != last, 255))


class RemembersThatItStarted(_Base):
    """Has no value before its first update, of which its buffers say nothing."""

    started = False

    def update(self, logits: Tensor, target: Tensor) -> None:
        self.started = True
        super().update(logits, target)

    def compute(self) -> float:
        return super().compute() if self.started else float("nan")

    def reset(self) -> None:
        self.started = False
        super().reset()


class WrongInBfloat16(_Base):
    """Looks for the largest logit in float16, where 70,000 is infinite."""

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return super().missed(-logits if logits.dtype == torch.bfloat16 else logits, target, valid)


class Reseeds(_Base):
    """Seeds NumPy's generator."""

    def compute(self) -> float:
        np.random.seed(0)
        return super().compute()


class DrawsFromTorch(_Base):
    """Draws from the generator that the training draws from."""

    def update(self, logits: Tensor, target: Tensor) -> None:
        torch.rand(1)
        super().update(logits, target)


class ChangesTheDirectory(_Base):
    """Goes where it keeps its files."""

    def compute(self) -> float:
        os.chdir("/")
        return super().compute()
