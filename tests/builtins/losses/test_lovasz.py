import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings

from segreg.builtins.losses.lovasz import LovaszLoss
from tests.builtins.losses.cases import Case, cases, draw_case, mean, pixels, softmax, value


def jaccard_loss(wrong: set[int], foreground: set[int]) -> float:
    """The Jaccard loss when exactly these pixels are wrong (eq. 6 of the paper)."""
    union = foreground | wrong
    return len(wrong) / len(union) if union else 0.0


def along(order: tuple[int, ...], errors: npt.NDArray[np.float64], foreground: set[int]) -> float:
    """The errors, each times what its pixel adds to the Jaccard loss when pixels go wrong in this order."""
    total = before = 0.0
    for count in range(1, len(order) + 1):
        after = jaccard_loss(set(order[:count]), foreground)
        total += errors[order[count - 1]] * (after - before)
        before = after
    return total


def by_sorting(errors: npt.NDArray[np.float64], foreground: set[int]) -> float:
    return along(tuple(np.argsort(-errors)), errors, foreground)


def by_all_orders(errors: npt.NDArray[np.float64], foreground: set[int]) -> float:
    """The Jaccard loss is submodular, so its Lovász extension is the maximum over all orders."""
    return max(along(order, errors, foreground) for order in itertools.permutations(range(len(errors))))


def oracle(case: Case, extension=by_sorting) -> float:
    logits, target = case
    losses = []
    for image in range(len(logits)):
        seen = list(pixels((logits[image : image + 1], target[image : image + 1])))
        for index in range(logits.shape[1]):
            wanted = 1 if logits.shape[1] == 1 else index
            foreground = {place for place, (_, ground_truth) in enumerate(seen) if ground_truth == wanted}
            if logits.shape[1] == 1:
                errors = [max(0.0, 1 - pixel[0] if ground_truth else 1 + pixel[0]) for pixel, ground_truth in seen]
            else:
                errors = [abs((ground_truth == wanted) - softmax(pixel)[index]) for pixel, ground_truth in seen]
            if (logits.shape[1] == 1 and seen) or foreground:
                losses.append(extension(np.array(errors), foreground))
    return mean(losses)


@settings(deadline=None, max_examples=60)
@given(case=cases())
def test_is_the_lovasz_extension_of_the_jaccard_loss(case: Case) -> None:
    assert value(LovaszLoss(), case) == pytest.approx(oracle(case), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_is_the_maximum_over_all_orders(classes: int, seed: int) -> None:
    case = draw_case(seed, classes=classes, height=2, width=3, ignored=0.2)
    assert value(LovaszLoss(), case) == pytest.approx(oracle(case, by_all_orders), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_is_one_minus_the_iou_where_every_error_is_zero_or_one(classes: int) -> None:
    logits, target = draw_case(0, batch=1, classes=classes, height=8, width=8)
    predicted = logits.argmax(axis=1)
    valid = target != 255
    iou = [
        (valid & (predicted == c) & (target == c)).sum() / (valid & ((predicted == c) | (target == c))).sum()
        for c in range(classes)
    ]
    case = (1e4 * np.eye(classes)[predicted].transpose(0, 3, 1, 2), target)
    assert value(LovaszLoss(), case) == pytest.approx(1 - np.mean(iou), rel=1e-12)


@pytest.mark.parametrize("empty", [True, False])
def test_ignored_pixels_change_nothing_wherever_they_are_sorted(empty: bool) -> None:
    """Cropped and ignored pixels must give the same, also for an empty mask, whose first union is empty."""
    logits, target = draw_case(1, batch=2, height=4, width=6, ignored=0)
    if empty:
        target[:] = 0
    cut = value(LovaszLoss(), (logits[..., :4], target[..., :4]))
    target[..., 4:] = 255
    for level in (-50.0, 0.0, 50.0):
        logits[..., 4:] = level
        assert value(LovaszLoss(), (logits, target)) == pytest.approx(cut, rel=1e-12)


def test_float32_does_not_lose_the_steps_of_a_large_image() -> None:
    logits, target = draw_case(2, batch=1, height=512, width=512)
    exact = LovaszLoss()(torch.tensor(logits), torch.tensor(target))
    single = LovaszLoss()(torch.tensor(logits, dtype=torch.float32), torch.tensor(target))
    assert single.item() == pytest.approx(exact.item(), rel=1e-4)
