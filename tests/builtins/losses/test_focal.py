import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.cross_entropy import CrossEntropyLoss
from segreg.builtins.losses.focal import FocalLoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, pixels, softmax, value


def oracle(case: Case, gamma: float, alpha: float | None = None) -> float:
    losses = []
    for logits, ground_truth in pixels(case):
        probabilities = softmax(np.array([0.0, logits[0]]) if len(logits) == 1 else logits)
        others = np.delete(probabilities, ground_truth).sum()
        weight = 1.0 if alpha is None else [1 - alpha, alpha][ground_truth]
        losses.append(-weight * others**gamma * np.log(probabilities[ground_truth]))
    return mean(losses)


@settings(deadline=None, max_examples=60)
@given(case=cases(), gamma=st.sampled_from([0.0, 0.5, 2.0, 5.0]))
def test_is_cross_entropy_times_a_power_of_the_error(case: Case, gamma: float) -> None:
    assert value(FocalLoss(gamma=gamma), case) == pytest.approx(oracle(case, gamma), rel=1e-9, abs=1e-15)


@settings(deadline=None, max_examples=40)
@given(case=cases(max_classes=2), alpha=st.sampled_from([0.0, 0.25, 0.9]))
def test_alpha_weighs_foreground_against_background(case: Case, alpha: float) -> None:
    assert value(FocalLoss(alpha=alpha), case) == pytest.approx(oracle(case, 2.0, alpha), rel=1e-9, abs=1e-15)


def test_with_gamma_zero_is_cross_entropy() -> None:
    case = draw_case(0, classes=4)
    assert value(FocalLoss(gamma=0.0), case) == pytest.approx(value(CrossEntropyLoss(), case), rel=1e-12)


def test_a_pixel_that_is_almost_right_has_little_weight() -> None:
    # The paper's example: at p = 0.9 and gamma = 2 the loss is a hundredth of cross-entropy.
    case = (np.full((1, 1, 1, 1), np.log(9.0)), np.ones((1, 1, 1), np.int64))
    assert value(FocalLoss(), case) == pytest.approx(value(CrossEntropyLoss(), case) / 100)


def test_alpha_has_no_meaning_for_more_than_two_classes() -> None:
    with pytest.raises(ValueError, match=r"alpha is 0\.25: expected None with 3 classes"):
        value(FocalLoss(alpha=0.25), draw_case(0, classes=3))
