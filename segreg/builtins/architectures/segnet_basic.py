"""SegNet-Basic: the small SegNet of the paper's comparisons."""

from torch import Tensor, nn

from segreg.builtins.architectures.blocks import ConvNormAct, check_positive, crop, he_init, max_unpool, pad_to_stride

_KERNEL = 7
_DEPTH = 4


class SegNetBasic(nn.Module):
    """SegNet-Basic: four 7×7 convolutions down, four up, `width` channels throughout.

    Batch normalisation follows every convolution, ReLU only those of the encoder; convolutions have no bias. The
    paper's text leaves two things open: how these channels become classes (here a 1×1 convolution with a bias), and
    local contrast normalisation of the input (here none: the trainer normalises). With 11 classes `segnet-basic` has
    1,416,075 parameters, where the paper reports 1.425 million without saying what was counted.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        width: Channels of every layer. At least 1.

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range.

    Reference: Badrinarayanan et al., SegNet, 2015, arXiv:1511.00561, section 3.1 and table 1; weights drawn as in its
        section 3.2.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, width: int = 64) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes, width=width)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.encoder = nn.ModuleList(
            ConvNormAct(width if level else in_channels, width, kernel=_KERNEL) for level in range(_DEPTH)
        )
        self.decoder = nn.ModuleList(ConvNormAct(width, width, kernel=_KERNEL, act=False) for _ in range(_DEPTH))
        self.head = nn.Conv2d(width, num_classes, 1)
        he_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        features = pad_to_stride(images, 2**_DEPTH)
        positions = []
        for stage in self.encoder:
            features, indices = self.pool(stage(features))
            positions.append(indices)
        for stage in self.decoder:
            features = stage(max_unpool(features, positions.pop()))
        return crop(self.head(features), images)
