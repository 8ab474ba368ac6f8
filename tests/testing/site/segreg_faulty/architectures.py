"""Models that each violate one requirement."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sound(nn.Module):
    """Two convolutions that violate no requirement.

    Args:
        in_channels: Of the image.
        num_classes: Of the logits.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__()
        self.body = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.head = nn.Conv2d(4, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.silu(self.body(images)))


class OptionsAreDocumented(Sound):
    """Does not document its options."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)


class DefaultsAreOfTheirTypes(Sound):
    """Has a default that the option does not accept.

    Args:
        in_channels: Of the image.
        num_classes: Of the logits.
        width: Documented as a whole number.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, width: int = 1.5) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)


class _Swallows(Sound):
    def __init__(self, **options: Any) -> None:
        super().__init__(in_channels=options.get("in_channels", 3), num_classes=options.get("num_classes", 1))


class UnknownOptionsAreRefused(_Swallows):
    """Inherits a constructor that takes anything."""


class AnyChannelsAndClasses(Sound):
    """Takes only colour images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - torch.rand(1, 3, 1, 1))


class AnySize(Sound):
    """Halves and doubles, and loses a pixel of odd sizes."""

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(F.max_pool2d(super().forward(images), 2), scale_factor=2)


class BatchOfOne(Sound):
    """Normalises a single pixel over the batch."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        return self.head(features + self.norm(features.mean((2, 3), keepdim=True)))


class EvaluationIsDeterministic(Sound):
    """Drops activations in evaluation too."""

    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(super().forward(images), 0.5, training=True)


class ImagesOfABatchAreIndependent(Sound):
    """Leaks across the batch."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits + 0.1 * logits.mean((0, 2, 3), keepdim=True)


class ImagesAreNotModified(Sound):
    """Centres the caller's images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.sub_(0.5))


class EveryParameterLearns(Sound):
    """Has a dead layer."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.dead = nn.Conv2d(4, 4, 1)


class LogitsAreNotActivated(Sound):
    """Gives probabilities."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).sigmoid()


class WeightsSurviveAFile(Sound):
    """Leaves a random tensor out of the state dict."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.register_buffer("drawn", torch.randn(1, 4, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images) * self.drawn)


class CopiesAreSeparate(Sound):
    """Shares its head with its copies."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "CopiesAreSeparate":
        twin = CopiesAreSeparate()
        twin.load_state_dict(copy.deepcopy(self.state_dict()))
        twin.head = self.head
        return twin.train(self.training)


class ChannelsLastAgrees(Sound):
    """Relies on the memory layout."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        flat = torch.as_strided(features, (features.numel(),), (1,))
        return self.head(features + flat.roll(1).view(features.shape))


class Bfloat16Agrees(Sound):
    """Adds a large number and subtracts it again."""

    def forward(self, images: Tensor) -> Tensor:
        return self.head((self.body(images) + 300) - 300)


class PredictsAsItWasTrained(Sound):
    """Trains with one function and predicts with another once its parameters are frozen."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits if self.head.weight.requires_grad else 2 * logits


class RunsWithoutValues(Sound):
    """Reads the values of its images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images / max(images.abs().max().item(), 1.0))


class CanBeExported(Sound):
    """Has data-dependent control flow."""

    def forward(self, images: Tensor) -> Tensor:
        if images.is_meta or images.mean() > -1:
            return super().forward(images)
        return -super().forward(images)


class CanBeCompiled(Sound):
    """Does something else when it is compiled."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (0.5 if torch.compiler.is_compiling() else 1.0)


class Exits(Sound):
    """Prints, and ends the process with status 0."""

    def forward(self, images: Tensor) -> Tensor:
        print("printed")
        raise SystemExit(0)
