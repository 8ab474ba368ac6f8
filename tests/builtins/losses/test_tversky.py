import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.dice import DiceLoss
from segreg.builtins.losses.jaccard import JaccardLoss
from segreg.builtins.losses.tversky import TverskyLoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, overlaps, value

weights = st.sampled_from([0.0, 0.3, 0.7, 2.0])


def oracle(case: Case, alpha: float, beta: float, smooth: float) -> float:
    return mean([1 - (tp + smooth) / (tp + alpha * fp + beta * fn + smooth) for tp, fp, fn in overlaps(case)])


@settings(deadline=None, max_examples=60)
@given(case=cases(), alpha=weights, beta=weights, smooth=st.sampled_from([1e-3, 1.0]))
def test_is_one_minus_the_tversky_index(case: Case, alpha: float, beta: float, smooth: float) -> None:
    loss = TverskyLoss(alpha=alpha, beta=beta, smooth=smooth)
    assert value(loss, case) == pytest.approx(oracle(case, alpha, beta, smooth), rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(case=cases())
def test_has_dice_and_jaccard_as_special_cases(case: Case) -> None:
    dice = TverskyLoss(alpha=0.5, beta=0.5, smooth=1.0)
    assert value(dice, case) == pytest.approx(value(DiceLoss(smooth=2.0), case), rel=1e-12)
    jaccard = TverskyLoss(alpha=1.0, beta=1.0)
    assert value(jaccard, case) == pytest.approx(value(JaccardLoss(), case), rel=1e-12)


def test_alpha_weighs_false_positives_and_beta_false_negatives() -> None:
    logits, target = draw_case(0, ignored=0)
    all_found = (np.full_like(logits, 1e3), target)
    nothing_found = (np.full_like(logits, -1e3), target)
    assert value(TverskyLoss(alpha=0.0, beta=1.0), all_found) == 0
    assert value(TverskyLoss(alpha=1.0, beta=0.0), nothing_found) == 0
    assert value(TverskyLoss(), nothing_found) > value(TverskyLoss(beta=0.3), nothing_found)
