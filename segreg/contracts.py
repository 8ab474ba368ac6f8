"""What the kinds of component promise each other: tensor shapes, value ranges, and the checks of both.

Images are float32 `[B, C, H, W]`, in [0, 1] before normalisation. Logits are float `[B, K, H, W]` and never
activated. A target is int64 `[B, H, W]`. `segreg.task` defines what they mean, with one logit and with several. A pixel
whose target is `IGNORE_INDEX` (255) counts for nothing, in every loss and every metric.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segreg.task import IGNORE_INDEX as IGNORE_INDEX
from segreg.task import Task, task_of

Sample: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""An image, uint8 [H, W, C], and its mask, uint8 [H, W]."""


@runtime_checkable
class SegmentationMetric(Protocol):
    """Accumulates over batches. It is also an `nn.Module` whose buffers are the whole state.

    The buffers of two instances that saw different images can be added up, and the sum is the state of one instance
    that saw all of them. Distributed evaluation and bootstrap intervals rest on that.
    """

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Take in a batch, logits [B, K, H, W] and target [B, H, W], without waiting for the device.

        A metric that has to compute on the host, as those of boundaries do, says so in its record's `known_failures`,
        under `update-does-not-wait`.
        """

    def compute(self) -> float:
        """Return the value over all images since the last reset; `nan` if there was none."""

    def reset(self) -> None:
        """Forget all images."""


@runtime_checkable
class SegmentationDataset(Protocol):
    """Images with masks, in splits.

    `classes` names the classes: one name for a binary task, else one for each of the K values of the mask.
    `splits` has "train" and "valid", and may have "test". A split that also has `names` (a string for each sample)
    is reported by those names, any other by position.
    """

    classes: Sequence[str]
    splits: Mapping[str, Sequence[Sample]]


@runtime_checkable
class RunTracker(Protocol):
    """Is told how one run goes, between epochs and never within a step, and shows it where people look.

    Every run builds its own, and one that goes on builds it again. If it raises, it is told no more, and the run goes
    on without it. A process may be killed at any moment: what matters is written when it is heard.
    """

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """Hear that a run begins, or goes on.

        Args:
            directory: The run's own, in which a tracker may have a file or folder of its name.
            recipe: The settings, by name.
            rows: The epochs that are done already, as `epoch` takes them; none for a new run. A log that has these is
                not to show them twice, and one that has later ones is to forget those: they will be trained again.
        """

    def epoch(self, row: Mapping[str, float]) -> None:
        """Hear of an epoch: its row of `history.csv`."""

    def finish(self, results: Mapping[str, Any], images: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Hear that the run is finished.

        Args:
            results: What `results.json` holds.
            images: By name, a few validation images: the image, the ground truth and the prediction, side by side.

        Shapes:
            images: each uint8 [H, 3 * W, 3].
        """

    def close(self) -> None:
        """Let go of files and connections. Called last, whether the run is finished, stopped or failed."""


def check_logits_and_target(logits: Tensor, target: Tensor) -> Task:
    """Raise `ValueError` unless logits and target fit each other, and return the task that they are of.

    Shapes and types are always checked. Values are checked on the CPU alone: elsewhere a look at them would make the
    host wait for the device on every step, and the trainer has checked the masks when it decoded them.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W].

    Raises:
        ValueError: the shapes disagree, K is more than 255, the target is not int64, or it has values that are neither
            a class nor 255.
    """
    task = task_of(logits.shape[1]) if logits.ndim == 4 else None
    if task is None or list(target.shape) != task.target_shape(logits):
        raise ValueError(
            f"logits {list(logits.shape)} and target {list(target.shape)} disagree: "
            "expected [B, K, H, W] and [B, H, W] with the same B, H and W"
        )
    if target.dtype != torch.int64:
        raise ValueError(f"the target must be int64 class indices, not {target.dtype}: convert it with target.long()")
    if target.device.type == "cpu":
        limit = task.num_values
        wrong = target[((target < 0) | (target >= limit)) & (target != IGNORE_INDEX)]
        if wrong.numel():
            raise ValueError(
                f"the target has the value {int(wrong[0])}: allowed are 0 to {limit - 1}, and {IGNORE_INDEX} to ignore"
            )
    return task
