"""The transforms of `torch.func` over the architectures, against autograd and loops."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, stack_module_state, vmap

import segreg
from segreg.builtins.architectures.blocks import max_unpool
from tests.builtins.architectures.test_contract import NAMES, images

# Of torch, over its own transforms.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

every_name = pytest.mark.parametrize("name", NAMES)


def model_of(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return segreg.build(name, width=2).double().eval()


def loss(model: nn.Module, weights: dict[str, Tensor], batch: Tensor) -> Tensor:
    logits: Tensor = functional_call(model, weights, (batch,))
    return logits.square().mean()


@every_name
def test_grad_is_the_gradient_of_autograd(name: str) -> None:
    model, batch = model_of(name), images(2, 3, 32, 40).double()
    weights = dict(model.named_parameters())
    found = grad(lambda each: loss(model, each, batch))(weights)
    expected = torch.autograd.grad(loss(model, weights, batch), list(weights.values()))
    torch.testing.assert_close(list(found.values()), list(expected), rtol=0, atol=0)


@every_name
def test_gradients_of_single_images_are_those_of_a_loop(name: str) -> None:
    model, batch = model_of(name), images(3, 1, 3, 32, 40).double()
    weights = {key: value.detach() for key, value in model.named_parameters()}
    gradient = grad(lambda each, image: loss(model, each, image))
    found = vmap(gradient, in_dims=(None, 0))(weights, batch)
    for index, image in enumerate(batch):
        for key, expected in gradient(weights, image).items():
            torch.testing.assert_close(found[key][index], expected)


@every_name
def test_an_ensemble_is_the_same_as_its_models(name: str) -> None:
    models, batch = [model_of(name, seed) for seed in range(3)], images(2, 3, 32, 40).double()
    stacked = vmap(lambda weights, buffers: functional_call(models[0], (weights, buffers), (batch,)))
    found = stacked(*stack_module_state(models))
    for logits, model in zip(found, models, strict=True):
        torch.testing.assert_close(logits, model(batch))


@every_name
def test_jvp_agrees_with_the_gradient(name: str) -> None:
    model, batch = model_of(name), images(2, 3, 32, 40).double()
    direction = images(2, 3, 32, 40, seed=1).double()
    _, along = jvp(lambda each: model(each).square().mean(), (batch,), (direction,))
    slope = grad(lambda each: model(each).square().mean())(batch)
    torch.testing.assert_close(along, (slope * direction).sum())


def test_unpooling_has_derivatives_of_every_kind() -> None:
    _, positions = F.max_pool2d(images(2, 3, 4, 6), 2, return_indices=True)
    features = images(2, 3, 2, 3, seed=1).double().requires_grad_()

    def unpool(each: Tensor) -> Tensor:
        return max_unpool(each, positions)

    assert torch.autograd.gradcheck(unpool, features, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(unpool, features, check_fwd_over_rev=True, check_batched_grad=True)
    assert torch.equal(jacfwd(unpool)(features), jacrev(unpool)(features))


@pytest.mark.parametrize(("of_features", "of_positions"), [(0, 0), (2, 3), (-1, 0), (None, 0), (1, None)])
def test_unpooling_maps_over_any_dimension(of_features: int | None, of_positions: int | None) -> None:
    number = 4
    features = images(number, 2, 3, 2, 3)
    _, positions = F.max_pool2d(images(number, 2, 3, 4, 6, seed=1).flatten(0, 1), 2, return_indices=True)
    positions = positions.unflatten(0, (number, 2))
    expected = torch.stack(
        [
            max_unpool(features[0 if of_features is None else n], positions[0 if of_positions is None else n])
            for n in range(number)
        ]
    )
    inputs = [
        each[0] if dim is None else each.movedim(0, dim)
        for each, dim in ((features, of_features), (positions, of_positions))
    ]
    assert torch.equal(vmap(max_unpool, in_dims=(of_features, of_positions))(*inputs), expected)
