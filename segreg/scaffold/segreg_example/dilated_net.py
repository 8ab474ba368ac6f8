"""A model without pooling."""

from torch import Tensor, nn


class DilatedNet(nn.Module):
    """Convolutions whose dilation doubles from one layer to the next, all at full resolution.

    Args:
        in_channels: Channels of the image.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        width: Channels of each layer. At least 1.
        depth: Number of dilated layers; the last one has a dilation of 2 ** (depth - 1). 1 to 8.

    Shapes:
        images: float [B, in_channels, H, W];  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is outside its range.

    Reference: Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, 2016, arXiv:1511.07122, table 1.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, width: int = 16, depth: int = 5) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width is {width}: expected 1 or more")
        if not 1 <= depth <= 8:
            raise ValueError(f"depth is {depth}: expected from 1 to 8")
        layers: list[nn.Module] = []
        channels = in_channels
        for dilation in (2**level for level in range(depth)):
            convolution = nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, num_classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        logits: Tensor = self.layers(images)
        return logits
