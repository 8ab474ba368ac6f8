"""A model made ready to predict gives the same logits."""

import pytest
import torch
from torch import Tensor, nn

import segreg
from segreg.training.prediction import ready_to_predict

NAMES = [entry.key for entry in segreg.components("architecture") if entry.plugin.distribution == "segreg"]


def trained_a_little(name: str) -> nn.Module:
    """A model whose batch norms have seen pictures and have weights of their own."""
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


def off(got: Tensor, expected: Tensor) -> float:
    """The difference in the mean square, as a share of the spread."""
    return float((got - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize("name", NAMES)
def test_folding_changes_logits_by_rounding_alone(name: str) -> None:
    model = trained_a_little(name)
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    ready = ready_to_predict(model)
    images = torch.rand(2, 3, 33, 47)
    with torch.no_grad():
        got, expected = ready(images), model.eval()(images)
    # The tolerance that docs/performance.md states.
    assert off(got, expected) <= 1e-3
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in ready.modules())
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())


def test_a_sequence_with_a_forward_of_its_own_is_left_alone() -> None:
    class Backwards(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            for layer in reversed(self):
                images = layer(images)
            return images

    model = Backwards(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)).eval()
    nn.init.uniform_(model[1].running_mean)
    images = torch.rand(1, 3, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(ready_to_predict(model)(images), model(images))


class Halving(nn.BatchNorm2d):
    """Does more than its base."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / 2


class Standardised(nn.Conv2d):
    """Has other weights than those that it shows."""

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
    ],
    ids=[
        "norm of a subclass",
        "convolution of a subclass",
        "weight norm",
        "hook",
        "no statistics",
        "no weights",
        "shared",
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
        torch.testing.assert_close(ready_to_predict(model)(images), model.eval()(images))
