import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.focal_tversky import FocalTverskyLoss
from segreg.builtins.losses.tversky import TverskyLoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, overlaps, value

gammas = st.sampled_from([1.0, 4 / 3, 3.0])


def oracle(case: Case, alpha: float, beta: float, gamma: float) -> float:
    tversky = [1 - (tp + 1) / (tp + alpha * fp + beta * fn + 1) for tp, fp, fn in overlaps(case)]
    return mean([loss ** (1 / gamma) if loss > 1e-6 else loss * 1e-6 ** (1 / gamma - 1) for loss in tversky])


@settings(deadline=None, max_examples=60)
@given(case=cases(), gamma=gammas)
def test_is_the_mean_of_the_roots_of_tversky_losses(case: Case, gamma: float) -> None:
    loss = FocalTverskyLoss(alpha=0.4, beta=0.8, gamma=gamma)
    assert value(loss, case) == pytest.approx(oracle(case, 0.4, 0.8, gamma), rel=1e-8, abs=1e-9)


def test_with_gamma_one_is_tversky() -> None:
    case = draw_case(0, classes=3)
    assert value(FocalTverskyLoss(gamma=1.0), case) == pytest.approx(value(TverskyLoss(), case), rel=1e-12)


@pytest.mark.parametrize("gamma", [4 / 3, 3.0])
def test_falls_continuously_to_zero_with_a_finite_slope(gamma: float) -> None:
    """Past the point where the root becomes a line: 1 - p of the one pixel falls from 1e-3 to 1e-12."""
    misses = torch.logspace(-3, -12, 200, dtype=torch.float64)
    slopes, values = [], []
    for miss in misses:
        logits = torch.log((1 - miss) / miss).reshape(1, 1, 1, 1).requires_grad_()
        loss = FocalTverskyLoss(gamma=gamma)(logits, torch.ones(1, 1, 1, dtype=torch.int64))
        (slope,) = torch.autograd.grad(loss, logits)
        values.append(loss.item())
        slopes.append(slope.item())
    steps = np.diff(values)
    assert (steps < 0).all()
    assert np.abs(steps / values[:-1]).max() < 0.12  # a factor of 1.11 in the miss, and no jump at the joint
    assert np.isfinite(slopes).all()
    assert values[-1] < 1e-6


def test_is_exactly_zero_with_zero_gradient_for_a_perfect_prediction() -> None:
    logits = torch.full((1, 1, 2, 2), 200.0, requires_grad=True)
    loss = FocalTverskyLoss(gamma=3.0)(logits, torch.ones(1, 2, 2, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
