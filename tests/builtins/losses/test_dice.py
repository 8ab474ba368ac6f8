import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.dice import DiceLoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, overlaps, value

SURE = 1e3


def oracle(case: Case, smooth: float) -> float:
    return mean([1 - (2 * tp + smooth) / (2 * tp + fp + fn + smooth) for tp, fp, fn in overlaps(case)])


@settings(deadline=None, max_examples=60)
@given(case=cases(), smooth=st.sampled_from([1e-3, 1.0, 50.0]))
def test_is_one_minus_the_overlap_averaged_over_images_and_classes(case: Case, smooth: float) -> None:
    assert value(DiceLoss(smooth=smooth), case) == pytest.approx(oracle(case, smooth), rel=1e-9, abs=1e-12)


def test_of_a_hard_mask_is_one_minus_the_dice_score() -> None:
    # 4 pixels predicted, 2 true, 1 of them found: 2 * 1 / (4 + 2) = 1/3, and (2 + 1) / (6 + 1) smoothed.
    logits = SURE * np.array([[[[1.0, 1, 1, 1, -1, -1]]]])
    target = np.array([[[0, 0, 0, 1, 1, 0]]])
    assert value(DiceLoss(), (logits, target)) == pytest.approx(1 - 3 / 7)


def test_an_empty_mask_predicted_empty_costs_nothing() -> None:
    logits = np.full((1, 1, 4, 4), -SURE)
    assert value(DiceLoss(), (logits, np.zeros((1, 4, 4), np.int64))) == 0


def test_a_false_alarm_on_an_empty_mask_costs() -> None:
    logits = np.full((1, 1, 4, 4), -SURE)
    logits[..., 0, :3] = SURE
    assert value(DiceLoss(), (logits, np.zeros((1, 4, 4), np.int64))) == pytest.approx(3 / 4)


def test_classes_absent_from_an_image_are_left_out_of_the_mean() -> None:
    logits, target = draw_case(0, batch=1, classes=2, ignored=0)
    never_predicted = np.full((1, 3, *logits.shape[2:]), -SURE)
    wider = np.concatenate([logits, never_predicted], axis=1)
    assert value(DiceLoss(), (wider, target)) == pytest.approx(value(DiceLoss(), (logits, target)), rel=1e-12)


def test_predicting_a_class_absent_from_an_image_costs_anyway() -> None:
    target = np.zeros((1, 3, 3), np.int64)
    right = np.stack([np.full((1, 3, 3), SURE), np.zeros((1, 3, 3)), np.zeros((1, 3, 3))], axis=1)
    wrong = right.copy()
    wrong[0, 2, 0, 0] = 2 * SURE
    assert value(DiceLoss(), (right, target)) == 0
    assert value(DiceLoss(), (wrong, target)) > 0.05
