"""What logits, probabilities and the values of a target mean: binary or multiclass. It is asked here and nowhere else.

`num_classes=1` is binary: one logit, whose sigmoid is the probability of the foreground, and a target of 0 and 1.
`num_classes=K >= 2` is multiclass: K logits with the softmax over them, and a target of 0 to K - 1. In either a pixel
whose target is `IGNORE_INDEX` counts for nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

IGNORE_INDEX = 255
"""In a target: this pixel counts for nothing."""


class Task(ABC):
    """The meaning of K logits. `task_of` gives the one of a number of classes.

    Logits and probabilities are float `[..., K, H, W]`, the classes that are decided int64 `[..., H, W]`.
    """

    name: str
    """`binary` or `multiclass`."""

    num_classes: int
    """K, the number of logits, and of classes with a name."""

    num_values: int
    """How many values a target can have, 0 to `num_values - 1`. A confusion matrix has a row for each."""

    class_indices: range
    """The value of each class in a target. These are scored and have a name; others are background."""

    independent: bool
    """Whether classes are decided one by one. If so, an image without a class says something about it; if not, what is
    wrongly given to an absent class is missing from one that is present."""

    black_and_white: bool
    """Whether a mask may be an image in black and white."""

    formula: str
    """How logits become probabilities, for readers."""

    @property
    def single_class(self) -> bool:
        """Whether there is one class only: it needs no legend, and is drawn as a tint and by its border."""
        return self.num_classes == 1

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Return the probabilities, float [..., K, H, W]."""

    @abstractmethod
    def decide(self, logits: Tensor) -> Tensor:
        """Return the predicted class of each pixel, int64 [..., H, W]."""

    @abstractmethod
    def decide_probabilities(self, probabilities: Tensor) -> Tensor:
        """Return the predicted class of each pixel, int64 [..., H, W]."""

    @abstractmethod
    def confidence(self, probabilities: Tensor) -> Tensor:
        """Return the probability of the class that is predicted, float [..., H, W]."""

    @abstractmethod
    def logits_of(self, probabilities: Tensor) -> Tensor:
        """Return logits with these probabilities, from which the same class is decided, ties included.

        Shapes:
            probabilities: float [..., K, H, W];  returns: the same.
        """

    @abstractmethod
    def as_softmax(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same as a choice among the values of a target.

        Shapes:
            returns: logits [N, num_values, H, W], whose softmax is the probability of each value, and target [N, H, W].
        """

    @abstractmethod
    def value_names(self, classes: Sequence[str]) -> Sequence[str]:
        """Return a name for each value of a target, given those of the classes."""

    def target_shape(self, logits: Tensor) -> list[int]:
        """Return the shape of the target that belongs to logits: one value per pixel."""
        return [*logits.shape[:-3], *logits.shape[-2:]]

    def counted(self, target: Tensor) -> Tensor:
        """Return which logits have something to be compared with, bool [..., 1, H, W]."""
        return (target != IGNORE_INDEX).unsqueeze(-3)

    def count(self, logits: Tensor, target: Tensor) -> Tensor:
        """Count the pixels of each image by the value of their target, without waiting for the device.

        Shapes:
            logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: int64 [3, B, num_values], the pixels that
                are right, that are predicted to have the value, and that truly have it.
        """
        values = self.num_values
        # Ignored pixels go to a row of their own, which is then cut off: to pick them out would need a sync.
        cell = target.clamp(max=values).mul_(values).add_(self.decide(logits)).flatten(1)
        matrix = cell.new_zeros(len(cell), (values + 1) * values)
        matrix.scatter_add_(1, cell, cell.new_ones(()).expand_as(cell))
        matrix = matrix.view(len(cell), values + 1, values)[:, :values]
        return torch.stack([matrix.diagonal(dim1=1, dim2=2), matrix.sum(1), matrix.sum(2)])

    @property
    def scored(self) -> slice:
        """Which of the values that are counted are classes to be scored."""
        return slice(self.class_indices.start, None)

    def one_hot(self, target: Tensor) -> Tensor:
        """Return where a pixel belongs to a class. Ignored pixels belong to none.

        Shapes:
            target: int64 [..., H, W];  returns: bool [..., K, H, W].
        """
        indices = torch.arange(self.class_indices.start, self.class_indices.stop, device=target.device)
        return target.unsqueeze(-3) == indices[:, None, None]


class Binary(Task):
    """Foreground against background: one logit."""

    name = "binary"
    num_classes = 1
    num_values = 2
    class_indices = range(1, 2)
    independent = True
    black_and_white = True
    formula = "the probability is 1 / (1 + exp(-logit))"

    def activate(self, logits: Tensor) -> Tensor:
        """Return the sigmoid."""
        return logits.sigmoid()

    def decide(self, logits: Tensor) -> Tensor:
        """Return 1 where the logit is above 0, else 0."""
        return (logits.select(-3, 0) > 0).long()

    def decide_probabilities(self, probabilities: Tensor) -> Tensor:
        """Return 1 where the probability is above 0.5, else 0."""
        return (probabilities.select(-3, 0) > 0.5).long()

    def confidence(self, probabilities: Tensor) -> Tensor:
        """Return the larger one of the probabilities of foreground and background."""
        foreground = probabilities.select(-3, 0)
        return torch.maximum(foreground, 1 - foreground)

    def logits_of(self, probabilities: Tensor) -> Tensor:
        """Return the inverse of the sigmoid, of probabilities in [1e-7, 1 - 1e-7]."""
        return torch.logit(probabilities, eps=1e-7)

    def as_softmax(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Give the background a logit of 0: the softmax over (0, x) is the sigmoid of x."""
        return torch.cat([torch.zeros_like(logits), logits], dim=-3), target

    def value_names(self, classes: Sequence[str]) -> Sequence[str]:
        """Put the background before the class."""
        return ["background", *classes]


class Multiclass(Task):
    """Several classes, of which each pixel has one: a logit for each.

    Args:
        num_classes: K, 2 to 255.
    """

    name = "multiclass"
    independent = False
    black_and_white = False
    formula = "the probabilities are the softmax over K"

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.num_values = num_classes
        self.class_indices = range(num_classes)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the softmax over K."""
        return logits.softmax(dim=-3)

    def decide(self, logits: Tensor) -> Tensor:
        """Return the class of the largest logit, the first one of equals."""
        # The indices of max are those of argmax, which takes five times as long on CPU across contiguous planes.
        return logits.max(dim=-3).indices

    def decide_probabilities(self, probabilities: Tensor) -> Tensor:
        """Return the class of the largest probability, the first one of equals."""
        return self.decide(probabilities)

    def confidence(self, probabilities: Tensor) -> Tensor:
        """Return the largest probability."""
        return probabilities.amax(dim=-3)

    def logits_of(self, probabilities: Tensor) -> Tensor:
        """Return the logarithms of the probabilities, shifted so that the largest is 0."""
        # Of the logarithms themselves two neighbouring numbers may be equal. Here only the largest gives 0.
        return (probabilities / probabilities.amax(dim=-3, keepdim=True)).clamp(min=1e-30).log()

    def as_softmax(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both as they are."""
        return logits, target

    def value_names(self, classes: Sequence[str]) -> Sequence[str]:
        """Return the names themselves."""
        return classes


def task_of(num_classes: int) -> Task:
    """Return the task of so many classes, which is also that of so many logits.

    Raises:
        ValueError: it is not 1 to 255.
    """
    if not 1 <= num_classes <= IGNORE_INDEX:
        raise ValueError(f"num_classes is {num_classes}: allowed are 1 (binary) and 2 to {IGNORE_INDEX}")
    return Binary() if num_classes == 1 else Multiclass(num_classes)
