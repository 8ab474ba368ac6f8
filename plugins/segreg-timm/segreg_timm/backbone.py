"""Any timm model as an encoder: feature maps from fine to coarse, for images of any size."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import check_positive, crop, pad_to_stride
from segreg_timm.create import create, fixed_size


class Backbone(nn.Module):
    """A timm model, cut off after the last feature map that is used.

    The strides of its feature maps increase; of several maps with the same stride the last is taken. A model whose maps
    all have one stride s, such as a plain vision transformer, gives those from a third, two thirds and the end of its
    blocks, resampled to strides s/4, s/2 and s.

    Args:
        name: timm's name, with or without the tag of its weights.
        pretrained: Whether timm downloads its weights, or the path of a .safetensors file with them.
        in_channels: Channels of the image.
        min_stride: Finer feature maps are left out.
        max_stride: Coarser feature maps are left out.
        dilate: Whether to end at stride 16, by dilation, if the model supports it.

    Attributes:
        channels: Channels of each feature map, from fine to coarse.
        strides: How many pixels of the image one step in each feature map spans.

    Raises:
        ValueError: the model does not exist; its weights are unavailable; it has no feature map up to `max_stride`.
    """

    model: Any  # a module with timm's own methods

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool | str,
        in_channels: int,
        min_stride: int = 1,
        max_stride: int = 32,
        dilate: bool = False,
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels)
        self.model = create(name, pretrained=pretrained, in_channels=in_channels, dilate=dilate)
        # What segreg compares with the normalisation of a run.
        self.pretrained_moments = (self.model.pretrained_cfg["mean"], self.model.pretrained_cfg["std"])
        self.fixed_size = fixed_size(self.model)
        levels = _levels(self.model.feature_info)
        taken = [level for level in levels if min_stride <= level[0] <= max_stride]
        if not taken:
            strides = ", ".join(f"{stride:g}" for stride, *_ in levels)
            raise ValueError(f"backbone {name!r} has features of stride {strides}, and none up to stride {max_stride}")
        self.strides, self.channels, self.scales, indices = zip(*taken, strict=True)
        # Images are padded to whole steps of the coarsest map, before it is resampled.
        self.multiple = int(self.strides[-1] * self.scales[-1])
        # Inception does not pad its convolutions, and below 75 pixels nothing is left to convolve.
        self.minimum = 3 if type(self.model).__name__.startswith("Inception") else 2
        self.indices = list(indices)
        self.model.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        _register_once(self.model)

    def fit(self, images: Tensor) -> Tensor:
        """Pad images to a size that the model takes; for a model with a single size, resize them.

        Shapes: [B, C, H, W] -> [B, C, H', W'].
        """
        if self.fixed_size:
            return F.interpolate(images, size=self.fixed_size, mode="bilinear")
        return pad_to_stride(images, self.multiple, minimum=self.minimum)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images from `fit`, float [B, C, H, W], to feature maps, float [B, channels, H / stride, W / stride]."""
        features = self.model.forward_intermediates(
            images, indices=self.indices, output_fmt="NCHW", intermediates_only=True
        )
        return [
            feature if scale == 1 else F.interpolate(feature, scale_factor=scale, mode="bilinear")
            for feature, scale in zip(features, self.scales, strict=True)
        ]

    def restore(self, logits: Tensor, fitted: Tensor, images: Tensor) -> Tensor:
        """Undo `fit`: resize logits of any size to that of the images.

        Shapes: [B, K, h, w], [B, C, H', W'] and [B, C, H, W] -> [B, K, H, W].
        """
        return resize(logits, images) if self.fixed_size else crop(resize(logits, fitted), images)


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Interpolate to the height and width of another tensor.

    Shapes: [B, D, h, w] and [B, E, H, W] -> [B, D, H, W].
    """
    if features.shape[-2:] == like.shape[-2:]:
        return features
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear")


def _levels(feature_info: Sequence[dict[str, Any]]) -> list[tuple[float, int, int, int]]:
    """Return stride, channels, scale and index of each feature map that can be used, from fine to coarse."""
    strides = [info["reduction"] for info in feature_info]
    channels = [info["num_chs"] for info in feature_info]
    if len(set(strides)) > 1:
        last = {stride: index for index, stride in enumerate(strides)}
        return [(stride, channels[index], 1, index) for stride, index in last.items()]
    blocks = len(strides)
    ends = [blocks // 3 - 1, 2 * blocks // 3 - 1, blocks - 1]
    return [
        (strides[index] / scale, channels[index], scale, index) for index, scale in zip(ends, (4, 2, 1), strict=True)
    ]


def _register_once(model: nn.Module) -> None:
    """Register a submodule that several others share in only one of them, so that its weights have one name."""
    seen: set[nn.Module] = set()
    for parent in list(model.modules()):
        # named_children() would leave out the second name of a child.
        for name, child in list(parent._modules.items()):
            if child in seen and any(True for _ in child.parameters()):
                delattr(parent, name)
                object.__setattr__(parent, name, child)
            elif child is not None:
                seen.add(child)
