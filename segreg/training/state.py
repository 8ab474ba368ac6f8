"""What changes during training, which is all that a checkpoint has to hold."""

import math
from collections.abc import Mapping
from typing import Any

import attrs
from torch import Tensor, nn
from torch.optim import Optimizer

from segreg.nn.ema import EMA
from segreg.nn.normalized import Normalized
from segreg.runs.history import EpochRecord


@attrs.define(kw_only=True)
class Epoch:
    """What an epoch has accumulated so far.

    Args:
        lr: Learning rate at its start.
        losses: Float [steps], the loss of each completed step.
        step: Number of completed steps.
        seconds: Time that they took. This and the following fields are filled in when a checkpoint is written.
        metrics: Buffers of each metric.
        random: States of the random number generators.
    """

    lr: float
    losses: Tensor
    step: int = 0
    seconds: float = 0.0
    metrics: Mapping[str, Mapping[str, Tensor]] = attrs.field(factory=dict)
    random: dict[str, Any] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class State:
    """Everything that changes during training.

    All randomness of an epoch is seeded with its number, so the states of generators matter only within an epoch. The
    learning rate follows from the number of steps.

    Args:
        model: The model that is trained.
        loss: Its loss, which may have buffers.
        optimizer: Its optimizer.
        ema: The average of the model's weights, if one is kept.
        history: The history so far.
        epoch: The epoch in progress, if there is one.
        best: Best value so far of the first metric.
        best_epoch: Epoch that reached it; 0 before the first epoch.
        best_weights: The weights that reached it.
    """

    model: Normalized
    loss: nn.Module
    optimizer: Optimizer
    ema: EMA | None
    history: list[EpochRecord] = attrs.field(factory=list)
    epoch: Epoch | None = None
    best: float = math.nan
    best_epoch: int = 0
    best_weights: Mapping[str, Tensor] = attrs.field(factory=dict)

    @property
    def evaluated(self) -> Normalized:
        """The model that is evaluated and kept: the average of the weights, if there is one."""
        return self.ema.model if self.ema else self.model

    @property
    def position(self) -> str:
        """How far the run is, in words."""
        if self.epoch:
            return f"step {self.epoch.step} of epoch {len(self.history) + 1}"
        return f"epoch {len(self.history)}"

    @property
    def epochs_since_best(self) -> int:
        """The number of epochs in which the first metric has not improved."""
        return len(self.history) - self.best_epoch

    def steps_done(self, steps: int) -> int:
        """Return the number of completed steps, with `steps` per epoch."""
        return steps * len(self.history) + (self.epoch.step if self.epoch else 0)

    def keep_best(self, value: float) -> None:
        """Remember the current weights as the best ones."""
        self.best, self.best_epoch = value, len(self.history)
        self.best_weights = {name: tensor.clone() for name, tensor in self.evaluated.model.state_dict().items()}
