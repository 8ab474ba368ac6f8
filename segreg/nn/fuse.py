"""Prepares a model for prediction: the same function in fewer operations."""

import copy
from collections.abc import Iterable
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from segreg.support.device import Precision, uses_bf16

Model = TypeVar("Model", bound=nn.Module)


def ready_to_predict(model: Model, device: torch.device, precision: Precision) -> Model:
    """Return a copy in evaluation mode that gives the same logits, except for rounding, in less time.

    Where an `nn.Sequential` is called as a whole, batch normalisation that directly follows a convolution is folded
    into the convolution's weights, and on a CPU a ReLU that follows is computed in the same pass over memory, with
    weights that already have the right precision. Code that calls the layers one by one finds them unchanged. Layers of
    a subclass, and layers with hooks, are not fused.

    Args:
        model: A model on the device.
        device: The only device on which it will predict.
        precision: The precision of its convolutions.

    Reference: Jacob et al., Quantization and Training of Neural Networks, 2018, arXiv:1712.05877, section 3.2.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    dtype = torch.bfloat16 if uses_bf16(device, precision) else torch.float32
    for block in model.modules():
        # With another forward, it is unknown which layer follows which.
        if isinstance(block, nn.Sequential) and block.forward == nn.Sequential.forward.__get__(block):
            steps = _fewer(block._modules.values(), dtype)
            block.forward = nn.Sequential(*steps).forward  # type: ignore[method-assign]
    return model


def _fewer(layers: Iterable[nn.Module | None], dtype: torch.dtype) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for layer in cast(Iterable[nn.Module], layers):
        last = steps[-1] if steps else None
        if _is_plain(last, nn.Conv2d) and _is_plain(layer, nn.BatchNorm2d):
            steps[-1] = fuse_conv_bn_eval(cast(nn.Conv2d, last), cast(nn.BatchNorm2d, layer))
        elif _is_plain(last, nn.Conv2d) and _is_plain(layer, nn.ReLU) and _fits(cast(nn.Conv2d, last), dtype):
            steps[-1] = _ConvReLU(cast(nn.Conv2d, last), dtype)
        else:
            steps.append(layer)
    return steps


def _is_plain(layer: nn.Module | None, kind: type[nn.Module]) -> bool:
    """Whether a layer is exactly of this class, has any statistics that it needs, and has no hooks."""
    return (
        layer is not None
        and type(layer) is kind
        and not is_parametrized(layer)
        and not layer._forward_pre_hooks
        and not layer._forward_hooks
        and getattr(layer, "running_mean", 0) is not None
    )


class _ConvReLU(nn.Module):
    """A convolution and ReLU in one pass, as torch's compiler also fuses them on a CPU."""

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = conv
        self.weight = conv.weight.to(dtype)
        self.bias = None if conv.bias is None else conv.bias.to(dtype)

    def forward(self, images: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype
        # A model may disable autocast for a part of itself.
        if dtype != self.weight.dtype or images.ndim != 4:
            return F.relu(self.conv(images))
        conv = self.conv
        logits: Tensor = torch.ops.mkldnn._convolution_pointwise(
            images.to(dtype),
            self.weight,
            self.bias,
            conv.padding,
            conv.stride,
            conv.dilation,
            conv.groups,
            "relu",
            [],
            "",
        )
        return logits


def _fits(conv: nn.Conv2d, dtype: torch.dtype) -> bool:
    """Whether torch can fuse a convolution and ReLU here."""
    return (
        conv.weight.device.type == "cpu"
        and conv.weight.dtype == torch.float32
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and (dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    )
