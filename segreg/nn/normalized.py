"""A model together with the normalisation of its input."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Normalization: TypeAlias = Literal["image", "imagenet", "dataset", "none"]
Moments: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, of images in [0, 1]; both empty if they are not the same for all."""

IMAGENET: Moments = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Those of the images of ImageNet, with which nearly all pretrained weights were trained."""

# A constant channel has no standard deviation to divide by; one step of the 8-bit scale replaces it.
MIN_STD = 1 / 255


def formula(normalization: Normalization, moments: Moments) -> str:
    """Say what is done to images in [0, 1], for whoever does it outside segreg."""
    match normalization:
        case "image":
            return (
                "each channel of each image standardized to mean 0 and standard deviation 1 by "
                "(x - mean) / max(deviation, 1/255)"
            )
        case "none":
            return "not normalized"
        case _:
            mean, deviation = (", ".join(f"{value:.9g}" for value in values) for values in moments)
            return f"each channel normalized by (x - mean) / deviation, with mean {mean} and deviation {deviation}"


class Normalized(nn.Module):
    """A model that takes images in [0, 1], normalises them itself, and computes in the memory format that suits it.

    Args:
        model: The model that takes normalised images.
        normalization: `image` standardizes each channel of each image to zero mean and unit variance, which removes
            lighting and camera differences; `imagenet` and `dataset` use the same moments for all images; `none` leaves
            images unchanged.
        moments: Those of `imagenet` and `dataset`.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: nn.Module, normalization: Normalization, moments: Moments = ((), ())) -> None:
        super().__init__()
        self.memory_format = _memory_format(model)
        self.model = model.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.normalization = normalization
        self.fixed = normalization in ("imagenet", "dataset")
        # Not in its state: they are in the metadata of a model's file, and a checkpoint's images have the same.
        self.register_buffer("mean", _per_channel(moments[0]), persistent=False)
        self.register_buffer("deviation", _per_channel(moments[1]), persistent=False)

    def forward(self, images: Tensor, spread: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Map images to logits.

        Args:
            images: In [0, 1].
            spread: Standard deviation and mean of the channels of the image from which the images are cut; by default,
                of each image itself.

        Shapes:
            images: float [B, C, H, W];  spread: two of [1, C, 1, 1];  returns: float [B, K, H, W].
        """
        if self.normalization == "image":
            std, mean = spread or torch.std_mean(images, dim=(2, 3), correction=0, keepdim=True)
            images = (images - mean) / std.clamp(min=MIN_STD)
        elif self.fixed:
            images = (images - self.mean) / self.deviation
        logits: Tensor = self.model(images.contiguous(memory_format=self.memory_format))
        return logits


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)


def _memory_format(model: nn.Module) -> torch.memory_format:
    """Return channels last, in which convolutions are fastest, unless it would cost more than it gains.

    Instance normalisation computes only in the other format, and so copies every feature map twice; group
    normalisation takes longer over its gradient.
    """
    if any(isinstance(layer, nn.InstanceNorm2d | nn.GroupNorm) for layer in model.modules()):
        return torch.contiguous_format
    return torch.channels_last
