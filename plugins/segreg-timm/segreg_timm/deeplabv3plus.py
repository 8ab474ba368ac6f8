"""DeepLabV3+ over a timm backbone."""

import torch
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, check_positive, he_init
from segreg_timm.backbone import Backbone, resize

_RATES = (6, 12, 18)
_DETAIL_CHANNELS = 48


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ over a timm backbone.

    The last feature map of the backbone passes through parallel convolutions of different dilation (ASPP) and,
    upsampled, is joined with the first one of stride 4. The backbone keeps stride 16 to its end, by dilation, if it
    supports that; if it ends at stride 32, the rates of the ASPP are halved. Convolutions are full, not depthwise
    separable, and there is no normalisation after the pooling over the image, so that it can learn from batches of one.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        backbone: A name from `timm.list_models()`, or one with the tag of its weights, such as `resnet18.a1_in1k`.
        pretrained: Whether timm downloads the weights of the backbone; or the path of a .safetensors file with the
            state dict of timm's own model of this name.
        width: Channels of the ASPP and the decoder. At least 1.

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range, the backbone does not exist, or its weights are unavailable.

    Reference: Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, 2018,
        arXiv:1802.02611, figure 2; the ASPP: Chen et al., Rethinking Atrous Convolution, 2017, arXiv:1706.05587.
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
        check_positive(num_classes=num_classes, width=width)
        self.encoder = Backbone(backbone, pretrained=pretrained, in_channels=in_channels, min_stride=3, dilate=True)
        first, *_, last = self.encoder.channels
        rates = [max(1, round(rate * 16 / self.encoder.strides[-1])) for rate in _RATES]
        self.parallel = nn.ModuleList([ConvNormAct(last, width, kernel=1)])
        self.parallel.extend(_dilated(last, width, rate) for rate in rates)
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormAct(last, width, kernel=1, norm="none"))
        self.project = ConvNormAct((len(rates) + 2) * width, width, kernel=1)
        self.detail = ConvNormAct(first, _DETAIL_CHANNELS, kernel=1)
        self.decoder = nn.Sequential(ConvNormAct(width + _DETAIL_CHANNELS, width), ConvNormAct(width, width))
        self.head = nn.Conv2d(width, num_classes, 1)
        for module in (self.parallel, self.pooled, self.project, self.detail, self.decoder, self.head):
            he_init(module)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        fitted = self.encoder.fit(images)
        first, *_, last = self.encoder(fitted)
        seen = [branch(last) for branch in self.parallel]
        seen.append(self.pooled(last).expand_as(seen[0]))
        features = self.project(torch.cat(seen, dim=1))
        features = self.decoder(torch.cat([self.detail(first), resize(features, first)], dim=1))
        return self.encoder.restore(self.head(features), fitted, images)


def _dilated(inputs: int, outputs: int, rate: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
