"""A model prepared for prediction gives the same logits."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import segreg
from segreg.nn.fuse import ready_to_predict
from segreg.support.device import autocast

CPU = torch.device("cpu")

NAMES = [entry.key for entry in segreg.components("architecture") if entry.plugin.distribution == "segreg"]


def trained_a_little(name: str) -> nn.Module:
    """A model whose batch norms have seen images and have trained weights."""
    torch.manual_seed(0)
    model = segreg.build(f"{name}:width=4" if name.startswith("unet") else name)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
            layer.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 40, 48))
    return model


class Called(TorchDispatchMode):
    """Records the names of torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*arguments, **(options or {}))


def off(got: Tensor, expected: Tensor) -> float:
    """The root mean square difference, relative to the standard deviation."""
    return float((got - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize("name", NAMES)
def test_folding_changes_logits_only_by_rounding(name: str) -> None:
    model = trained_a_little(name)
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    ready = ready_to_predict(model, CPU, "fp32")
    images = torch.rand(2, 3, 33, 47)
    with torch.no_grad(), Called() as called:
        got = ready(images)
    assert "native_batch_norm" not in called.names
    with torch.no_grad():
        expected = model.eval()(images)
    # The tolerance that docs/performance.md states.
    assert off(got, expected) <= 1e-3
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_in_bf16_folding_adds_no_more_error_than_bf16_itself(name: str) -> None:
    model = trained_a_little(name).eval()
    images = torch.rand(2, 3, 33, 47)
    with torch.no_grad():
        exact = model(images)
        with autocast(CPU, "bf16"):
            plain, folded = model(images), ready_to_predict(model, CPU, "bf16")(images)
    assert off(folded, exact) <= 1.5 * off(plain, exact)


def test_a_part_without_autocast_stays_in_float32() -> None:
    class Island(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

        def forward(self, images: Tensor) -> Tensor:
            with torch.autocast("cpu", enabled=False):
                return self.block(images)

    model, images = Island().eval(), torch.rand(2, 3, 9, 9)
    with torch.no_grad(), autocast(CPU, "bf16"):
        torch.testing.assert_close(ready_to_predict(model, CPU, "bf16")(images), model(images))


def test_layers_called_one_by_one_are_unchanged() -> None:
    class Collecting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

        def forward(self, images: Tensor) -> Tensor:
            seen = []
            for layer in self.block:
                images = layer(images)
                seen.append(images.clone())
            return torch.cat(seen, 1)

    model, images = Collecting().eval(), torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(ready_to_predict(model, CPU, "fp32")(images), model(images))


def test_a_sequence_with_its_own_forward_is_left_alone() -> None:
    class Backwards(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            for layer in reversed(self):
                images = layer(images)
            return images

    model = Backwards(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)).eval()
    nn.init.uniform_(model[1].running_mean)
    images = torch.rand(1, 3, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(ready_to_predict(model, CPU, "fp32")(images), model(images))


class Halving(nn.BatchNorm2d):
    """Does more than its base."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / 2


class Standardised(nn.Conv2d):
    """Computes with weights other than its attribute."""

    def forward(self, images: Tensor) -> Tensor:
        return self._conv_forward(images, self.weight - self.weight.mean(), self.bias)


def hooked() -> nn.Conv2d:
    layer = nn.Conv2d(3, 3, 3)
    layer.register_forward_hook(lambda layer, inputs, output: output.square())
    return layer


SHARED = nn.SiLU()


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 3, 3), Halving(3)),
        nn.Sequential(Standardised(3, 3, 3), nn.BatchNorm2d(3)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3)), nn.BatchNorm2d(3)),
        nn.Sequential(hooked(), nn.BatchNorm2d(3)),
        nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)),
        nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, affine=False)),
        nn.Sequential(nn.Conv2d(3, 3, 3), SHARED, nn.Conv2d(3, 3, 3), SHARED, nn.BatchNorm2d(3)),
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 6, 3, padding="same", groups=3, dilation=2), nn.BatchNorm2d(6), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 6, 3, (2, 1), (1, 0), (1, 2), groups=3, bias=False), nn.ReLU()),
    ],
    ids=[
        "norm of a subclass",
        "convolution of a subclass",
        "weight norm",
        "hook",
        "no statistics",
        "no weights",
        "shared",
        "reflection",
        "padding by name",
        "strides",
    ],
)
def test_what_only_looks_like_a_convolution_and_a_norm_stays_right(model: nn.Module) -> None:
    torch.manual_seed(0)
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            layer.running_mean.uniform_()
            layer.running_var.uniform_(0.5, 2)
    images = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(ready_to_predict(model, CPU, "fp32")(images), model.eval()(images))
