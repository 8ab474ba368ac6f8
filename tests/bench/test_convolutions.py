"""The convolutions that are found are those of the model's layers."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import segreg
from segreg.bench.convolutions import Convolution, convolutions

CPU = torch.device("cpu")


def layers_called(model: nn.Module, images: Tensor) -> Counter[Any]:
    """The layer calls that forward hooks see."""
    seen: Counter[Any] = Counter()

    def look(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        transposed = isinstance(layer, nn.ConvTranspose2d)
        seen[tuple(inputs[0].shape), tuple(layer.weight.shape), transposed, tuple(layer.stride)] += 1

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(look)
    model(images)
    return seen


@pytest.mark.parametrize(
    "name", ["unet:width=4", "unet-upsample:width=4,depth=2", "unet-convpool:width=4", "segnet:width=4"]
)
def test_the_convolutions_found_are_those_of_the_layers(name: str) -> None:
    with torch.device("meta"):
        model = segreg.build(name)
    found = convolutions(model, (2, 3, 32, 64))
    shapes: Counter[Any] = Counter()
    for each, count in found.items():
        shapes[each.images, each.weight, each.settings[3], each.settings[0]] += count
    assert shapes == layers_called(model, torch.empty(2, 3, 32, 64, device="meta"))
    assert [each.images[1] for each in found if each.first] == [3]


@pytest.mark.parametrize("first", [True, False])
def test_a_convolution_on_its_own_does_the_work_of_its_layer(first: bool) -> None:
    with torch.device("meta"):
        layer = nn.Conv2d(4, 6, 3, stride=2, padding=1)
    [alone] = convolutions(layer, (2, 4, 9, 8))
    assert alone.first
    alone = Convolution(alone.images, alone.weight, alone.settings, first=first)
    assert alone.forward(CPU, torch.float32)().shape == (2, 6, 5, 4)
    forward = 2 * (2 * 6 * 5 * 4) * (4 * 3 * 3)
    run, step = alone.forward(CPU, torch.float32), alone.step(CPU, torch.float32)
    for function, times in ((run, 1), (step, 2 if first else 3)):
        with FlopCounterMode(display=False) as counter:
            function()
        assert counter.get_total_flops() == times * forward
