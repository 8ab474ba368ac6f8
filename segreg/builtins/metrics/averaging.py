"""The pixel counts that all metrics share, and how a ratio of counts becomes a value over images or a whole dataset.

A metric is a ratio of three counts per class: pixels that are correct, that are predicted as the class, and whose
ground truth is the class. `average="image"` takes the ratio in every image and then the mean over images, so that a
small object weighs as much as a large one. `average="dataset"` pools the pixels of all images and takes the ratio once.
"""

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from segreg.contracts import check_logits_and_target
from segreg.task import task_of

Average: TypeAlias = Literal["image", "dataset"]

# Scores of images are summed as integer multiples of 2**-30. Unlike a sum of floats, a sum of integers is exact, and so
# the same in any order, on any device and over any number of processes. There is room for 2**33 images.
_ONE = 1 << 30


def check_channels(logits: Tensor, num_classes: int) -> None:
    """Raise `ValueError` unless the logits have a channel for each class."""
    if logits.shape[1] != num_classes:
        raise ValueError(
            f"logits {list(logits.shape)} have {logits.shape[1]} channels: expected {num_classes}, "
            f"the metric's num_classes"
        )


class ConfusionMetric(nn.Module, ABC):
    """A ratio of pixel counts, averaged over classes. Subclasses define the ratio.

    With one class the foreground is scored. With K >= 2 all K classes are scored.

    An image whose pixels are all ignored is not counted. Otherwise, where the ratio is 0 / 0 and

    - the class is in neither the prediction nor the ground truth: with one class the value is 1 (an empty mask that is
      predicted empty is correct); with K >= 2 the image is not counted for the class;
    - the class is in only one of the two: the value is 0 (nothing was predicted where there is something, or the
      reverse).

    With `average="dataset"` the same holds for the pooled counts.

    Args:
        num_classes: 1 for a binary task, or the number of classes, 2 to 255.
        average: `"image"` for the mean over images, `"dataset"` for pooled pixels.

    Raises:
        ValueError: an option has an invalid value.
    """

    pools_classes = False
    """Whether the counts of all classes, including the background of a binary task, are summed into one value."""

    counts: Tensor
    score: Tensor
    images: Tensor

    def __init__(self, *, num_classes: int, average: Average = "image") -> None:
        super().__init__()
        self.task = task_of(num_classes)
        if average not in get_args(Average):
            raise ValueError(f"average is {average!r}: expected 'image' or 'dataset'")
        self.num_classes = num_classes
        self.average = average
        if average == "dataset":
            self.register_buffer("counts", torch.zeros(3, self.task.num_values, dtype=torch.int64), persistent=False)
        else:
            values = 1 if self.pools_classes else num_classes
            self.register_buffer("score", torch.zeros(values, dtype=torch.int64), persistent=False)
            self.register_buffer("images", torch.zeros(values, dtype=torch.int64), persistent=False)

    @abstractmethod
    def ratio(self, right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Return numerator and denominator of the metric, which are integers.

        Shapes:
            right, predicted, true: int64 [..., classes];  returns: two of the same shape.
        """

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch, without synchronizing with the device.

        Shapes:
            logits: float [B, K, H, W];  target: int64 [B, H, W].

        Raises:
            ValueError: the shapes disagree with each other or with `num_classes`, or (on CPU) the target has values
                that are neither a class nor 255.
        """
        check_logits_and_target(logits, target)
        check_channels(logits, self.num_classes)
        with torch.no_grad():
            counts = self.task.count(logits, target)
            if self.average == "dataset":
                self.counts += counts.sum(1)
            else:
                numerator, denominator = self._settled_ratio(counts)
                self.score += (numerator * _ONE // denominator.clamp(min=1)).sum(0)
                self.images += (denominator > 0).sum(0)

    def compute(self) -> float:
        """Return the mean over the classes that have a value, or `nan` if no image was counted."""
        return self.per_class().nanmean().item()

    def per_class(self) -> Tensor:
        """Return the value of each class, `nan` where it is undefined.

        Shapes:
            returns: float64 [num_classes] on CPU, or [1] for a metric that has one value for all classes.
        """
        # Moved before the division, since not every accelerator has float64.
        if self.average == "dataset":
            numerator, denominator = self._settled_ratio(self.counts.cpu())
            return numerator.double() / denominator
        return self.score.cpu().double() / _ONE / self.images.cpu()

    def reset(self) -> None:
        """Forget all images."""
        for buffer in self.buffers():
            buffer.zero_()

    def _settled_ratio(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ratio with the 0 / 0 cases resolved: the denominator stays 0 where the value is undefined."""
        valid = counts[2].sum(-1, keepdim=True)
        scored = counts.sum(-1, keepdim=True) if self.pools_classes else counts[..., self.task.scored]
        right, predicted, true = scored.unbind()
        numerator, denominator = self.ratio(right, predicted, true)
        present = predicted + true > 0
        if self.task.independent:
            correctly_empty = ~present & (valid > 0)
            numerator, denominator = numerator + correctly_empty, denominator + correctly_empty
        return numerator, torch.where(present, denominator.clamp(min=1), denominator)
