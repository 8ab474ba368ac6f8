"""The blocks that the architectures share."""

import math
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm: TypeAlias = Literal["batch", "group", "instance", "none"]


def check_positive(**options: int) -> None:
    """Raise `ValueError` for an option below 1."""
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"{name} is {value!r}: expected 1 or more")


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Return the normalisation layer; group normalisation has 32 groups, or as many as divide 32 and the channels."""
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "group":
            return nn.GroupNorm(math.gcd(32, channels), channels)
        case "instance":
            return nn.InstanceNorm2d(channels, affine=True)
        case "none":
            return nn.Identity()
        case _:
            raise ValueError(f"norm is {norm!r}: expected 'batch', 'group', 'instance' or 'none'")


class ConvNormAct(nn.Sequential):
    """A padded convolution, normalisation, and ReLU unless `act` is false. It has a bias only without normalisation."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, norm: Norm = "batch", act: bool = True
    ) -> None:
        """Shapes: [B, inputs, H, W] -> [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        layers = [
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=norm == "none"),
            norm_layer(norm, outputs),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if act else []))


def he_init(module: nn.Module) -> None:
    """Draw the weights of every convolution below `module` as He et al. do, and set biases to zero.

    A weight is normal with variance 2 / N, where N is the number of inputs that reach one output: for a transposed
    convolution that is not the fan-in that `torch.nn.init` works out.

    Reference: He et al., Delving Deep into Rectifiers, 2015, arXiv:1502.01852, eq. 10; asked for by the U-Net paper
        (section 3) and the SegNet paper (section 3.2).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            fan_in = layer.in_channels * math.prod(layer.kernel_size) / layer.groups
            if isinstance(layer, nn.ConvTranspose2d):
                fan_in /= math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pad_to_stride(images: Tensor, stride: int, *, least: int = 1) -> Tensor:
    """Repeat the lower and right edge until height and width are multiples of `stride`, at least `least` of them.

    With `crop` on the logits an architecture takes any size, and all its feature maps halve and double without
    remainder. One that normalises its smallest feature map needs it to be 2 pixels wide: there is nothing to learn from
    the spread of a single one.

    Shapes: [B, C, H, W] -> [B, C, H', W'].
    """
    height, width = images.shape[-2:]
    # sym_max is max() for sizes that torch.export leaves open; ONNX divides integers towards zero, so none is negative.
    bottom = stride * torch.sym_max(least, (height + stride - 1) // stride) - height  # type: ignore[no-untyped-call]
    right = stride * torch.sym_max(least, (width + stride - 1) // stride) - width  # type: ignore[no-untyped-call]
    return F.pad(images, (0, right, 0, bottom), mode="replicate")


def crop(logits: Tensor, images: Tensor) -> Tensor:
    """Cut off what `pad_to_stride` added to the images.

    Shapes: [B, K, H', W'] and [B, C, H, W] -> [B, K, H, W].
    """
    height, width = images.shape[-2:]
    # Negative padding, and no slice: torch.export cannot show that a slice fits whatever size the images have.
    return F.pad(logits, (0, width - logits.shape[-1], 0, height - logits.shape[-2]))


def max_unpool(features: Tensor, positions: Tensor) -> Tensor:
    """Put each value back where 2×2 max-pooling found its maximum, in an image of zeros.

    Args:
        features: What was pooled.
        positions: What `max_pool2d(..., return_indices=True)` gave beside it.

    Shapes:
        features: float [B, C, H, W];  positions: int64 [B, C, H, W];  returns: float [B, C, 2 H, 2 W].
    """
    if torch.compiler.is_exporting():
        # In operations that any runtime has: torch.export would write torch's own, and autocast, into the program.
        batch, channels, height, width = features.shape
        image = features.new_zeros(batch, channels, 4 * height * width)
        return image.scatter(2, positions.flatten(2), features.flatten(2)).view(batch, channels, 2 * height, 2 * width)
    unpooled: Tensor = _MaxUnpool.apply(features, positions)  # type: ignore[no-untyped-call]
    return unpooled


class _MaxUnpool(torch.autograd.Function):
    """torch's own, but for the gradient: with channels last in memory, torch's takes ten times as long."""

    @staticmethod
    def forward(context: Any, features: Tensor, positions: Tensor) -> Tensor:
        context.save_for_backward(positions)
        # On a CPU autocast would turn bfloat16 into float32, and move the same values in twice the bytes.
        with torch.autocast("cpu", enabled=False):
            return F.max_unpool2d(features, positions, (2, 2))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (positions,) = context.saved_tensors
        batch, channels, height, width = positions.shape
        # [B, H W, C], in which channels that are last in memory need no copy.
        gradient, chosen = (each.permute(0, 2, 3, 1).flatten(1, 2) for each in (gradients[0], positions))
        taken = gradient.gather(1, chosen).view(batch, height, width, channels)
        return taken.permute(0, 3, 1, 2), None
