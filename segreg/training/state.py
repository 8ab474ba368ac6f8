"""What changes while a run is trained, and is all that a checkpoint has to hold."""

import math
from collections.abc import Mapping
from typing import Any

import attrs
from torch import Tensor, nn
from torch.optim import Optimizer

from segreg.nn.ema import EMA
from segreg.nn.normalized import Normalized
from segreg.runs.run import Row


@attrs.define(kw_only=True)
class Epoch:
    """What an epoch has gathered so far.

    Args:
        lr: The learning rate that it began with.
        losses: Float [steps], the loss of each step that is done.
        step: How many are done.
        seconds: What they took, as of the last checkpoint; this and the rest is filled in for that.
        metrics: The buffers of each metric.
        random: Where the generators of random numbers stand.
    """

    lr: float
    losses: Tensor
    step: int = 0
    seconds: float = 0.0
    metrics: Mapping[str, Mapping[str, Tensor]] = attrs.field(factory=dict)
    random: dict[str, Any] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class State:
    """Everything that changes while a run goes on.

    Whatever is random in an epoch is seeded with the number of the epoch, so generators matter only in its midst. The
    learning rate follows from the number of steps.

    Args:
        model: The model that is trained.
        loss: Its loss, which may have buffers.
        optimizer: Its optimizer.
        ema: The average of the model's weights, if one is kept.
        rows: The history so far.
        epoch: The epoch under way, if one is.
        best: The best value so far of the metric that decides.
        best_epoch: When it was reached; 0 before the first epoch.
        best_weights: The weights that reached it.
    """

    model: Normalized
    loss: nn.Module
    optimizer: Optimizer
    ema: EMA | None
    rows: list[Row] = attrs.field(factory=list)
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
        """How far the run is, as a person says it."""
        if self.epoch:
            return f"step {self.epoch.step} of epoch {len(self.rows) + 1}"
        return f"epoch {len(self.rows)}"

    def steps_done(self, steps: int) -> int:
        """Return how many steps were taken, where an epoch has `steps`."""
        return steps * len(self.rows) + (self.epoch.step if self.epoch else 0)

    def keep_best(self, value: float) -> None:
        """Remember the weights as they are as the best ones."""
        self.best, self.best_epoch = value, len(self.rows)
        self.best_weights = {name: tensor.clone() for name, tensor in self.evaluated.model.state_dict().items()}
