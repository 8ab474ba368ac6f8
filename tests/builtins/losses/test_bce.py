import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.bce import BCELoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, pixels, value


def oracle(case: Case, pos_weight: float = 1.0) -> float:
    losses = []
    for logits, ground_truth in pixels(case):
        for index, logit in enumerate(logits):
            is_class = ground_truth == (1 if len(logits) == 1 else index)
            losses.append(pos_weight * np.log1p(np.exp(-logit)) if is_class else np.log1p(np.exp(logit)))
    return mean(losses)


@settings(deadline=None, max_examples=60)
@given(case=cases(), pos_weight=st.sampled_from([1.0, 0.25, 7.5]))
def test_is_the_mean_of_sigmoid_cross_entropies(case: Case, pos_weight: float) -> None:
    assert value(BCELoss(pos_weight=pos_weight), case) == pytest.approx(oracle(case, pos_weight), rel=1e-9)


def test_pos_weight_leaves_the_background_alone() -> None:
    logits, target = draw_case(0, ignored=0)
    background = (logits, np.zeros_like(target))
    assert value(BCELoss(pos_weight=5.0), background) == value(BCELoss(), background)


def test_probability_of_a_half_costs_log_two() -> None:
    loss = BCELoss()(torch.zeros(1, 1, 3, 3), torch.ones(1, 3, 3, dtype=torch.int64))
    assert loss.item() == pytest.approx(np.log(2))
