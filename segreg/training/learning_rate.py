"""The learning rate of each step."""

import math
from typing import Any

from torch.optim import Optimizer

from segreg.contracts import LearningRateSchedule
from segreg.errors import TrainingError
from segreg.resolved import Resolved


class LearningRate:
    """The learning rates of an optimizer's groups, which follow from the number of steps alone.

    Args:
        schedule: The schedule.
        optimizer: The optimizer, whose groups have their own rates, each multiplied by the schedule.
        steps: Number of steps of the whole training.
    """

    def __init__(self, schedule: Resolved, optimizer: Optimizer, steps: int) -> None:
        self._expression, self._steps = schedule.expression, steps
        self._schedule: LearningRateSchedule = schedule.build()
        self._optimizer = optimizer
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]

    def at(self, step: int) -> float:
        """Return the rate of the first group at a step.

        Raises:
            TrainingError: the schedule gives no factor of a learning rate.
        """
        return self._rates[0] * self._factor(step)

    def set(self, step: int) -> None:
        """Set the rates of all groups for a step.

        Raises:
            TrainingError: as for `at`.
        """
        factor = self._factor(step)
        # Loading a state dict makes other groups.
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _factor(self, step: int) -> float:
        factor = self._schedule(step, self._steps)
        try:
            check_factor(factor, step, self._steps)
        except ValueError as error:
            raise TrainingError(f"schedule {self._expression}: {error}") from error
        return factor


def check_factor(factor: Any, step: int, steps: int) -> None:
    """Raise `ValueError` unless it is a factor of the learning rate."""
    if not isinstance(factor, int | float) or not 0 <= factor < math.inf:
        raise ValueError(f"its factor is {factor!r} at step {step} of {steps}: expected a finite number, 0 or more")
