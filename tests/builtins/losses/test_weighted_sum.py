"""A sum of losses is the weighted sum of the single losses."""

import pytest
import torch

import segreg


def test_a_sum_adds_up() -> None:
    logits = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    target = (logits[:, 0] > 0.3).long()
    alone = {name: segreg.loss(name)(logits, target).item() for name in ("bce", "dice", "focal")}
    together = segreg.loss("bce+0.5*dice + 2*focal")(logits, target).item()
    assert together == pytest.approx(alone["bce"] + 0.5 * alone["dice"] + 2 * alone["focal"])


def test_a_single_term_with_a_weight() -> None:
    logits, target = torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2, dtype=torch.int64)
    assert segreg.loss("3*bce")(logits, target).item() == pytest.approx(3 * torch.log(torch.tensor(2.0)).item())


def test_options_belong_to_one_loss() -> None:
    assert segreg.loss("dice", smooth=2.0).smooth == 2
    with pytest.raises(segreg.OptionError, match="2 terms: write each one's options into it"):
        segreg.loss("bce+dice", smooth=2.0)
