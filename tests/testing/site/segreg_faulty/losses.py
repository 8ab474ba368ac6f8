"""Losses that each violate one requirement."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sound(nn.Module):
    """Cross-entropy, one sigmoid per class, over the pixels that are not ignored."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid, ground_truth = parts(logits, target)
        return (self.terms(logits, ground_truth) * valid).sum() / valid.expand_as(logits).sum().clamp(min=1)

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, ground_truth, reduction="none")


def parts(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The mask of pixels that are not ignored, [B, 1, H, W], and the ground truth as floats, [B, K, H, W]."""
    classes = torch.arange(logits.shape[1], device=target.device) + (logits.shape[1] == 1)
    return (target != 255)[:, None], (target[:, None] == classes[:, None, None]).to(logits.dtype)


class IsAScalarWithAGradient(Sound):
    """Returns one value per image."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid, ground_truth = parts(logits, target)
        return (self.terms(logits, ground_truth) * valid).mean((1, 2, 3))


class ExtremesStayFinite(Sound):
    """Takes the logarithm of a value that may be zero."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        probability = logits.sigmoid()
        return -ground_truth * probability.log() - (1 - ground_truth) * (1 - probability).log()


class IgnoredPixelsHaveNoInfluence(Sound):
    """Counts ignored pixels as background."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.terms(logits, parts(logits, target)[1]).mean()


class NothingButIgnoredIsFinite(Sound):
    """Divides by the number of pixels that are not ignored."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid, ground_truth = parts(logits, target)
        return (self.terms(logits, ground_truth) * valid).sum() / valid.sum()


class RightBeatsWrong(Sound):
    """Has its sign wrong."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        return -super().terms(logits, ground_truth)


class OrderOfTheBatchDoesNotMatter(Sound):
    """Weights the first image most."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        return super().terms(logits, ground_truth) / torch.arange(1, len(logits) + 1)[:, None, None, None]


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient / 2


class GradientIsTheSlope(Sound):
    """Halves its gradient in the backward pass."""

    def terms(self, logits: Tensor, ground_truth: Tensor) -> Tensor:
        return super().terms(_Halved.apply(logits), ground_truth)


class InputIsNotModified(Sound):
    """Clears the ignored pixels of the caller's target."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        value = super().forward(logits, target)
        target.masked_fill_(target == 255, 0)
        return value


class RunsWithoutValues(Sound):
    """Synchronizes with the device to check whether there is anything to do."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if not (target != 255).any():
            return logits.sum() * 0
        return super().forward(logits, target)
