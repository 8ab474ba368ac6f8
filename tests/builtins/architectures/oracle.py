"""The architectures reimplemented in NumPy and float64. They share only the weight names with segreg."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Array: TypeAlias = npt.NDArray[np.float64]
Weights: TypeAlias = Mapping[str, Array]


def randomized(model: nn.Module, seed: int = 0) -> tuple[nn.Module, Weights]:
    """Give a model weights and statistics without any symmetry, and return it in float64 with a copy of them."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.ndim == 1:
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3 + name.endswith("weight"))
    return model, {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def edge_padded(images: Array, stride: int, minimum: int) -> Array:
    """Repeat the last row and column up to a multiple of the stride, at least the minimum number of strides."""
    add = [max(minimum * stride, (size + stride - 1) // stride * stride) - size for size in images.shape[2:]]
    return np.pad(images, ((0, 0), (0, 0), (0, add[0]), (0, add[1])), mode="edge")


def convolution(x: Array, weights: Weights, name: str, stride: int = 1) -> Array:
    """A zero-padded convolution: the size is unchanged, or divided by the stride."""
    weight = weights[f"{name}.weight"]
    half = weight.shape[-1] // 2
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (0, 0), (half, half), (half, half))), weight.shape[2:], axis=(2, 3)
    )[:, :, ::stride, ::stride]
    y = np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return y + weights[f"{name}.bias"][:, None, None] if f"{name}.bias" in weights else y


def batch_norm(x: Array, weights: Weights, name: str) -> Array:
    """Batch normalisation with the running statistics."""
    weight, bias, mean, var = (
        weights[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return weight * (x - mean) / np.sqrt(var + 1e-5) + bias


def block(x: Array, weights: Weights, name: str, stride: int = 1) -> Array:
    """Convolution, batch normalisation, ReLU."""
    return np.maximum(batch_norm(convolution(x, weights, f"{name}.0", stride), weights, f"{name}.1"), 0)


def quarters(x: Array) -> Array:
    """The four pixels of each 2×2 square, side by side: [B, C, 2h, 2w] -> [B, C, h, w, 4]."""
    batch, channels, height, width = x.shape
    squares = x.reshape(batch, channels, height // 2, 2, width // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    return squares.reshape(batch, channels, height // 2, width // 2, 4)


def unpooled(x: Array, places: npt.NDArray[np.int64]) -> Array:
    """Write each value to that pixel of its 2×2 square, 0 to 3, where the maximum was; zero elsewhere."""
    y = np.zeros((*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]))
    for index in np.ndindex(x.shape):
        image, channel, row, column = index
        down, right = divmod(int(places[index]), 2)
        y[image, channel, 2 * row + down, 2 * column + right] = x[index]
    return y


def segnet(images: Array, weights: Weights) -> Array:
    """SegNet: VGG16's convolutions by stage, and the same number of them on the way up."""
    x, places = edge_padded(images, 32, minimum=1), []
    for stage, convolutions in enumerate((2, 2, 3, 3, 3)):
        for number in range(convolutions):
            x = block(x, weights, f"encoder.{stage}.{number}")
        places.append(quarters(x).argmax(-1))
        x = quarters(x).max(-1)
    for stage, convolutions in enumerate((3, 3, 3, 2, 1)):
        x = unpooled(x, places[4 - stage])
        for number in range(convolutions):
            x = block(x, weights, f"decoder.{stage}.{number}")
    return convolution(x, weights, "decoder.4.1")[:, :, : images.shape[2], : images.shape[3]]


def segnet_basic(images: Array, weights: Weights) -> Array:
    """SegNet-Basic: four 7×7 convolutions down with ReLU, four up without, and a 1×1 convolution."""
    x, places = edge_padded(images, 16, minimum=1), []
    for stage in range(4):
        x = block(x, weights, f"encoder.{stage}")
        places.append(quarters(x).argmax(-1))
        x = quarters(x).max(-1)
    for stage in range(4):
        x = convolution(unpooled(x, places[3 - stage]), weights, f"decoder.{stage}.0")
        x = batch_norm(x, weights, f"decoder.{stage}.1")
    return convolution(x, weights, "head")[:, :, : images.shape[2], : images.shape[3]]


def unet(images: Array, weights: Weights, *, depth: int, pool: str, upsample: str) -> Array:
    """U-Net with two convolutions per level, skip connections, and three ways each to downsample and upsample."""
    x, skips = edge_padded(images, 2**depth, minimum=2), []
    for level in range(depth + 1):
        x = block(block(x, weights, f"encoder.{level}.0"), weights, f"encoder.{level}.1")
        if level == depth:
            break
        skips.append(x)
        match pool:
            case "max":
                x = quarters(x).max(-1)
            case "avg":
                x = quarters(x).mean(-1)
            case "conv":
                x = block(x, weights, f"pools.{level}", stride=2)
    for level in range(depth):
        match upsample:
            case "transpose":
                # Each pixel becomes a 2×2 square: its channels times a matrix for each of the four places.
                weight = weights[f"upsamples.{level}.weight"]
                y = np.zeros((x.shape[0], weight.shape[1], 2 * x.shape[2], 2 * x.shape[3]))
                for down, right in np.ndindex(2, 2):
                    y[:, :, down::2, right::2] = np.einsum("bihw,io->bohw", x, weight[:, :, down, right])
                x = y + weights[f"upsamples.{level}.bias"][:, None, None]
            case "nearest":
                x = convolution(x.repeat(2, axis=2).repeat(2, axis=3), weights, f"upsamples.{level}.1")
            case "bilinear":
                x = convolution(doubled(doubled(x, 2), 3), weights, f"upsamples.{level}.1")
        x = np.concatenate([skips.pop(), x], axis=1)
        x = block(block(x, weights, f"decoder.{level}.0"), weights, f"decoder.{level}.1")
    return convolution(x, weights, "head")[:, :, : images.shape[2], : images.shape[3]]


def doubled(x: Array, axis: int) -> Array:
    """Linear interpolation at the centres of the halves of each pixel: three parts of it and one of its neighbour."""
    lower = np.concatenate([x.take([0], axis), x.take(range(x.shape[axis] - 1), axis)], axis)
    upper = np.concatenate([x.take(range(1, x.shape[axis]), axis), x.take([-1], axis)], axis)
    both = np.stack([0.75 * x + 0.25 * lower, 0.75 * x + 0.25 * upper], axis=axis + 1)
    return both.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
