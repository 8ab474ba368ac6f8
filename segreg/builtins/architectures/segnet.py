"""SegNet: VGG16 as encoder, and a decoder that unpools with the encoder's pooling indices."""

from itertools import pairwise

from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, check_positive, crop, he_init, max_unpool, pad_to_stride

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

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range.

    Reference: Badrinarayanan et al., SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
        Segmentation, 2015, arXiv:1511.00561, section 3 and figure 2; weights drawn as in its section 3.2.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, width: int = 64) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes, width=width)
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
