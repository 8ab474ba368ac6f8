"""U-Net, with the choices in which its variants differ as options."""

from itertools import pairwise
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, Norm, check_positive, crop, he_init, pad_to_stride

Pool: TypeAlias = Literal["max", "avg", "conv"]
Upsample: TypeAlias = Literal["transpose", "nearest", "bilinear"]


def _double_conv(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(inputs, outputs, norm=norm), ConvNormAct(outputs, outputs, norm=norm))


def _pool_layer(pool: Pool, channels: int, norm: Norm) -> nn.Module:
    match pool:
        case "max":
            return nn.MaxPool2d(2)
        case "avg":
            return nn.AvgPool2d(2)
        case "conv":
            return ConvNormAct(channels, channels, stride=2, norm=norm)
        case _:
            raise ValueError(f"pool is {pool!r}: expected 'max', 'avg' or 'conv'")


class _Transposed(nn.ConvTranspose2d):
    """Adds the bias separately in training: torch takes twice as long for its gradient as for all others together."""

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(features, output_size)
        assert self.bias is not None
        upsampled = F.conv_transpose2d(features, self.weight, None, self.stride)
        return upsampled.add_(self.bias.to(upsampled.dtype).view(1, -1, 1, 1))


def _upsample_layer(upsample: Upsample, inputs: int, outputs: int) -> nn.Module:
    match upsample:
        case "transpose":
            return _Transposed(inputs, outputs, 2, stride=2)
        case "nearest":
            return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))
        case "bilinear":
            return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(inputs, outputs, 3, padding=1))
        case _:
            raise ValueError(f"upsample is {upsample!r}: expected 'transpose', 'nearest' or 'bilinear'")


class UNet(nn.Module):
    """U-Net: an encoder and a decoder, joined at every resolution by a skip connection.

    It departs from the paper in two ways that have become usual: convolutions are padded, so that the logits are as
    large as the image, and each is followed by normalisation. `unet` has 31,037,633 parameters.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        width: Channels at full resolution; each level down doubles them. At least 1.
        depth: How many times the resolution is halved. 1 to 6.
        pool: How it is halved: 2×2 max pooling, 2×2 average pooling, or a 3×3 convolution of stride 2 (Springenberg et
            al., Striving for Simplicity, 2014, arXiv:1412.6806, section 2).
        upsample: How it is doubled: a 2×2 transposed convolution of stride 2, or nearest-neighbour or bilinear
            upsampling and a 3×3 convolution (Odena et al., Deconvolution and Checkerboard Artifacts, 2016).
        norm: Normalisation after each 3×3 convolution: over the batch, over groups of channels, over each channel of
            each image, or none.
        dropout: Probability of zeroing an activation at the end of the contracting path, in [0, 1).

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range.

    Reference: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015,
        arXiv:1505.04597, figure 1 and section 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1,
        width: int = 64,
        depth: int = 4,
        pool: Pool = "max",
        upsample: Upsample = "transpose",
        norm: Norm = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes, width=width)
        if not 1 <= depth <= 6:
            raise ValueError(f"depth is {depth!r}: expected from 1 to 6")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}: expected at least 0 and below 1")
        self.stride = 2**depth
        channels = [width * 2**level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            _double_conv(inputs, outputs, norm) for inputs, outputs in pairwise([in_channels, *channels])
        )
        self.pools = nn.ModuleList(_pool_layer(pool, outputs, norm) for outputs in channels[:-1])
        self.dropout = nn.Dropout(dropout)
        self.upsamples = nn.ModuleList(_upsample_layer(upsample, 2 * outputs, outputs) for outputs in channels[-2::-1])
        self.decoder = nn.ModuleList(_double_conv(2 * outputs, outputs, norm) for outputs in channels[-2::-1])
        self.head = nn.Conv2d(width, num_classes, 1)
        he_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        features = self.encoder[0](pad_to_stride(images, self.stride, minimum=2))
        skips = []
        for pool, block in zip(self.pools, self.encoder[1:], strict=True):
            skips.append(features)
            features = block(pool(features))
        features = self.dropout(features)
        for upsample, block, skip in zip(self.upsamples, self.decoder, reversed(skips), strict=True):
            features = block(torch.cat([skip, upsample(features)], dim=1))
        return crop(self.head(features), images)
