"""The state of a run: kept in memory, written to disk, read back."""

import json
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
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
        schedule: The optimizer's learning rate.
        average: The average of the model's weights, if one is kept.
        rows: The history so far.
        epoch: The epoch under way, if one is.
        best: The best value so far of the metric that decides.
        best_epoch: When it was reached; 0 before the first epoch.
        best_weights: The weights that reached it.
    """

    model: Normalized
    loss: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    average: Average | None
    rows: list[Row] = attrs.field(factory=list)
    epoch: Epoch | None = None
    best: float = math.nan
    best_epoch: int = 0
    best_weights: Mapping[str, Tensor] = attrs.field(factory=dict)

    @property
    def evaluated(self) -> Normalized:
        """The model that is evaluated and kept: the average of the weights, if there is one."""
        return self.average.model if self.average else self.model

    @property
    def position(self) -> str:
        """How far the run is, as a person says it."""
        if self.epoch:
            return f"step {self.epoch.step} of epoch {len(self.rows) + 1}"
        return f"epoch {len(self.rows)}"

    def keep_best(self, value: float) -> None:
        """Remember the weights as they are as the best ones."""
        self.best, self.best_epoch = value, len(self.rows)
        self.best_weights = {name: tensor.clone() for name, tensor in self.evaluated.model.state_dict().items()}

    def to_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which `restore` makes the same state."""
        return {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "rows": [dict(row) for row in self.rows],
            "epoch": attrs.asdict(self.epoch, recurse=False) if self.epoch else None,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": dict(self.best_weights),
        }

    def restore(self, saved: Mapping[str, Any], steps: int) -> None:
        """Become the state that `to_dict` was called on, under the recipe that this one was made for.

        Args:
            saved: What `to_dict` gave.
            steps: Steps in an epoch.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: it is not the state of this model and optimizer.
        """
        self.model.load_state_dict(saved["model"])
        # States that earlier versions wrote have no loss and no epoch under way.
        self.loss.load_state_dict(saved.get("loss", {}))
        # Learning rate and weight decay are the recipe's, which may have been changed.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**saved["optimizer"], "param_groups": groups})
        if self.average and saved["average"]:
            self.average.load_state_dict(saved["average"])
        self.rows = list(saved["rows"])
        self.epoch = Epoch(**saved["epoch"]) if saved.get("epoch") else None
        self.best, self.best_epoch, self.best_weights = saved["best"], saved["best_epoch"], saved["best_weights"]
        done = steps * len(self.rows) + (self.epoch.step if self.epoch else 0)
        if done:
            at = {"last_epoch": done - 1, "_step_count": done + 1}
            self.schedule.load_state_dict({**self.schedule.state_dict(), **at})
            self.schedule.step()


class Checkpoints:
    """Writes the best weights and the state of a run.

    Args:
        run: Where to.
        about: What it takes to rebuild the model.
        made_with: What a resume must find unchanged.
        ahead: The epoch of the best weights on disk: until the run has come to it again, no earlier ones replace them.
        last: How far the run was when its state on disk was written; an empty text if there is none.
    """

    def __init__(
        self, run: Run, about: Mapping[str, Any], made_with: Mapping[str, Any], ahead: int = 0, last: str = ""
    ) -> None:
        self.last = last
        self._run = run
        self._about = about
        self._made_with = made_with
        self._ahead = ahead
        self._best_written = 0
        self._written = time.monotonic()
        self._took: float | None = None

    def offer(self, state: State) -> None:
        """Write both, if that costs no more than a twentieth of the time since they were last written."""
        if self._took is None:
            # Weights, two moments of the optimizer, and the best weights twice: in the state and beside it.
            self._took = 5 * sum(tensor.nbytes for tensor in state.model.state_dict().values()) / _BYTES_PER_SECOND
        if self._took <= _SHARE_OF_TIME * (time.monotonic() - self._written):
            self.write(state)

    def write(self, state: State) -> None:
        """Write both.

        Raises:
            RunError: a file cannot be written.
        """
        started = time.monotonic()
        self.write_best(state)
        with replacing(state_path(self._run)) as aside, aside.open("wb") as file:
            _save({**state.to_dict(), "made_with": self._made_with}, file)
        self.last = state.position
        self._written = time.monotonic()
        self._took = self._written - started

    def write_best(self, state: State) -> None:
        """Write the best weights, if there are any that are not on disk."""
        if state.best_epoch != self._best_written and len(state.rows) >= self._ahead:
            self._run.write_model(state.best_weights, {**self._about, "epoch": state.best_epoch})
            self._best_written = state.best_epoch


def _save(content: Mapping[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # When a disk is full, torch cannot close its archive either, and says only that.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def state_path(run: Run) -> Path:
    """Return where the state of a run is, whether there or not."""
    return run.path / "state" / "state.pt"


def load_state(run: Run) -> dict[str, Any] | None:
    """Read the state that a run left; None if it left none. Nothing but tensors and plain values is unpickled.

    Raises:
        RunError: the file is not a state.
    """
    path = state_path(run)
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = dict(read_archive(path))
    except Exception as error:
        raise RunError(
            f"{path} cannot be read: {' '.join(str(error).split())[:200]}; remove it to begin anew"
        ) from error
    return state


def best_epoch_on_disk(run: Run) -> int:
    """Return the epoch of the best weights on disk; 0 if there are none, or none that can be read."""
    try:
        with safe_open(run.path / "model.safetensors", "pt") as file:
            return int(json.loads(file.metadata()["segreg"])["epoch"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return 0


def remove_state(run: Run) -> None:
    """Remove the state of a run that has come to its end."""
    shutil.rmtree(run.path / "state", ignore_errors=True)
