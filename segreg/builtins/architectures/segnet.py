"""SegNet: VGG16 as encoder, and a decoder that unpools with the encoder's pooling indices."""

from itertools import pairwise

from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, check_positive, crop, he_init, max_unpool, pad_to_stride
from segreg.builtins.architectures.vgg16 import load_vgg16

# The convolutions of each stage, by their channels as multiples of the width.
_VGG16 = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


class SegNet(nn.Module):
    """SegNet: the 13 convolutions of VGG16 as encoder, and their mirror image as decoder.

    Each of the five poolings keeps where its maxima were, and the decoder puts its values back there. Batch
    normalisation and ReLU follow every convolution except the last, which outputs the logits. `segnet` has 29,435,649
    parameters.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        width: Channels at full resolution; the stages below have 2, 4, 8 and 8 times as many. At least 1.
        pretrained: Initial weights of the encoder, those of VGG16 with batch normalisation: the path of a .safetensors
            file with the names of torchvision's and timm's `vgg16_bn`, or such a name of timm, as `vgg16_bn.tv_in1k`,
            which is fetched from the Hugging Face Hub. Only with 3 channels and a width of 64. They were trained on
            images normalised as with `normalize=imagenet`.

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range, or the pretrained weights are unavailable or do not fit.

    Reference: Badrinarayanan et al., SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
        Segmentation, 2015, arXiv:1511.00561, section 3 and figure 2; weights drawn as in its section 3.2, where the
        encoder begins with VGG16 trained on ImageNet.
    """

    def __init__(
        self, *, in_channels: int = 3, num_classes: int = 1, width: int = 64, pretrained: str | None = None
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes, width=width)
        if pretrained and (in_channels, width) != (3, 64):
            raise ValueError(
                f"pretrained is {pretrained!r}, but VGG16 has 3 channels and width 64, not {in_channels} and {width}"
            )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        previous = in_channels
        for stage in _VGG16:
            channels = [width * multiple for multiple in stage]
            self.encoder.append(_convolutions(previous, *channels))
            self.decoder.insert(0, _convolutions(*reversed(channels), previous))
            previous = channels[-1]
        # The last convolution outputs the logits, without normalisation and ReLU.
        self.decoder[-1] = nn.Sequential(ConvNormAct(width, width), nn.Conv2d(width, num_classes, 3, padding=1))
        he_init(self)
        if pretrained:
            convolutions = [each for each in self.encoder.modules() if isinstance(each, nn.Conv2d)]
            norms = [each for each in self.encoder.modules() if isinstance(each, nn.BatchNorm2d)]
            load_vgg16(list(zip(convolutions, norms, strict=True)), pretrained)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        features = pad_to_stride(images, 2 ** len(self.encoder))
        positions = []
        for stage in self.encoder:
            features, indices = self.pool(stage(features))
            positions.append(indices)
        for stage in self.decoder:
            features = stage(max_unpool(features, positions.pop()))
        return crop(features, images)


def _convolutions(*channels: int) -> nn.Sequential:
    return nn.Sequential(*(ConvNormAct(inputs, outputs) for inputs, outputs in pairwise(channels)))
