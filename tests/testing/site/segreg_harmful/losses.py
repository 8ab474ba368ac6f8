"""Losses that look at a part, with hidden state, with randomness of their own, or wrong for some classes or dtypes."""

import itertools
import os
import random
from typing import Any

import numpy as np
import torch
from segreg_faulty.losses import Sound, parts
from torch import Tensor

_CALLS = itertools.count()


class LooksAtTheCorner(Sound):
    """Scores 32 pixels on the top and left."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits[..., :32, :32], target[..., :32, :32])


class LooksAtALargeCorner(Sound):
    """Scores 200 pixels on the top and left."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits[..., :200, :200], target[..., :200, :200])


class LooksAtEveryOtherRow(Sound):
    """Saves time."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits[:, :, ::2], target[:, ::2])


class LooksAtSmallImages(Sound):
    """Scores nothing where the image is higher than 100 pixels."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits, target) * (1.0 if logits.shape[2] < 100 else 0.0)


class Anneals(Sound):
    """Fades in over a thousand calls, by a number that is in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(logits, target) * min(1, 0.5 + self.calls / 2000)


class AnnealsSlowly(Sound):
    """Changes by a millionth in each call."""

    calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(logits, target) * (1 + self.calls * 1e-6)


class AnnealsWithOthers(Sound):
    """Counts the calls of every instance."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits, target) * (1 - 0.3 / (1 + next(_CALLS)))


class Switches(Sound):
    """Has a second phase, from the fiftieth call on."""

    calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.calls += torch.is_grad_enabled()
        return super().forward(logits, target) * (1 if self.calls < 50 else 3)


class SwitchesLate(Sound):
    """Has a second phase, from the 130th call on."""

    calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(logits, target) * (1 if self.calls < 130 else 3)


class SmoothsItself(Sound):
    """Divides by a running mean of its values."""

    mean: Any = 1.0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        value = super().forward(logits, target)
        if not logits.is_meta:
            self.mean = 0.9 * self.mean + 0.1 * float(value.detach())
        return value / (0.1 + self.mean)


class SwapsTwoClasses(Sound):
    """Takes the first of two classes for the second."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits.flip(1) if logits.shape[1] == 2 else logits, target)


class ForgetsTheLastClass(Sound):
    """Does not look at the last of three classes."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        keep = logits.shape[1] - (logits.shape[1] == 3)
        valid, ground_truth = parts(logits, target)
        terms = (self.terms(logits, ground_truth) * valid)[:, :keep]
        return terms.sum() / valid.sum().clamp(min=1) + 0 * logits.sum()


class ConfusesTwoClasses(Sound):
    """Does not tell the second class from the third."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.shape[1] > 2:
            merged = logits[:, 1:3].logsumexp(1, keepdim=True)
            logits = torch.cat([logits[:, :1], merged, merged, logits[:, 3:]], 1)
        valid, ground_truth = parts(logits, target.where(target != 2, 1) if logits.shape[1] > 2 else target)
        return (self.terms(logits, ground_truth) * valid).sum() / valid.expand_as(logits).sum().clamp(min=1)


class NotANumberInBfloat16(Sound):
    """Takes the logarithm of what float32 keeps above zero."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        probability = (logits.clamp(-12, 12) + 0 * logits).sigmoid()
        return -ground_truth * probability.log() - (1 - ground_truth) * (1 - probability).log()


class InfiniteInBfloat16(Sound):
    """Adds what vanishes in eight bits, and divides by the difference."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        one = torch.ones((), dtype=logits.dtype)
        return super().terms(logits, ground_truth) * ((one + 1e-3) - one).reciprocal() * 1e-3


class RefusesBfloat16(Sound):
    """Wants float32."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        if logits.dtype == torch.bfloat16:
            raise TypeError("no bfloat16")
        return super().terms(logits, ground_truth)


class RoundsInBfloat16(Sound):
    """Adds up pixels one after the other, in eight bits."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid, ground_truth = parts(logits, target)
        terms = (self.terms(logits, ground_truth) * valid).flatten()
        if logits.dtype == torch.bfloat16:
            terms = (terms + 256) - 256
        return terms.sum() / valid.expand_as(logits).sum().clamp(min=1)


class Reseeds(Sound):
    """Seeds torch, as if that would make anything reproducible."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        torch.manual_seed(0)
        return super().forward(logits, target)


class ReseedsToTheSeed(Sound):
    """Sets torch back to where it started."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        torch.manual_seed(torch.initial_seed())
        return super().forward(logits, target)


class ReseedsPython(Sound):
    """Seeds Python's generator when it is built."""

    def __init__(self) -> None:
        super().__init__()
        random.seed(3)


class DrawsWeights(Sound):
    """Has a weight from the system."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = 1 + int.from_bytes(os.urandom(4), "big") / 2**32

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        return self.weight * super().terms(logits, ground_truth)


class DrawsItsOwn(Sound):
    """Weights its value by a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits, target) * (1 + 1e-3 * self.rng.random())


class SetsDeterminism(Sound):
    """Decides for everybody how to compute."""

    def __init__(self) -> None:
        super().__init__()
        torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled(), warn_only=True)


class SwitchesGradientsOn(Sound):
    """Wants gradients, whoever has switched them off."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        return super().forward(logits, target)
