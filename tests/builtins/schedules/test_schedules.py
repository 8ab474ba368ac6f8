"""The schedules equal their formulas, and those of torch that do the same."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
)

import segreg
from tests.trial import call

LENGTHS = (11, 12, 40, 100, 997)


def factors(name: str, steps: int) -> list[float]:
    schedule = segreg.schedule(name)
    return [schedule(step, steps) for step in range(steps)]


def of_torch(make: Callable[[Optimizer], LRScheduler], steps: int, lr: float = 1.0) -> list[float]:
    """The learning rates of a training with a schedule of torch."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize(
    ("name", "share", "start", "end"),
    [("onecycle", 0.1, 25.0, 1e4), ("onecycle:warmup=0.3,start=10,end=100", 0.3, 10.0, 100.0)],
)
def test_onecycle_is_that_of_torch(name: str, share: float, start: float, end: float, steps: int) -> None:
    for lr in (1.0, 1e-3, 0.37):
        expected = of_torch(
            lambda optimizer, lr=lr: OneCycleLR(
                optimizer, lr, steps, pct_start=share, div_factor=start, final_div_factor=end, cycle_momentum=False
            ),
            steps,
            lr,
        )
        got = [lr * factor for factor in factors(name, steps)]
        assert max(abs(one - other) / other for one, other in zip(got, expected, strict=True)) < 1e-14


@pytest.mark.parametrize("steps", [1, 2, 9, 10])
def test_a_cycle_of_few_steps_is_constant(steps: int) -> None:
    assert factors("onecycle", steps) == [1.0] * steps


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_poly_is_that_of_torch(steps: int, power: float) -> None:
    got = factors(f"poly:power={power}", steps)
    assert got == pytest.approx(of_torch(lambda each: PolynomialLR(each, steps, power), steps), rel=1e-9)
    assert got == pytest.approx([(1 - step / steps) ** power for step in range(steps)], rel=1e-15)


@pytest.mark.parametrize("steps", LENGTHS)
def test_cosine_is_that_of_torch(steps: int) -> None:
    got = factors("cosine", steps)
    assert got == pytest.approx(of_torch(lambda each: CosineAnnealingLR(each, steps), steps), abs=1e-11)
    assert got == pytest.approx([math.cos(math.pi * step / steps / 2) ** 2 for step in range(steps)], rel=1e-9)


@pytest.mark.parametrize("steps", LENGTHS)
def test_a_warm_up_rises_linearly_to_the_full_rate(steps: int) -> None:
    rising = round(0.2 * steps)

    def make(optimizer: Optimizer) -> LRScheduler:
        warm_up = LinearLR(optimizer, 1 / rising, total_iters=rising - 1)
        return SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, steps - rising)], [rising])

    got = factors("cosine:warmup=0.2", steps)
    assert got == pytest.approx(of_torch(make, steps), abs=1e-11)
    assert got[:rising] == pytest.approx([(step + 1) / rising for step in range(rising)], rel=1e-15)
    assert got[rising] == 1
    assert all(one > other for one, other in pairwise(got[rising:]))


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize(
    ("name", "shares", "factor"),
    [("step", (0.5, 0.75), 0.1), ("step:milestones=[0.3,0.6,0.9],factor=0.5", (0.3, 0.6, 0.9), 0.5)],
)
def test_step_is_that_of_torch(name: str, shares: tuple[float, ...], factor: float, steps: int) -> None:
    milestones = [math.ceil(share * steps) for share in shares]
    expected = of_torch(lambda each: MultiStepLR(each, milestones, factor), steps)
    assert factors(name, steps) == pytest.approx(expected, rel=1e-12)


def test_the_milestones_may_be_in_any_order() -> None:
    assert factors("step:milestones=[0.75,0.5]", 40) == factors("step", 40)


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_constant_is_one(steps: int) -> None:
    assert factors("constant", steps) == [1.0] * steps


@pytest.mark.parametrize("name", ["onecycle", "poly", "cosine", "step"])
def test_the_rate_ends_low(name: str) -> None:
    got = factors(name, 1000)
    assert max(got) == pytest.approx(1)
    assert got[-1] <= 0.0101


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onecycle:warmup=0", "onecycle: warmup is 0.0: expected a share of the steps above 0 and below 1"),
        ("onecycle:warmup=1", "onecycle: warmup is 1.0: expected a share of the steps above 0 and below 1"),
        ("onecycle:start=1", "onecycle: start is 1.0: expected a finite number above 1"),
        ("onecycle:end=inf", "onecycle: end is inf: expected a finite number above 1"),
        ("cosine:warmup=1", "cosine: warmup is 1.0: expected a share of the steps, 0 or more and below 1"),
        ("cosine:warmup=nan", "cosine: warmup is nan: expected a share of the steps, 0 or more and below 1"),
        ("poly:power=0", "poly: power is 0.0: expected a finite number above 0"),
        (
            "step:milestones=[0.5,1]",
            "step: milestones is (0.5, 1.0): expected shares of the steps, each above 0 and below 1",
        ),
        ("step:factor=-1", "step: factor is -1.0: expected a finite number above 0"),
        ("step:gamma=0.1", "step has no option 'gamma'; available: milestones, factor"),
        ("cosin", "unknown schedule 'cosin' (did you mean 'cosine'?); available: "),
    ],
)
def test_a_mistake_is_a_one_line_error(name: str, message: str, tmp_path: Path) -> None:
    status, out, err = call("train", "unet:width=4", "--schedule", name, "--out", str(tmp_path / "run"))
    assert (status, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1
