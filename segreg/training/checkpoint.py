"""The checkpoint of a run: written between epochs and within them, and read back and checked to resume."""

import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.optim import Optimizer

from segreg.errors import OptionError, RunError, SegregError, single_line
from segreg.runs.provenance import IMAGES_OF, KEPT, differences
from segreg.runs.run import Run
from segreg.runs.safe_load import read_archive
from segreg.runs.tensor_file import read_about
from segreg.support.files import reading, replacing
from segreg.training.state import Epoch, State
from segreg.training.state_dict import restore, to_dict

_SHARE_OF_TIME = 0.05
# An assumed write speed, for the first checkpoint; after that it is measured.
_BYTES_PER_SECOND = 200e6


def restore_from(
    run: Run,
    state: State,
    provenance: Mapping[str, str],
    optimizer: Callable[[Any], Optimizer],
    *,
    epoch: Epoch,
    force: bool,
) -> Sequence[str] | None:
    """Restore the checkpoint of a run into a new state.

    Args:
        run: The run.
        state: A new state of the recipe's model and optimizer.
        provenance: What must not have changed since the checkpoint was written, but for a larger number of epochs.
        optimizer: Builds the recipe's optimizer from parameters.
        epoch: An epoch as the trainer saves it.
        force: Restore it even if something has changed; the interrupted epoch then starts over.

    Returns:
        What has changed since the checkpoint was written, one sentence each; None if the run has no checkpoint.

    Raises:
        RunError: something has changed, or the checkpoint does not fit the model, or is damaged.
        OptionError: the run has already completed more epochs.
    """
    saved = load_checkpoint(run)
    if saved is None:
        return None
    try:
        changes = differences(dict(saved["provenance"]), provenance)
        changed = list(changes.values())
        if any(name in KEPT or name.startswith(IMAGES_OF) for name in changes):
            raise RunError(
                f"{run.path} cannot be resumed: {'; '.join(changed)}: a run keeps its images, model, metrics and what "
                "it began with, even with --force; start a new run from its weights with "
                f"--init {shlex.quote(str(run.path))}"
            )
        if changed and not force:
            raise RunError(f"{run.path} cannot be resumed unchanged: {'; '.join(changed)}: resume anyway with --force")
        epochs, done = int(provenance["epochs"]), max(len(saved["history"]), best_epoch_on_disk(run))
        if epochs < done:
            raise OptionError(f"epochs is {epochs}: {run.path} has already completed {done}")
        restore(state, {**saved, "epoch": None} if changed else saved, optimizer, epoch)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, SegregError):
            raise
        reason = single_line(error)[:200]
        raise RunError(f"the checkpoint of {run.path} does not fit this model and recipe: {reason}") from error
    return changed


class Checkpoints:
    """Writes the best weights and the checkpoint of a run.

    Args:
        run: The run.
        about: What is needed to rebuild the model.
        provenance: What must be unchanged when the run is resumed.
        ahead: Epoch of the best weights on disk: until the run has reached it again, no earlier weights replace them.
        last: Position of the run at its last checkpoint; empty if there is none.
    """

    def __init__(
        self, run: Run, about: Mapping[str, Any], provenance: Mapping[str, Any], ahead: int = 0, last: str = ""
    ) -> None:
        self.last = last
        self._run = run
        self._about = about
        self._provenance = provenance
        self._ahead = ahead
        self._best_written = 0
        self._written = time.monotonic()
        self._took: float | None = None

    def offer(self, state: State) -> None:
        """Write both, if that takes at most 5 % of the time since they were last written."""
        if self._took is None:
            # Weights, two moments of the optimizer, and the best weights twice: in the checkpoint and beside it.
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
        with replacing(checkpoint_path(self._run)) as aside, aside.open("wb") as file:
            _save({**to_dict(state), "provenance": self._provenance}, file)
        self.last = state.position
        self._written = time.monotonic()
        self._took = self._written - started

    def write_best(self, state: State) -> None:
        """Write the best weights, unless they are on disk already."""
        if state.best_epoch != self._best_written and len(state.history) >= self._ahead:
            self._run.write_model(state.best_weights, {**self._about, "epoch": state.best_epoch})
            self._best_written = state.best_epoch


def _save(content: Mapping[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # When the disk is full, torch cannot close its archive either, and reports only that.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def checkpoint_path(run: Run) -> Path:
    """Return the path of a run's checkpoint, whether or not it exists."""
    return run.path / "checkpoint" / "checkpoint.pt"


def load_checkpoint(run: Run) -> dict[str, Any] | None:
    """Read the checkpoint of a run; None if there is none. Nothing but tensors and plain values is unpickled.

    Raises:
        RunError: the file is not a checkpoint.
    """
    path = checkpoint_path(run)
    if not path.exists():
        return None
    try:
        saved: dict[str, Any] = dict(read_archive(path))
    except Exception as error:
        raise RunError(f"{path} cannot be read: {single_line(error)[:200]}; delete it to start over") from error
    return saved


def best_epoch_on_disk(run: Run) -> int:
    """Return the epoch of the best weights on disk; 0 if there are none or they cannot be read."""
    path = run.path / "model.safetensors"
    try:
        with reading(path, "a model saved by segreg"):
            return int(read_about(path, "a model saved by segreg")["epoch"])
    except RunError:
        return 0


def remove_checkpoint(run: Run) -> None:
    """Remove the checkpoint of a finished run."""
    shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
