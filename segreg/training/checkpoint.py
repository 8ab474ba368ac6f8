"""The state of a run between two epochs: kept in memory, written to disk, read back."""

import math
import shutil
import time
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from segreg.errors import RunError
from segreg.training.archive import read_archive
from segreg.training.average import Average
from segreg.training.files import replacing
from segreg.training.normalized import Normalized
from segreg.training.run import Row, Run

_SHARE_OF_TIME = 0.05
# A guess of how fast a disk writes, for the first time; from then on it is measured.
_BYTES_PER_SECOND = 200e6


@attrs.define(kw_only=True)
class State:
    """Everything that changes while a run goes on.

    Whatever is random in an epoch is seeded with the number of the epoch, so no generator's state belongs here.

    Args:
        model: The model that is trained.
        optimizer: Its optimizer.
        schedule: The optimizer's learning rate.
        average: The average of the model's weights, if one is kept.
        rows: The history so far.
        best: The best value so far of the metric that decides.
        best_epoch: When it was reached; 0 before the first epoch.
        best_weights: The weights that reached it.
    """

    model: Normalized
    optimizer: Optimizer
    schedule: LRScheduler
    average: Average | None
    rows: list[Row] = attrs.field(factory=list)
    best: float = math.nan
    best_epoch: int = 0
    best_weights: Mapping[str, Tensor] = attrs.field(factory=dict)

    @property
    def evaluated(self) -> Normalized:
        """The model that is evaluated and kept: the average of the weights, if there is one."""
        return self.average.model if self.average else self.model

    def keep_best(self, value: float) -> None:
        """Remember the weights as they are as the best ones."""
        self.best, self.best_epoch = value, len(self.rows)
        self.best_weights = {name: tensor.clone() for name, tensor in self.evaluated.model.state_dict().items()}

    def to_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which `restore` makes the same state."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "rows": [dict(row) for row in self.rows],
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": dict(self.best_weights),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Become the state that `to_dict` was called on."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        if self.average:
            self.average.load_state_dict(saved["average"])
        self.rows = list(saved["rows"])
        self.best, self.best_epoch, self.best_weights = saved["best"], saved["best_epoch"], saved["best_weights"]


class Checkpoints:
    """Writes the best weights and the state of a run, as often as that costs no more than a twentieth of the time.

    Args:
        run: Where to.
        about: What it takes to rebuild the model.
    """

    def __init__(self, run: Run, about: Mapping[str, Any]) -> None:
        self._run = run
        self._about = about
        self._written = time.monotonic()
        self._took: float | None = None

    def offer(self, state: State) -> None:
        """Write both if it is time to."""
        if self._took is None:
            # Weights, two moments of the optimizer, and the best weights twice: in the state and beside it.
            self._took = 5 * sum(tensor.nbytes for tensor in state.model.state_dict().values()) / _BYTES_PER_SECOND
        started = time.monotonic()
        if self._took > _SHARE_OF_TIME * (started - self._written):
            return
        self.write_best(state)
        (self._run.path / "state").mkdir(exist_ok=True)
        with replacing(self._run.path / "state" / "state.pt") as aside:
            torch.save(state.to_dict(), aside)
        self._written = time.monotonic()
        self._took = self._written - started

    def write_best(self, state: State) -> None:
        """Write the best weights, if there are any yet."""
        if state.best_weights:
            self._run.write_model(state.best_weights, {**self._about, "epoch": state.best_epoch})


def load_state(run: Run) -> dict[str, Any] | None:
    """Read the state that a run left; None if it left none. Nothing but tensors and plain values is unpickled.

    Raises:
        RunError: the file is not a state.
    """
    path = run.path / "state" / "state.pt"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = read_archive(path)
    except Exception as error:
        raise RunError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    return state


def remove_state(run: Run) -> None:
    """Remove the state of a run that has come to its end."""
    shutil.rmtree(run.path / "state", ignore_errors=True)
