import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.builtins.losses.bce import BCELoss
from segreg.builtins.losses.cross_entropy import CrossEntropyLoss
from tests.builtins.losses.cases import Case, cases, draw_case, pixels, softmax, tensors, value

# Powers of two, so that the weights are the same numbers in float32 and float64.
WEIGHTS = (0.5, 2.0, 0.0, 0.25)


def oracle(case: Case, weights: tuple[float, ...], smoothing: float) -> float:
    total = divisor = 0.0
    for logits, ground_truth in pixels(case):
        costs = -np.log(softmax(np.array([0.0, logits[0]]) if len(logits) == 1 else logits))
        classes = len(costs)
        for index in range(classes):
            share = smoothing / classes + (1 - smoothing) * (index == ground_truth)
            total += share * weights[index] * costs[index]
        divisor += weights[ground_truth]
    return total / divisor if divisor else 0.0


@settings(deadline=None, max_examples=60)
@given(case=cases(), weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1, 0.5]))
def test_is_the_weighted_mean_of_softmax_cross_entropies(case: Case, weighted: bool, smoothing: float) -> None:
    classes = max(case[0].shape[1], 2)
    weights = WEIGHTS[:classes] if weighted else (1.0,) * classes
    loss = CrossEntropyLoss(class_weights=weights if weighted else None, label_smoothing=smoothing)
    assert value(loss, case) == pytest.approx(oracle(case, weights, smoothing), rel=1e-9)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_agrees_with_torch(weights: tuple[float, ...] | None) -> None:
    logits, target = tensors(draw_case(1, classes=4, height=9))
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weight=weight, ignore_index=255, label_smoothing=0.2)
    torch.testing.assert_close(CrossEntropyLoss(class_weights=weights, label_smoothing=0.2)(logits, target), expected)


def test_with_one_logit_is_binary_cross_entropy() -> None:
    case = draw_case(2)
    assert value(CrossEntropyLoss(), case) == pytest.approx(value(BCELoss(), case), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_pixels_that_all_have_weight_zero_cost_nothing(smoothing: float) -> None:
    logits, target = draw_case(3, classes=3, ignored=0)
    target[:] = 2
    tensor, ground_truth = tensors((logits, target))
    loss = CrossEntropyLoss(class_weights=(1.0, 1.0, 0.0), label_smoothing=smoothing)(tensor, ground_truth)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(tensor.grad, torch.zeros_like(tensor))


@pytest.mark.parametrize("classes", [1, 3])
def test_the_number_of_weights_must_match_the_number_of_classes(classes: int) -> None:
    loss = CrossEntropyLoss(class_weights=WEIGHTS)
    with pytest.raises(ValueError, match=f"class_weights has 4 weights for {max(classes, 2)} classes"):
        value(loss, draw_case(4, classes=classes))


def test_weights_move_with_the_module_but_are_not_in_its_state() -> None:
    loss = CrossEntropyLoss(class_weights=(1.0, 2.0)).to("meta")
    assert loss.class_weights.device.type == "meta"
    assert loss.state_dict() == {}
