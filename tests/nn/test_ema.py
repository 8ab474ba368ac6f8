"""The moving average of weights, against NumPy."""

import numpy as np
import torch
from torch import nn

from segreg.nn.ema import EMA
from segreg.nn.normalized import Normalized


def model() -> Normalized:
    torch.manual_seed(0)
    return Normalized(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), "none")


def step(trained: Normalized, number: int) -> None:
    """Change weights and running statistics, as a step of training would."""
    generator = torch.Generator().manual_seed(number)
    for parameter in trained.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)
    trained.train()(torch.rand(2, 1, 3, 3, generator=generator))


def test_the_average_matches_the_weighted_mean_in_numpy() -> None:
    trained = model()
    average = EMA(trained)
    expected = {name: tensor.double().numpy().copy() for name, tensor in trained.state_dict().items()}
    decays = []
    for number in range(1, 501):
        step(trained, number)
        average.update(trained)
        decays.append(min(0.98, (1 + number) / (10 + number)))
        for name, tensor in trained.state_dict().items():
            expected[name] = decays[-1] * expected[name] + (1 - decays[-1]) * tensor.double().numpy()
    assert decays[0] < 0.2
    assert decays[-1] == 0.98
    state = average.model.state_dict()
    for name in ("model.0.weight", "model.0.bias", "model.1.weight", "model.1.running_mean", "model.1.running_var"):
        np.testing.assert_allclose(state[name].numpy(), expected[name], rtol=1e-3, atol=1e-4)
    assert int(state["model.1.num_batches_tracked"]) == 500


def test_the_model_is_unchanged_and_the_average_takes_no_gradient() -> None:
    trained = model()
    average = EMA(trained)
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    average.model.model[0].weight.data.zero_()
    average.update(trained)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())
    assert not any(parameter.requires_grad for parameter in average.model.parameters())


def test_a_restored_average_continues_identically() -> None:
    trained = model()
    unbroken, first = EMA(trained), EMA(trained)
    for number in range(3):
        step(trained, number)
        unbroken.update(trained)
        first.update(trained)
    second = EMA(model())
    second.load_state_dict(first.state_dict())
    step(trained, 4)
    unbroken.update(trained)
    second.update(trained)
    for name, tensor in unbroken.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
