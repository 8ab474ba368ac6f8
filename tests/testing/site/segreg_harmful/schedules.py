"""Schedules with hidden state or own randomness, or with factors that are no numbers in some trainings."""

import os
import random
from itertools import count
from typing import Any

import torch

_BUILT = count(1)


class DividesByZero:
    """Divides by the number of steps after the first."""

    def __call__(self, step: int, steps: int) -> float:
        return 1 - 0.5 * step / (steps - 1)


class ReturnsATensor:
    """Computes with torch."""

    def __call__(self, step: int, steps: int) -> Any:
        return torch.tensor(1 - step / steps)


class IsInfiniteAtFirst:
    """Divides by the step."""

    def __call__(self, step: int, steps: int) -> float:
        return 1 / step if step else float("inf")


class IsComplexAtLast:
    """Takes a root of what is below zero in long trainings."""

    def __call__(self, step: int, steps: int) -> Any:
        return (1 - step / 500) ** 0.5


class WarmsUpForever:
    """Warms up over more steps than most trainings have."""

    def __call__(self, step: int, steps: int) -> float:
        return step // 2000


class CountsItsCalls:
    """Ignores the step that it is asked for."""

    calls = 0

    def __call__(self, step: int, steps: int) -> float:
        self.calls += 1
        return 1 / self.calls


class RemembersTheLongest:
    """Adapts to the longest training that it has seen."""

    longest = 1

    def __call__(self, step: int, steps: int) -> float:
        self.longest = max(self.longest, steps)
        return 1 - step / self.longest


class OnlyMovesOn:
    """Never goes back to an earlier step."""

    last = 0

    def __call__(self, step: int, steps: int) -> float:
        self.last = max(self.last, step) if step else 0
        return 1 / (1 + self.last)


class DiffersByInstance:
    """Has a factor of its own."""

    def __init__(self) -> None:
        self.factor = 1 / next(_BUILT)

    def __call__(self, step: int, steps: int) -> float:
        return self.factor


class DrawsItsFactor:
    """Jitters, by Python's generator."""

    def __call__(self, step: int, steps: int) -> float:
        return 0.9 + 0.1 * random.random()


class Reseeds:
    """Jitters, always in the same way."""

    def __call__(self, step: int, steps: int) -> float:
        random.seed(step)
        return 0.9 + 0.1 * random.random()


class ChangesTheEnvironment:
    """Tells others how far the training is."""

    def __call__(self, step: int, steps: int) -> float:
        os.environ["TRAINING_STEP"] = str(step)
        return 1.0
