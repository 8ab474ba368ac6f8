"""What the augmentations share: their options, who is chosen, and matrices and fields of random numbers."""

import math

import torch
from torch import Tensor

from segreg.options import check_option

# Those of MurmurHash3's finalizer, whose every output bit depends on every input bit, and the golden ratio, as int32.
_MIX = (-0x7A143595, -0x3D4D51CB)
_GOLDEN = -0x61C88647


def check_probability(p: float) -> None:
    """Raise `ValueError` unless the option `p` is a probability."""
    check_option("p", p, 0 <= p <= 1, "a probability, 0 to 1")


def between(u: Tensor, low: float, high: float) -> Tensor:
    """Map uniform numbers in [0, 1) to an interval."""
    return low + (high - low) * u


def identity(images: int) -> Tensor:
    """Return a matrix per image that moves nothing, float32 [B, 3, 3]."""
    return torch.eye(3).repeat(images, 1, 1)


def flipped(u: Tensor, axis: int, p: float) -> Tensor:
    """Return matrices that flip a share `p` of the images along x (0) or y (1), float32 [B, 3, 3]."""
    matrix = identity(len(u))
    matrix[u[:, 0] < p, axis, axis] = -1
    return matrix


def per_image(values: Tensor) -> Tensor:
    """Return one value per image, [B], in a shape that broadcasts over [B, C, H, W]."""
    return values[:, None, None, None]


def normal_field(u: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal numbers that follow from one uniform number per image.

    They are hashes of that number and of their index, so that no generator has a state.

    Shapes:
        u: float32 [B] in [0, 1);  returns: float32 [B, *shape].
    """
    half = (math.prod(shape) + 1) // 2
    key = _hashed((u * 2**24).int())
    index = torch.arange(2 * half, device=u.device, dtype=torch.int32)
    bits = _hashed(_hashed(index * _GOLDEN) + key[:, None])
    # 24 bits each, never 0.
    uniform = ((bits >> 8) & 0xFFFFFF).float().add_(0.5).div_(2**24)
    radius, angle = (-2 * uniform[:, :half].log()).sqrt(), 2 * math.pi * uniform[:, half:]
    values = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)
    return values[:, : math.prod(shape)].reshape(len(u), *shape)


def _hashed(bits: Tensor) -> Tensor:
    """Return well-mixed bits, int32."""
    bits = (bits ^ (bits >> 16 & 0xFFFF)) * _MIX[0]
    bits = (bits ^ (bits >> 13 & 0x7FFFF)) * _MIX[1]
    return bits ^ (bits >> 16 & 0xFFFF)
