"""The contracts between the kinds of component: tensor shapes, value ranges, and the checks of both.

Images are float32 `[B, C, H, W]`, in [0, 1] before normalisation. Logits are float `[B, K, H, W]` and never
activated. A target is int64 `[B, H, W]`. `segreg.task` defines what they mean, with one logit and with several. Pixels
whose target is `IGNORE_INDEX` (255) are ignored by every loss and every metric.
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
    """A metric that accumulates over batches. It is also an `nn.Module` whose buffers are its entire state.

    The buffers of two instances that saw different images can be added, and the sum is the state of one instance that
    saw all of them. Distributed evaluation and bootstrap intervals rely on that.
    """

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch, logits [B, K, H, W] and target [B, H, W], without synchronizing with the device.

        A metric that has to compute on the CPU, as the boundary metrics do, declares it in its record's
        `known_failures`, under `update-does-not-wait`.
        """

    def compute(self) -> float:
        """Return the value over all images since the last reset; `nan` if there was none."""

    def reset(self) -> None:
        """Forget all images."""


@runtime_checkable
class SegmentationDataset(Protocol):
    """Images with masks, in splits.

    `classes` names the classes: one name for a binary task, else one for each of the K values of the mask.
    `splits` has "train" and "valid", and may have "test". If a split also has `names` (one string per sample), reports
    use them; otherwise they use positions.
    """

    classes: Sequence[str]
    splits: Mapping[str, Sequence[Sample]]


@runtime_checkable
class BatchAugmentation(Protocol):
    """A random change of the images of a batch. It has one or more of the methods of the three protocols below.

    All that is random follows from `u`, float32 [B, draws] of uniform numbers in [0, 1), one row per image, which
    depend on the seed, the epoch and the position in it, and on nothing else. So an image's result must depend on its
    own row and its own pixels only, and no method may draw random numbers.
    """

    draws: int
    """How many uniform numbers it needs per image."""


@runtime_checkable
class MatrixAugmentation(BatchAugmentation, Protocol):
    """Moves the pixels of image and mask by a linear map. All such maps of a batch become one resampling."""

    def matrix(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return where each output pixel is taken from, in homogeneous coordinates (x, y, 1).

        Coordinates go from -1 to 1, from the left and upper edges of the image to the right and lower ones
        (`align_corners=False`). A matrix of zeros and ±1 that only flips or turns costs no resampling.

        Shapes:
            u: float32 [B, draws], on the CPU;  size: height and width;  returns: float32 [B, 3, 3], on the CPU.
        """


@runtime_checkable
class DisplacementAugmentation(BatchAugmentation, Protocol):
    """Moves the pixels of image and mask by a field, which is added to where the matrices take them from."""

    def displacement(self, u: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the displacement (x, y) of each output pixel, in the coordinates of `MatrixAugmentation`.

        Shapes:
            u: float32 [B, draws], on any device;  size: height and width;  returns: float32 [B, H, W, 2], there.
        """


@runtime_checkable
class ImageAugmentation(BatchAugmentation, Protocol):
    """Changes the values of the images, and not the masks."""

    def change(self, images: Tensor, u: Tensor) -> Tensor:
        """Return changed images; those given are not modified.

        Shapes:
            images: float32 [B, C, H, W] in [0, 1];  u: float32 [B, draws], on their device;
            returns: float32 [B, C, H, W] in [0, 1].
        """


@runtime_checkable
class LearningRateSchedule(Protocol):
    """A factor of the learning rate. It is a pure function, so that nothing of it is saved or restored."""

    def __call__(self, step: int, steps: int) -> float:
        """Return the factor of one step, 0 or more and finite.

        Args:
            step: The step, from 0 to `steps - 1`.
            steps: Number of steps of the whole training.
        """


@runtime_checkable
class RunTracker(Protocol):
    """Receives the progress of one run, between epochs and never within a step, and logs it to another tool.

    Every run builds its own tracker, and a resumed run builds it again. If a tracker raises, it is disabled for the
    rest of the run, and the run continues without it. What a call changes in the process is restored after it, and what
    it is given are copies. The process may be killed at any moment, so write what matters as soon as it is received.
    """

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """Called when a run starts or resumes.

        Args:
            directory: The directory of the run, as an absolute path. A tracker may create a file or folder of its own
                name in it.
            recipe: The settings, by name.
            rows: The epochs that are already done, as passed to `epoch`; empty for a new run. A log that already has
                them must not show them twice, and must drop any later ones: these will be trained again.
        """

    def epoch(self, row: Mapping[str, float]) -> None:
        """Called after each epoch, with its row of `history.csv`."""

    def finish(self, results: Mapping[str, Any], images: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Called when the run is finished.

        Args:
            results: The content of `results.json`.
            images: A few validation images, by name: image, ground truth and prediction, side by side.

        Shapes:
            images: each uint8 [H, 3 * W, 3].
        """

    def close(self) -> None:
        """Release files and connections. Called last, whether the run finished, was stopped or failed."""


def check_logits_and_target(logits: Tensor, target: Tensor) -> Task:
    """Raise `ValueError` unless logits and target match, and return their task.

    Shapes and types are always checked. Values are checked on the CPU only: on other devices that would synchronize
    with the host at every step, and the masks were already checked when they were decoded.

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
                f"the target has the value {int(wrong[0])}: expected 0 to {limit - 1}, or {IGNORE_INDEX} to ignore"
            )
    return task
