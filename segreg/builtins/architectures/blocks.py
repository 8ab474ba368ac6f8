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
    """Return the normalisation layer; group normalisation has as many groups as divide both 32 and the channels."""
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
    """Initialize the weights of every convolution below `module` as in He et al., and set biases to zero.

    A weight is normal with variance 2 / N, where N is the number of inputs that reach one output: for a transposed
    convolution that is not the fan-in that `torch.nn.init` computes.

    Reference: He et al., Delving Deep into Rectifiers, 2015, arXiv:1502.01852, eq. 10; prescribed by the U-Net paper
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


def pad_to_stride(images: Tensor, stride: int, *, minimum: int = 1) -> Tensor:
    """Replicate the lower and right edge until height and width are multiples of `stride`, `minimum` times it or more.

    With `crop` on the logits an architecture accepts any size, and all its feature maps halve and double without
    remainder. One that normalises its smallest feature map needs it to be at least 2 pixels wide: a single pixel has no
    variance.

    Shapes: [B, C, H, W] -> [B, C, H', W'].
    """
    height, width = images.shape[-2:]
    # sym_max is max() for sizes that torch.export leaves open; ONNX divides integers towards zero, so none is negative.
    down = torch.sym_max(minimum, (height + stride - 1) // stride)  # type: ignore[no-untyped-call]
    across = torch.sym_max(minimum, (width + stride - 1) // stride)  # type: ignore[no-untyped-call]
    return F.pad(images, (0, stride * across - width, 0, stride * down - height), mode="replicate")


def crop(logits: Tensor, images: Tensor) -> Tensor:
    """Cut off what `pad_to_stride` added to the images.

    Shapes: [B, K, H', W'] and [B, C, H, W] -> [B, K, H, W].
    """
    height, width = images.shape[-2:]
    # Negative padding instead of a slice: torch.export cannot prove that a slice fits images of every size.
    return F.pad(logits, (0, width - logits.shape[-1], 0, height - logits.shape[-2]))


def max_unpool(features: Tensor, positions: Tensor) -> Tensor:
    """Put each value back where 2×2 max-pooling found its maximum, with zeros elsewhere.

    Args:
        features: The pooled features.
        positions: The indices that `max_pool2d(..., return_indices=True)` returned with them.

    Shapes:
        features: float [B, C, H, W];  positions: int64 [B, C, H, W];  returns: float [B, C, 2 H, 2 W].
    """
    if torch.compiler.is_exporting():
        # With operations that every runtime has: torch.export would put torch's own, and autocast, into the program.
        batch, channels, height, width = features.shape
        zeros = features.new_zeros(batch, channels, 4 * height * width)
        return zeros.scatter(2, positions.flatten(2), features.flatten(2)).view(batch, channels, 2 * height, 2 * width)
    unpooled: Tensor = _MaxUnpool.apply(features, positions)  # type: ignore[no-untyped-call]
    return unpooled


class _MaxUnpool(torch.autograd.Function):
    """torch's own, except for the gradient: with channels last in memory, torch's takes ten times as long."""

    @staticmethod
    def forward(features: Tensor, positions: Tensor) -> Tensor:
        # On a CPU autocast would convert bfloat16 to float32, and move twice the bytes for the same values.
        with torch.autocast("cpu", enabled=False):
            return F.max_unpool2d(features, positions, (2, 2))

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        _, positions = inputs
        context.save_for_backward(positions)
        context.save_for_forward(positions)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (positions,) = context.saved_tensors
        batch, channels, height, width = positions.shape
        # [B, H W, C], in which channels that are last in memory need no copy.
        gradient = gradients[0].permute(0, 2, 3, 1).reshape(batch, 4 * height * width, channels)
        chosen = positions.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        taken = gradient.gather(1, chosen).reshape(batch, height, width, channels)
        return taken.permute(0, 3, 1, 2), None

    @staticmethod
    def jvp(context: Any, *tangents: Tensor) -> Tensor:
        # It is linear in the features.
        return max_unpool(tangents[0], *context.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], *inputs: Tensor) -> tuple[Tensor, int]:
        # [N, B, C, H, W], of which N B are images like any others.
        features, positions = (
            each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip(inputs, in_dims, strict=True)
        )
        unpooled = max_unpool(features.flatten(0, 1), positions.flatten(0, 1))
        return unpooled.view(*features.shape[:2], *unpooled.shape[1:]), 0
