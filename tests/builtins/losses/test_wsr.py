import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.bce import BCELoss
from segreg.builtins.losses.wsr import WSRLoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, sigmoid, value


def regularisation(case: Case, contiguity: float) -> float:
    logits, target = case
    sparse, across, down = [], [], []
    for image, index, row, column in np.ndindex(logits.shape):
        if target[image, row, column] == 255:
            continue
        p = sigmoid(logits[image, index])
        sparse.append(p[row, column])
        if column and target[image, row, column - 1] != 255:
            across.append(abs(p[row, column] - p[row, column - 1]))
        if row and target[image, row - 1, column] != 255:
            down.append(abs(p[row, column] - p[row - 1, column]))
    return mean(sparse) + contiguity * (mean(across) + mean(down))


@settings(deadline=None, max_examples=60)
@given(case=cases(), weight=st.sampled_from([0.1, 3.0]), contiguity=st.sampled_from([0.5, 2.5]))
def test_adds_sparsity_and_total_variation_to_bce(case: Case, weight: float, contiguity: float) -> None:
    expected = value(BCELoss(), case) + weight * regularisation(case, contiguity)
    assert value(WSRLoss(weight=weight, contiguity=contiguity), case) == pytest.approx(expected, rel=1e-9)


def test_an_ignored_neighbour_does_not_count_as_an_edge() -> None:
    logits, target = draw_case(0, ignored=0)
    target[:, 2] = 255
    other = logits.copy()
    other[:, :, 2] += 5
    assert value(WSRLoss(), (other, target)) == pytest.approx(value(WSRLoss(), (logits, target)), rel=1e-12)


@pytest.mark.parametrize("weight", [1.25, 2.0, 4.0])
def test_above_a_weight_of_one_the_best_foreground_is_one_over_the_weight(weight: float) -> None:
    logits = torch.full((1, 1, 1, 1), float(np.log(1 / (weight - 1))), dtype=torch.float64, requires_grad=True)
    WSRLoss(weight=weight)(logits, torch.ones(1, 1, 1, dtype=torch.int64)).backward()
    assert torch.sigmoid(logits).item() == pytest.approx(1 / weight)
    assert logits.grad.item() == pytest.approx(0, abs=1e-12)
