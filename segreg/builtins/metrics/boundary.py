"""What the boundary metrics share: the distances between the boundaries of prediction and ground truth, class by class.

A pixel of a region is on its boundary if one of its four neighbours is outside the region, as is all that lies beyond
the edge of the image. Distances are Euclidean, between the centres of pixels, in pixels of the image as it is
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

from segreg.builtins.metrics.confusion import check_channels
from segreg.contracts import check_logits_and_target
from segreg.task import task_of

Mask: TypeAlias = npt.NDArray[np.bool_]
Distances: TypeAlias = npt.NDArray[np.float64]

# As in confusion.py, sums of whole multiples are exact. There is room for 2**22 images that are 2**16 pixels off.
_ONE = 1 << 25


class BoundaryMetric(nn.Module, ABC):
    """A value of the distances between two boundaries, averaged over images and then over classes.

    With one class the foreground is scored. With K >= 2 all K classes are scored. An image whose pixels are all ignored
    is not counted. Otherwise, where the class is

    - neither in the prediction nor in the ground truth: with one class nothing is wrong, and the value is the best there is;
      with K >= 2 the image says nothing about the class and is not counted for it;
    - in one of the two: there is no distance, and the value is the worst there is.

    Ignored pixels are in no region. The boundary that this cuts into prediction and ground truth alike lies at the same place
    in both.

    It is computed by SciPy on the host: `update` waits for the device, unlike that of a metric that counts pixels.

    Args:
        num_classes: 1 for a binary task, or the number of classes, 2 to 255.

    Raises:
        ValueError: an option has a value that is not allowed.
    """

    best: float
    """The value of a prediction that is the ground truth."""

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
            predicted: From each pixel of the predicted boundary to the nearest of the true one, [P], P > 0.
            true: From each pixel of the true boundary to the nearest of the predicted one, [T], T > 0.
        """

    @abstractmethod
    def worst(self, diagonal: float) -> float:
        """Return the worst value there is.

        Args:
            diagonal: Of the image, in pixels.
        """

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Take in a batch. This waits for the device.

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
        """Return the value of each class, `nan` where nothing can be said.

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

    A search among the boundary's pixels gives the same numbers, to the last bit, as an exact distance transform of the
    image, and takes a tenth of the time where regions are smooth: a boundary has far fewer pixels than an image.

    Shapes:
        one, other: bool [H, W], neither of them empty;  returns: float64 [P] and [T].
    """
    points, other_points = _boundary(one), _boundary(other)
    return KDTree(other_points).query(points)[0], KDTree(points).query(other_points)[0]


def _boundary(region: Mask) -> npt.NDArray[np.intp]:
    """Return where the boundary's pixels are, [P, 2]."""
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    # Outside the box around a region there is nothing to erode.
    box = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    points: npt.NDArray[np.intp] = np.argwhere(box & ~binary_erosion(box)) + np.array([rows[0], columns[0]])
    return points
