"""The networks of MONAI in two dimensions, adapted to images of any size."""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import check_positive, crop, pad_to_stride
from segreg.compat import patch_torchvision
from segreg.options import check_option

patch_torchvision()

from monai.networks.nets.attentionunet import AttentionUnet  # noqa: E402
from monai.networks.nets.basic_unet import BasicUNet, UpCat  # noqa: E402
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus  # noqa: E402
from monai.networks.nets.dynunet import DynUNet  # noqa: E402
from monai.networks.nets.mednext import create_mednext  # noqa: E402
from monai.networks.nets.segresnet import SegResNet  # noqa: E402
from monai.networks.nets.swin_unetr import SwinUNETR  # noqa: E402
from monai.networks.nets.unet import UNet  # noqa: E402


class Adapted(nn.Module):
    """A network of MONAI, with images padded at their lower and right edge to a size that it takes.

    Args:
        peer: Builds the network.
        stride: What height and width must be a multiple of. They are made at least twice that, for the instance
            normalisation of the smallest feature map.
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits. At least 1.
        options: Further options of the network.

    Shapes:
        images: float [B, in_channels, H, W];  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self, peer: Callable[..., nn.Module], *, stride: int, in_channels: int, num_classes: int, **options: Any
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes)
        # SwinUNETR reads the values of tensors while it is built, which the device `meta` does not have.
        with torch.device("cpu"):
            self.model = peer(spatial_dims=2, in_channels=in_channels, out_channels=num_classes, **options)
        for block in self.model.modules():
            if isinstance(block, UpCat):
                block.__class__ = _UpCat
        self.stride = stride
        self.to(torch.get_default_device())

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        logits = self.model(pad_to_stride(images, self.stride, minimum=2))
        # BasicUNetPlusPlus returns a list, even of one.
        return crop(logits[0] if isinstance(logits, list) else logits, images)


class _UpCat(UpCat):
    """Pads by what is missing. MONAI checks whether anything is, and torch.export takes the result for all sizes."""

    def forward(self, x: Tensor, x_e: Tensor | None) -> Tensor:
        """Join feature maps from below with those from the left, [B, C, H, W], whose H and W may be 1 more."""
        joined: Tensor
        if x_e is None or not torch.compiler.is_exporting():
            joined = super().forward(x, x_e)
        else:
            x_0 = self.upsample(x)
            missing = (0, x_e.shape[3] - x_0.shape[3], 0, x_e.shape[2] - x_0.shape[2])
            joined = self.convs(torch.cat([x_e, F.pad(x_0, missing, mode="replicate")], dim=1))
        return joined


def basicunet(
    *, in_channels: int = 3, num_classes: int = 1, features: tuple[int, ...] = (32, 32, 64, 128, 256, 32)
) -> nn.Module:
    """BasicUNet of MONAI: U-Net with instance normalisation and leaky ReLU. It takes any size without padding.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        features: Six numbers of channels: of the five levels from the top down, and of the last block.

    Raises:
        ValueError: an option is out of range.

    Reference: Falk et al., U-Net: deep learning for cell counting, detection, and morphometry, Nature Methods 16:67,
        2019.
    """
    check_option("features", features, len(features) == 6 and min(features) >= 1, "6 numbers, each 1 or more")
    return Adapted(BasicUNet, stride=1, in_channels=in_channels, num_classes=num_classes, features=features)


def basicunetplusplus(
    *, in_channels: int = 3, num_classes: int = 1, features: tuple[int, ...] = (32, 32, 64, 128, 256, 32)
) -> nn.Module:
    """BasicUNetPlusPlus of MONAI: U-Net with nested, dense skip connections. It takes any size without padding.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        features: Six numbers of channels: of the five levels from the top down, and of the last block.

    Raises:
        ValueError: an option is out of range.

    Reference: Zhou et al., UNet++, 2018, arXiv:1807.10165.
    """
    check_option("features", features, len(features) == 6 and min(features) >= 1, "6 numbers, each 1 or more")
    adapted = Adapted(BasicUNetPlusPlus, stride=1, in_channels=in_channels, num_classes=num_classes, features=features)
    # Only deep supervision, which is off, uses the outputs of these.
    for head in ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"):
        setattr(adapted.model, head, nn.Identity())
    return adapted


def unet(
    *,
    in_channels: int = 3,
    num_classes: int = 1,
    channels: tuple[int, ...] = (16, 32, 64, 128, 256),
    num_res_units: int = 2,
) -> nn.Module:
    """UNet of MONAI: residual units that downsample by strided and upsample by transposed convolutions.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        channels: Channels of each level, from the top down; each level halves the resolution. Two or more.
        num_res_units: Convolutions in a residual unit; 0 means a single one, without a residual. At least 0.

    Raises:
        ValueError: an option is out of range.

    Reference: Kerfoot et al., Left-Ventricle Quantification Using Residual U-Net, 2019,
        doi:10.1007/978-3-030-12029-0_40.
    """
    check_option("channels", channels, len(channels) >= 2 and min(channels) >= 1, "2 numbers or more, each 1 or more")
    check_option("num_res_units", num_res_units, num_res_units >= 0, "0 or more")
    return Adapted(
        UNet,
        stride=2 ** (len(channels) - 1),
        in_channels=in_channels,
        num_classes=num_classes,
        channels=channels,
        strides=[2] * (len(channels) - 1),
        num_res_units=num_res_units,
    )


def attentionunet(
    *, in_channels: int = 3, num_classes: int = 1, channels: tuple[int, ...] = (16, 32, 64, 128, 256)
) -> nn.Module:
    """AttentionUnet of MONAI: U-Net whose skip connections are weighted by what comes from below.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        channels: Channels of each level, from the top down; each level halves the resolution. Two or more numbers,
            each 2 or more.

    Raises:
        ValueError: an option is out of range.

    Reference: Oktay et al., Attention U-Net, 2018, arXiv:1804.03999.
    """
    # An attention gate has half as many channels.
    check_option("channels", channels, len(channels) >= 2 and min(channels) >= 2, "2 numbers or more, each 2 or more")
    return Adapted(
        AttentionUnet,
        stride=2 ** (len(channels) - 1),
        in_channels=in_channels,
        num_classes=num_classes,
        channels=channels,
        strides=[2] * (len(channels) - 1),
    )


def segresnet(*, in_channels: int = 3, num_classes: int = 1, init_filters: int = 8) -> nn.Module:
    """SegResNet of MONAI: a large encoder and a small decoder of residual blocks, without the variational branch.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        init_filters: Channels of the top level, a multiple of 8; each level down doubles them.

    Raises:
        ValueError: an option is out of range.

    Reference: Myronenko, 3D MRI brain tumor segmentation using autoencoder regularization, 2018, arXiv:1810.11654.
    """
    check_option("init_filters", init_filters, init_filters > 0 and init_filters % 8 == 0, "a multiple of 8")
    return Adapted(SegResNet, stride=8, in_channels=in_channels, num_classes=num_classes, init_filters=init_filters)


def dynunet(
    *, in_channels: int = 3, num_classes: int = 1, filters: tuple[int, ...] = (32, 64, 128, 256, 512, 512)
) -> nn.Module:
    """DynUNet of MONAI: the U-Net of nnU-Net, with 3×3 convolutions.

    nnU-Net chooses the number of levels by the size of the images; here it is the length of `filters`.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        filters: Channels of each level, from the top down; each level halves the resolution. Three or more.

    Raises:
        ValueError: an option is out of range.

    Reference: Isensee et al., nnU-Net, 2019, arXiv:1904.08128.
    """
    check_option("filters", filters, len(filters) >= 3 and min(filters) >= 1, "3 numbers or more, each 1 or more")
    levels = len(filters)
    adapted = Adapted(
        DynUNet,
        stride=2 ** (levels - 1),
        in_channels=in_channels,
        num_classes=num_classes,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=filters,
    )
    # The same layers as in `skip_layers`, which is what is called: weights with two names cannot be saved.
    for alias in ("input_block", "downsamples", "bottleneck", "upsamples"):
        delattr(adapted.model, alias)
    return adapted


def mednext(*, in_channels: int = 3, num_classes: int = 1, variant: Literal["S", "B", "M", "L"] = "S") -> nn.Module:
    """MedNeXt of MONAI: U-Net of ConvNeXt blocks, which also downsample and upsample.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        variant: The paper's small, base, medium or large one.

    Raises:
        ValueError: an option is out of range.

    Reference: Roy et al., MedNeXt, 2023, arXiv:2303.09975.
    """
    return Adapted(create_mednext, stride=16, in_channels=in_channels, num_classes=num_classes, variant=variant)


def swinunetr(*, in_channels: int = 3, num_classes: int = 1, feature_size: int = 24) -> nn.Module:
    """SwinUNETR of MONAI: a Swin transformer, and a convolutional decoder on its feature maps.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        feature_size: Channels of the top level, a multiple of 12; each level down doubles them.

    Raises:
        ValueError: an option is out of range.

    Reference: Hatamizadeh et al., Swin UNETR, 2022, arXiv:2201.01266.
    """
    check_option("feature_size", feature_size, feature_size > 0 and feature_size % 12 == 0, "a multiple of 12")
    return Adapted(SwinUNETR, stride=32, in_channels=in_channels, num_classes=num_classes, feature_size=feature_size)
