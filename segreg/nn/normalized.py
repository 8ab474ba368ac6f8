"""A model together with the normalisation of its input."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Normalization: TypeAlias = Literal["image", "none"]
FORMULAS: Mapping[Normalization, str] = {
    "image": "each channel of each image standardized to mean 0 and standard deviation 1 by "
    "(x - mean) / max(deviation, 1/255)",
    "none": "not normalized",
}
"""What is done to images in [0, 1], for whoever does it outside segreg."""

# A constant channel has no standard deviation to divide by; one step of the 8-bit scale replaces it.
_MIN_STD = 1 / 255


class Normalized(nn.Module):
    """A model that takes images in [0, 1], normalises them itself, and computes in the memory format that suits it.

    Args:
        model: The model that takes normalised images.
        normalization: `image` standardizes each channel of each image to zero mean and unit variance, which removes
            lighting and camera differences; `none` leaves images unchanged.
    """

    def __init__(self, model: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.memory_format = _memory_format(model)
        self.model = model.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.normalization = normalization

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
            images = (images - mean) / std.clamp(min=_MIN_STD)
        logits: Tensor = self.model(images.contiguous(memory_format=self.memory_format))
        return logits


def _memory_format(model: nn.Module) -> torch.memory_format:
    """Return channels last, in which convolutions are fastest, unless it would cost more than it gains.

    Instance normalisation computes only in the other format, and so copies every feature map twice; group
    normalisation takes longer over its gradient.
    """
    if any(isinstance(layer, nn.InstanceNorm2d | nn.GroupNorm) for layer in model.modules()):
        return torch.contiguous_format
    return torch.channels_last
