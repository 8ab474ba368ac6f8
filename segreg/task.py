"""The meaning of logits, probabilities and target values: binary or multiclass. No other module tells the two apart.

`num_classes=1` is binary: one logit, whose sigmoid is the probability of the foreground, and a target of 0 and 1.
`num_classes=K >= 2` is multiclass: K logits with the softmax over them, and a target of 0 to K - 1. In both, pixels
whose target is `IGNORE_INDEX` are ignored.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

IGNORE_INDEX = 255
"""The target value of pixels that are ignored."""


class Task(ABC):
    """The meaning of K logits. `task_of` returns the task for a number of classes.

    Logits and probabilities are float `[..., K, H, W]`, predicted classes int64 `[..., H, W]`.
    """

    name: str
    """`binary` or `multiclass`."""

    num_classes: int
    """K, the number of logits, and of classes with a name."""

    num_values: int
    """Number of values that a target can have, 0 to `num_values - 1`. A confusion matrix has one row per value."""

    class_indices: range
    """The value of each class in a target. These are scored and have a name; other values are background."""

    independent: bool
    """Whether each class is predicted on its own. If so, an image without a class is scored for it; if not, pixels that
    are wrongly assigned to an absent class are missing from one that is present, and count there."""

    black_and_white: bool
    """Whether a mask may be a black-and-white image."""

    formula: str
    """How logits become probabilities, as text."""

    @property
    def single_class(self) -> bool:
        """Whether there is only one class, which needs no legend and is drawn as a tint and a border."""
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
        """Return the probability of the predicted class, float [..., H, W]."""

    @abstractmethod
    def logits_of(self, probabilities: Tensor) -> Tensor:
        """Return logits with these probabilities that give the same predicted class, ties included.

        Shapes:
            probabilities: float [..., K, H, W];  returns: the same.
        """

    @abstractmethod
    def as_softmax(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and target in the form of a softmax over the target values.

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
        """Return which pixels are not ignored, bool [..., 1, H, W]."""
        return (target != IGNORE_INDEX).unsqueeze(-3)

    def count(self, logits: Tensor, target: Tensor) -> Tensor:
        """Count the pixels of each image by target value, without synchronizing with the device.

        Shapes:
            logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: int64 [3, B, num_values], the pixels that
                are correct, that are predicted to have the value, and whose target has it.
        """
        values = self.num_values
        # Ignored pixels go to an extra row, which is then cut off: selecting them would need a sync.
        cell = target.clamp(max=values).mul_(values).add_(self.decide(logits)).flatten(1)
        matrix = cell.new_zeros(len(cell), (values + 1) * values)
        matrix.scatter_add_(1, cell, cell.new_ones(()).expand_as(cell))
        matrix = matrix.view(len(cell), values + 1, values)[:, :values]
        return torch.stack([matrix.diagonal(dim1=1, dim2=2), matrix.sum(1), matrix.sum(2)])

    @property
    def scored(self) -> slice:
        """Which of the counted values are classes to be scored."""
        return slice(self.class_indices.start, None)

    def one_hot(self, target: Tensor) -> Tensor:
        """Return which pixels belong to each class. Ignored pixels belong to none.

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
        """Return the larger of the probabilities of foreground and background."""
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
    """Several classes, of which each pixel has exactly one: one logit per class.

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
        """Return the class with the largest logit; of equal ones, the first."""
        # The indices of max are those of argmax, which takes five times as long on CPU across contiguous planes.
        return logits.max(dim=-3).indices

    def decide_probabilities(self, probabilities: Tensor) -> Tensor:
        """Return the class with the largest probability; of equal ones, the first."""
        return self.decide(probabilities)

    def confidence(self, probabilities: Tensor) -> Tensor:
        """Return the largest probability."""
        return probabilities.amax(dim=-3)

    def logits_of(self, probabilities: Tensor) -> Tensor:
        """Return the logarithms of the probabilities, shifted so that the largest is 0."""
        # The logarithms of two neighbouring numbers may be equal. Here only the largest gives 0.
        return (probabilities / probabilities.amax(dim=-3, keepdim=True)).clamp(min=1e-30).log()

    def as_softmax(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both unchanged."""
        return logits, target

    def value_names(self, classes: Sequence[str]) -> Sequence[str]:
        """Return the names unchanged."""
        return classes


def task_of(num_classes: int) -> Task:
    """Return the task for a number of classes, which is also the number of logits.

    Raises:
        ValueError: it is not 1 to 255.
    """
    if not 1 <= num_classes <= IGNORE_INDEX:
        raise ValueError(f"num_classes is {num_classes}: expected 1 (binary) or 2 to {IGNORE_INDEX}")
    return Binary() if num_classes == 1 else Multiclass(num_classes)
