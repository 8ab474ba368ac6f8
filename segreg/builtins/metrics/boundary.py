"""What the boundary metrics share: the distances between the boundaries of prediction and ground truth, per class.

A pixel of a region is on its boundary if one of its four neighbours is outside the region, as is everything beyond the
edge of the image. Distances are Euclidean, between pixel centres, in pixels of the image at the size at which it is
scored.
"""

from abc import ABC, abstractmethod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree
from torch import Tensor, nn

from segreg.builtins.metrics.averaging import check_channels
from segreg.contracts import check_logits_and_target
from segreg.task import task_of

Mask: TypeAlias = npt.NDArray[np.bool_]
Distances: TypeAlias = npt.NDArray[np.float64]

# As in confusion.py, sums of integers are exact. There is room for 2**22 images that are 2**16 pixels off.
_ONE = 1 << 25


class BoundaryMetric(nn.Module, ABC):
    """A value computed from the distances between two boundaries, averaged over images and then over classes.

    With one class the foreground is scored. With K >= 2 all K classes are scored. An image whose pixels are all ignored
    is not counted. Otherwise, where the class is

    - in neither the prediction nor the ground truth: with one class the value is the best possible; with K >= 2 the
      image is not counted for the class;
    - in only one of the two: there is no distance, and the value is the worst possible.

    Ignored pixels are in no region. Where they cut through a region, its boundary is at the same place in prediction
    and ground truth.

    SciPy computes it on the CPU: `update` synchronizes with the device, unlike that of a metric that counts pixels.

    Args:
        num_classes: 1 for a binary task, or the number of classes, 2 to 255.

    Raises:
        ValueError: an option has an invalid value.
    """

    best: float
    """The value of a prediction equal to the ground truth."""

    score: Tensor
    images: Tensor

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.task = task_of(num_classes)
        self.num_classes = num_classes
        self.register_buffer("score", torch.zeros(num_classes, dtype=torch.int64), persistent=False)
        self.register_buffer("images", torch.zeros(num_classes, dtype=torch.int64), persistent=False)

    @abstractmethod
    def of_distances(self, predicted: Distances, true: Distances) -> float:
        """Return the value of one class in one image.

        Args:
            predicted: From each pixel of the predicted boundary to the nearest one of the true boundary, [P], P > 0.
            true: From each pixel of the true boundary to the nearest one of the predicted boundary, [T], T > 0.
        """

    @abstractmethod
    def worst(self, diagonal: float) -> float:
        """Return the worst possible value.

        Args:
            diagonal: Diagonal of the image, in pixels.
        """

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch. This synchronizes with the device.

        Shapes:
            logits: float [B, K, H, W];  target: int64 [B, H, W].

        Raises:
            ValueError: the shapes disagree with each other or with `num_classes`, or (on CPU) the target has values
                that are neither a class nor 255.
        """
        check_logits_and_target(logits, target)
        check_channels(logits, self.num_classes)
        for prediction, ground_truth in zip(self.task.decide(logits).cpu(), target.cpu(), strict=True):
            values = self._values(prediction, ground_truth)
            counted = ~np.isnan(values)
            self.score += torch.from_numpy(np.rint(np.where(counted, values, 0) * _ONE).astype(np.int64)).to(self.score)
            self.images += torch.from_numpy(counted).to(self.images)

    def compute(self) -> float:
        """Return the mean over the classes that have a value, or `nan` if no image was counted."""
        return self.per_class().nanmean().item()

    def per_class(self) -> Tensor:
        """Return the value of each class, `nan` where it is undefined.

        Shapes:
            returns: float64 [num_classes] on CPU.
        """
        return self.score.cpu().double() / _ONE / self.images.cpu()

    def reset(self) -> None:
        """Forget all images."""
        for buffer in self.buffers():
            buffer.zero_()

    def _values(self, prediction: Tensor, ground_truth: Tensor) -> npt.NDArray[np.float64]:
        """Return the value of each class in one image, `nan` where it is not counted."""
        values = np.full(self.num_classes, np.nan)
        valid = self.task.counted(ground_truth)
        if not valid.any():
            return values
        diagonal = float(np.hypot(*ground_truth.shape[-2:]))
        regions = ((self.task.one_hot(prediction) & valid).numpy(), self.task.one_hot(ground_truth).numpy())
        for index, (predicted, true) in enumerate(zip(*regions, strict=True)):
            if predicted.any() and true.any():
                values[index] = self.of_distances(*boundary_distances(predicted, true))
            elif predicted.any() or true.any():
                values[index] = self.worst(diagonal)
            elif self.task.independent:
                values[index] = self.best
        return values


def boundary_distances(one: Mask, other: Mask) -> tuple[Distances, Distances]:
    """Return how far each boundary pixel of one region is from the other's boundary, and the reverse.

    A search among the boundary pixels gives the same numbers, bit for bit, as an exact distance transform of the image,
    in a tenth of the time where regions are smooth: a boundary has far fewer pixels than an image.

    Shapes:
        one, other: bool [H, W], neither of them empty;  returns: float64 [P] and [T].
    """
    points, other_points = _boundary(one), _boundary(other)
    return KDTree(other_points).query(points)[0], KDTree(points).query(other_points)[0]


def _boundary(region: Mask) -> npt.NDArray[np.intp]:
    """Return the positions of the boundary pixels, [P, 2]."""
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    # Outside the box around a region there is nothing to erode.
    box = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    points: npt.NDArray[np.intp] = np.argwhere(box & ~binary_erosion(box)) + np.array([rows[0], columns[0]])
    return points
