"""The optimizers take the steps of torch's, bit by bit, and those of their papers' algorithms."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import segreg
from tests.trial import call

STEPS = 12


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3, 3, 3), (4,), (5, 4))]


def gradients(dtype: torch.dtype = torch.float32) -> Iterator[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        yield [torch.randn(each.shape, generator=generator).to(dtype) for each in parameters()]


def trained(optimizer: torch.optim.Optimizer, params: list[nn.Parameter]) -> list[torch.Tensor]:
    """The weights after some steps, whose learning rate falls."""
    rate = optimizer.param_groups[0]["lr"]
    for step, given in enumerate(gradients(params[0].dtype)):
        optimizer.param_groups[0]["lr"] = rate / (1 + step)
        for parameter, gradient in zip(params, given, strict=True):
            parameter.grad = gradient
        optimizer.step()
    return [each.detach() for each in params]


OF_TORCH: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw": lambda params: torch.optim.AdamW(params, lr=1e-3, weight_decay=1e-2, fused=True),
    "adamw:lr=0.1,weight_decay=0.5,betas=[0.8,0.95],eps=1e-3": lambda params: torch.optim.AdamW(
        params, lr=0.1, weight_decay=0.5, betas=(0.8, 0.95), eps=1e-3, fused=True
    ),
    "adam": lambda params: torch.optim.Adam(params, lr=1e-3, fused=True),
    "adam:lr=0.1,weight_decay=0.5,betas=[0.8,0.95],eps=1e-3": lambda params: torch.optim.Adam(
        params, lr=0.1, weight_decay=0.5, betas=(0.8, 0.95), eps=1e-3, fused=True
    ),
    "sgd": lambda params: torch.optim.SGD(params, lr=1e-2, weight_decay=5e-4, momentum=0.9),
    "sgd:momentum=0,weight_decay=0": lambda params: torch.optim.SGD(params, lr=1e-2),
    "sgd:lr=0.05,nesterov=true": lambda params: torch.optim.SGD(
        params, lr=0.05, weight_decay=5e-4, momentum=0.9, nesterov=True
    ),
}


@pytest.mark.parametrize("name", OF_TORCH)
def test_the_steps_are_those_of_torch(name: str) -> None:
    mine, theirs = parameters(), parameters()
    expected = trained(OF_TORCH[name](theirs), theirs)
    got = trained(segreg.optimizer(name, mine), mine)
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
    assert not torch.equal(got[0], parameters()[0])


def algorithm(name: str, weights: np.ndarray, given: list[np.ndarray]) -> np.ndarray:
    """The algorithm of the paper, in float64, with the default options."""
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for number, gradient in enumerate(given, 1):
        if name == "sgd":
            first = 0.9 * first + gradient + 5e-4 * weights
            weights = weights - 1e-2 / number * first
            continue
        lr = 1e-3 / number
        if name == "adamw":
            weights = weights - lr * 1e-2 * weights
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = first / (1 - 0.9**number) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
        weights = weights - lr * step
    return weights


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_the_steps_are_those_of_the_paper(name: str) -> None:
    params = [nn.Parameter(each.detach().double()) for each in parameters()]
    start = [each.detach().numpy().copy() for each in params]
    given = [[each.numpy() for each in step] for step in gradients(torch.float64)]
    got = trained(segreg.optimizer(name, params), params)
    for index, weights in enumerate(start):
        expected = algorithm(name, weights, [step[index] for step in given])
        assert got[index].numpy() == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("adamw", {"lr": 1e-3, "weight_decay": 1e-2}),
        ("adam", {"lr": 1e-3, "weight_decay": 0.0}),
        ("sgd", {"lr": 1e-2, "weight_decay": 5e-4, "momentum": 0.9, "nesterov": False}),
    ],
)
def test_each_has_defaults_of_its_own(name: str, defaults: dict[str, Any]) -> None:
    [group] = segreg.optimizer(name, parameters()).param_groups
    assert {option: group[option] for option in defaults} == defaults


@pytest.mark.parametrize(("name", "on_a_cpu"), [("adamw", True), ("adam", True), ("sgd", False)])
def test_it_is_fused_where_torch_can_do_that(name: str, on_a_cpu: bool) -> None:
    def fused(*params: nn.Parameter) -> bool:
        return bool(segreg.optimizer(name, iter(params)).param_groups[0]["fused"])

    here, elsewhere = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, device="meta"))
    assert fused(here) == on_a_cpu
    assert not fused(elsewhere)
    assert not fused(here, elsewhere)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_it_is_fused_on_a_gpu(name: str) -> None:
    [group] = segreg.optimizer(name, [nn.Parameter(torch.zeros(2, device="cuda"))]).param_groups
    assert group["fused"]


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_groups_have_options_of_their_own(name: str) -> None:
    params = parameters()
    groups = [{"params": iter(params[:2])}, {"params": params[2:], "lr": 0.5, "weight_decay": 0.25}]
    first, second = segreg.optimizer(name, groups, lr=0.125).param_groups
    assert (first["lr"], second["lr"], second["weight_decay"]) == (0.125, 0.5, 0.25)
    assert [len(first["params"]), len(second["params"])] == [2, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adamw:lr=0", "adamw: lr is 0.0: expected a finite number above 0"),
        ("sgd:lr=-1", "sgd: lr is -1.0: expected a finite number above 0"),
        ("adam:lr=nan", "adam: lr is nan: expected a finite number above 0"),
        ("sgd:weight_decay=-1", "sgd: weight_decay is -1.0: expected a finite number, 0 or more"),
        ("adamw:betas=[0.9,1]", "adamw: betas is (0.9, 1.0): expected two numbers, 0 or more and below 1"),
        ("adamw:betas=0.9", "adamw: betas is '0.9': expected tuple[float, float]"),
        ("adam:eps=0", "adam: eps is 0.0: expected a finite number above 0"),
        ("sgd:momentum=1", "sgd: momentum is 1.0: expected a number, 0 or more and below 1"),
        ("sgd:momentum=0,nesterov=true", "sgd: nesterov is True: expected False without momentum"),
        ("adamw:momentum=0.9", "adamw has no option 'momentum'; available: lr, weight_decay, betas, eps"),
        ("adamw:params=1", "adamw has no option 'params'; available: lr, weight_decay, betas, eps"),
        ("adamv", "unknown optimizer 'adamv' (did you mean 'adam'?); available: adamw, adam, sgd"),
    ],
)
def test_a_mistake_is_a_one_line_error(name: str, message: str, tmp_path: Path) -> None:
    status, out, err = call("train", "unet:width=4", "--optimizer", name, "--out", str(tmp_path / "run"))
    assert (status, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1
