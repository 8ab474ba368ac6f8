import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.jaccard import JaccardLoss
from tests.builtins.losses.cases import Case, cases, mean, overlaps, value


def oracle(case: Case, smooth: float) -> float:
    return mean([1 - (tp + smooth) / (tp + fp + fn + smooth) for tp, fp, fn in overlaps(case)])


@settings(deadline=None, max_examples=60)
@given(case=cases(), smooth=st.sampled_from([1e-3, 1.0, 50.0]))
def test_is_one_minus_intersection_over_union_averaged_over_images_and_classes(case: Case, smooth: float) -> None:
    assert value(JaccardLoss(smooth=smooth), case) == pytest.approx(oracle(case, smooth), rel=1e-9, abs=1e-12)


def test_of_a_hard_mask_is_one_minus_the_iou() -> None:
    # 4 pixels predicted, 2 true, 1 of them found: 1 / 5, and (1 + 1) / (5 + 1) smoothed.
    logits = 1e3 * np.array([[[[1.0, 1, 1, 1, -1, -1]]]])
    target = np.array([[[0, 0, 0, 1, 1, 0]]])
    assert value(JaccardLoss(), (logits, target)) == pytest.approx(1 - 2 / 6)
