"""Feature pyramid network over a timm backbone."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, check_positive, he_init
from segreg_timm.backbone import Backbone, resize


class FPN(nn.Module):
    """Semantic branch of Panoptic FPN over a timm backbone.

    Starting from the last feature map of the backbone, each is added to the one before it, all with `width` channels.
    Each level of this pyramid is brought to the finest one by convolutions and upsampling, where the sum of all gives
    the logits. Feature maps of stride 1 and 2 are left out.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        backbone: A name from `timm.list_models()`, or one with the tag of its weights, such as `resnet18.a1_in1k`.
        pretrained: Whether timm downloads the weights of the backbone; or the path of a .safetensors file with the
            state dict of timm's own model of this name.
        width: Channels of the pyramid; the branch to the logits has half of them. An even number, at least 2.

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range, the backbone does not exist, or its weights are unavailable.

    Reference: Kirillov et al., Panoptic Feature Pyramid Networks, 2019, arXiv:1901.02446, section 3; the pyramid: Lin
        et al., Feature Pyramid Networks for Object Detection, 2017, arXiv:1612.03144, section 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1,
        backbone: str = "resnet18",
        pretrained: bool | str = False,
        width: int = 256,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes)
        if width < 2 or width % 2:
            raise ValueError(f"width is {width!r}: expected an even number from 2 up")
        self.encoder = Backbone(backbone, pretrained=pretrained, in_channels=in_channels, min_stride=3)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in self.encoder.channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in self.encoder.channels)
        self.branches = nn.ModuleList(
            _branch(width, round(math.log2(stride / self.encoder.strides[0]))) for stride in self.encoder.strides
        )
        self.head = nn.Conv2d(width // 2, num_classes, 1)
        for module in (self.lateral, self.smooth, self.branches, self.head):
            he_init(module)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        fitted = self.encoder.fit(images)
        pyramid = [lateral(feature) for lateral, feature in zip(self.lateral, self.encoder(fitted), strict=True)]
        for level in reversed(range(len(pyramid) - 1)):
            above = F.interpolate(pyramid[level + 1], size=pyramid[level].shape[-2:], mode="nearest")
            pyramid[level] = pyramid[level] + above
        finest, *coarser = (
            branch(smooth(feature)) for branch, smooth, feature in zip(self.branches, self.smooth, pyramid, strict=True)
        )
        for features in coarser:
            finest = finest + resize(features, finest)
        return self.encoder.restore(self.head(finest), fitted, images)


def _branch(width: int, doublings: int) -> nn.Sequential:
    """Return a convolution for each doubling of the resolution, and one at least."""
    layers: list[nn.Module] = []
    for step in range(max(doublings, 1)):
        layers.append(ConvNormAct(width if step == 0 else width // 2, width // 2, norm="group"))
        if doublings:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
    return nn.Sequential(*layers)
