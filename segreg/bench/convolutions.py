"""A model's convolutions, each on its own: their time is a lower bound for the model's."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_convolution = torch.ops.aten.convolution.default
_convolution_backward = torch.ops.aten.convolution_backward.default


@attrs.frozen
class Convolution:
    """The shape of one convolution.

    Args:
        images: Shape of its input.
        weight: Shape of its weight.
        settings: Stride, padding, dilation, whether it is transposed, output padding, groups.
        first: Whether its input is the image, which needs no gradient.
    """

    images: tuple[int, ...]
    weight: tuple[int, ...]
    settings: tuple[Any, ...]
    first: bool

    def forward(self, device: torch.device, dtype: torch.dtype) -> Callable[[], Tensor]:
        """Return a function that computes it once, on random numbers in channels-last memory."""
        images, weight = (_random(shape, device, dtype) for shape in (self.images, self.weight))
        return lambda: _convolution(images, weight, None, *self.settings)

    def step(self, device: torch.device, dtype: torch.dtype) -> Callable[[], Tensor]:
        """Return a function that computes it and its gradients once."""
        images, weight = (_random(shape, device, dtype) for shape in (self.images, self.weight))
        gradient = torch.randn_like(_convolution(images, weight, None, *self.settings))

        def run() -> Tensor:
            output: Tensor = _convolution(images, weight, None, *self.settings)
            _convolution_backward(gradient, images, weight, None, *self.settings, [not self.first, True, False])
            return output

        return run


def convolutions(model: nn.Module, shape: tuple[int, int, int, int]) -> Counter[Convolution]:
    """Return the convolutions that a model computes for images of a shape, with how often each is computed.

    Args:
        model: A model on the device `meta`: its weights do not matter.
        shape: Shape of the images, [B, C, H, W].
    """
    recorder = _Recorder()
    with torch.no_grad(), recorder:
        model(torch.empty(shape, device="meta"))
    return Counter(recorder.found)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Convolution] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        if function is _convolution:
            images, weight, _, *settings = arguments
            frozen = tuple(tuple(each) if isinstance(each, list) else each for each in settings)
            self.found.append(Convolution(tuple(images.shape), tuple(weight.shape), frozen, first=not self.found))
        return function(*arguments, **(options or {}))


def _random(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, device=device).to(dtype, memory_format=torch.channels_last)
