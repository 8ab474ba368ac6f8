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
    ready = ready_to_predict(model, "fp32")
    images = torch.rand(2, 3, 33, 47)
    with torch.no_grad():
        got, expected = ready(images), model.eval()(images)
    # The tolerance that docs/performance.md states.
    assert off(got, expected) <= 1e-3
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in ready.modules())
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "segnet"])
def test_bfloat16_weights_are_those_that_autocast_would_make(name: str) -> None:
    model = trained_a_little(name)
    ready = ready_to_predict(model, "bf16")
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = ready(images).float()
        expected = ready_to_predict(model, "fp32")(images).float()
    assert all(layer.weight.dtype == torch.bfloat16 for layer in ready.modules() if isinstance(layer, nn.Conv2d))
    assert off(got, expected) <= 0.02


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
        torch.testing.assert_close(ready_to_predict(model, "fp32")(images), model(images))
