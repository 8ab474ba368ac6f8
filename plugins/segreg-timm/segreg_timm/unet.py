"""U-Net over a timm backbone."""

import math
from itertools import pairwise, zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, check_positive, he_init
from segreg_timm.backbone import Backbone, resize


class UNet(nn.Module):
    """U-Net whose contracting path is a timm backbone.

    The expanding path doubles the resolution step by step, from the last feature map of the backbone to the image. At
    each step it concatenates the feature map of that resolution, if there is one, and ends in two 3×3 convolutions.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        backbone: A name from `timm.list_models()`, or one with the tag of its weights, such as `resnet18.a1_in1k`.
        pretrained: Whether timm downloads the weights of the backbone; or the path of a .safetensors file with the
            state dict of timm's own model of this name.
        depth: Maximum number of times the resolution is halved: feature maps up to stride 2**depth are used. 1 to 6.
        width: Channels at full resolution; each level down doubles them. At least 1.

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range, the backbone does not exist, or its weights are unavailable.

    Reference: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015,
        arXiv:1505.04597, figure 1.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1,
        backbone: str = "resnet18",
        pretrained: bool | str = False,
        depth: int = 5,
        width: int = 16,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, width=width)
        if not 1 <= depth <= 6:
            raise ValueError(f"depth is {depth!r}: expected from 1 to 6")
        self.encoder = Backbone(backbone, pretrained=pretrained, in_channels=in_channels, max_stride=2**depth)
        *skips, (_, deepest) = zip(self.encoder.strides, self.encoder.channels, strict=True)
        steps = [*reversed(skips), *_doublings(self.encoder.strides[0])]
        outputs = [width * 2 ** round(math.log2(stride)) for stride, _ in steps]
        self.decoder = nn.ModuleList(
            nn.Sequential(ConvNormAct(below + skip, here), ConvNormAct(here, here))
            for (below, here), (_, skip) in zip(pairwise([deepest, *outputs]), steps, strict=True)
        )
        self.head = nn.Conv2d(outputs[-1], num_classes, 1)
        he_init(self.decoder)
        he_init(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        fitted = self.encoder.fit(images)
        *skips, features = self.encoder(fitted)
        for block, skip in zip_longest(self.decoder, reversed(skips)):
            if skip is None:
                features = F.interpolate(features, scale_factor=2, mode="bilinear")
            else:
                features = torch.cat([skip, resize(features, skip)], dim=1)
            features = block(features)
        return self.encoder.restore(self.head(features), fitted, images)


def _doublings(stride: float) -> list[tuple[float, int]]:
    """Return the strides between the first feature map and the image, each with no channels to concatenate."""
    return [(stride / 2**step, 0) for step in range(1, int(math.log2(stride)) + 1)]
