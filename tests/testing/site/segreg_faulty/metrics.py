"""Metrics that each violate one requirement. All are variants of the share of wrong pixels."""

import torch
from torch import Tensor, nn


class Sound(nn.Module):
    """The share of pixels that are wrong.

    Args:
        num_classes: 1 or more.
    """

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("wrong", torch.zeros((), dtype=torch.float64))
        self.register_buffer("pixels", torch.zeros((), dtype=torch.float64))

    def update(self, logits: Tensor, target: Tensor) -> None:
        valid = target != 255
        self.wrong += self.missed(logits, target, valid).sum()
        self.pixels += valid.sum()

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
        return (predicted != target) & valid

    def compute(self) -> float:
        return float(self.wrong / self.pixels)

    def reset(self) -> None:
        for buffer in self.buffers():
            buffer.zero_()


class BatchesDoNotMatter(Sound):
    """Averages averages."""

    def update(self, logits: Tensor, target: Tensor) -> None:
        valid = target != 255
        self.wrong += self.missed(logits, target, valid).sum() / valid.sum().clamp(min=1)
        self.pixels += 1


class StatesAddUp(Sound):
    """Keeps part of its state outside its buffers."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__(num_classes=num_classes)
        self.seen = 0.0

    def update(self, logits: Tensor, target: Tensor) -> None:
        super().update(logits, target)
        self.seen += (target != 255).sum()

    def compute(self) -> float:
        return float(self.wrong / self.seen) if self.seen else float("nan")

    def reset(self) -> None:
        super().reset()
        self.seen = 0.0


class ResetForgets(Sound):
    """Resets only half."""

    def reset(self) -> None:
        self.wrong.zero_()


class NothingIsNan(Sound):
    """Gives no pixels the best value."""

    def compute(self) -> float:
        return float(self.wrong / self.pixels.clamp(min=1))


class IgnoredPixelsHaveNoInfluence(Sound):
    """Counts mistakes on ignored pixels."""

    def missed(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return super().missed(logits, target.where(valid, 0), torch.ones_like(valid))


class RightBeatsWrong(Sound):
    """Is declared as higher is better."""


class AgreesWithItsDefinition(Sound):
    """Is declared to be the accuracy, which is the opposite."""


class UpdateDoesNotWait(Sound):
    """Synchronizes with the device at every update."""

    def update(self, logits: Tensor, target: Tensor) -> None:
        if (target != 255).any():
            super().update(logits, target)
