"""Images that are chosen for a class."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segreg
from segreg.data.in_memory import InMemory
from segreg.data.split import Data
from segreg.errors import OptionError
from segreg.training.fit import resume
from segreg.training.oversampler import Oversampler
from tests.trial import call, interrupt, without_times

SETTINGS: dict[str, Any] = {
    "data": "trial/bands:classes=[a,b,c],train=10",
    "loss": "trial/fragile",
    "size": "12x8",
    "batch": 4,
    "device": "cpu",
    "quiet": True,
    "augment": "none",
}


def data(masks: list[list[int]], classes: int) -> Data:
    """One image per list, with these values in its mask."""
    pixels = torch.tensor(masks, dtype=torch.uint8)[:, None]
    train = InMemory(torch.zeros(len(masks), 3, *pixels.shape[1:], dtype=torch.uint8), pixels, [""] * len(masks))
    return Data(classes=[str(each) for each in range(classes)], in_channels=3, splits={"train": train})


# Class 2 is in one image, 1 in two, 0 in all but the last; 3 is in none.
FEW = [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 255, 0], [0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.29, 1 / 3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_every_batch_has_that_share_rounded_up_or_down(share: float, batch: int) -> None:
    # A marker that no image has tells the positions that are replaced.
    masks = [[1]] * 100
    order = torch.full((100,), 1000)
    replaced = Oversampler(data(masks, 1), share, 0).replaced(order, 1) != 1000
    assert int(replaced.sum()) == round(share * 100)
    for part in replaced.split(batch):
        assert math.floor(share * len(part) - 1e-6) <= int(part.sum()) <= math.ceil(share * len(part) + 1e-6)


def test_each_class_is_drawn_as_often_and_then_each_of_its_images() -> None:
    sampler = Oversampler(data(FEW, 4), 1.0, 3)
    drawn = Counter(int(each) for epoch in range(1, 3001) for each in sampler.replaced(torch.arange(6), epoch))
    expected = Counter(dict.fromkeys(range(6), 0.0))
    for label in (0, 1, 2):
        images = [position for position, mask in enumerate(FEW) if label in mask]
        for image in images:
            expected[image] += 18000 / 3 / len(images)
    for image, count in expected.items():
        assert drawn[image] == pytest.approx(count, abs=5 * math.sqrt(18000 / 4))
    assert drawn[5] == 0


def test_in_a_binary_task_the_only_class_is_the_foreground() -> None:
    sampler = Oversampler(data([[0, 0], [0, 1], [255, 0], [1, 1]], 1), 1.0, 0)
    assert {int(each) for epoch in range(20) for each in sampler.replaced(torch.arange(4), epoch)} == {1, 3}


def test_what_is_drawn_follows_from_seed_epoch_and_position() -> None:
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))

    def drawn(seed: int, epoch: int) -> list[int]:
        torch.rand(3)
        before = torch.get_rng_state()
        replaced = Oversampler(data(FEW, 4), 0.5, seed).replaced(order, epoch).tolist()
        assert torch.equal(torch.get_rng_state(), before)
        return replaced

    assert drawn(1, 2) == drawn(1, 2)
    assert len({tuple(drawn(seed, epoch)) for seed in range(4) for epoch in range(4)}) > 4
    # The others stay where they are.
    assert [new == old for new, old in zip(drawn(1, 2), order.tolist(), strict=True)][::2] == [True] * 3


def test_a_run_without_it_is_the_same_and_one_with_it_sees_as_many_images(tmp_path: Path) -> None:
    plain = segreg.fit("trial/dot", epochs=2, out=tmp_path / "plain", **SETTINGS)
    off = segreg.fit("trial/dot", epochs=2, oversample=0, out=tmp_path / "off", **SETTINGS)
    on = segreg.fit("trial/dot", epochs=2, oversample=0.5, out=tmp_path / "on", **SETTINGS)
    assert without_times(off.history) == without_times(plain.history) != without_times(on.history)
    assert on.results["images"] == plain.results["images"]
    np.testing.assert_allclose([row["lr"] for row in on.history], [row["lr"] for row in plain.history])


def test_a_resumed_run_continues_with_the_same_images(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "epochs": 3, "oversample": 0.5, "checkpoint_every": 1}
    whole = segreg.fit("trial/dot", out=tmp_path / "whole", **settings)
    # In the middle of the second epoch.
    interrupted = interrupt(parts, monkeypatch, 5, "trial/dot", out=tmp_path / "run", **settings)
    assert without_times(resume(interrupted.path, quiet=True).history) == without_times(whole.history)


@pytest.mark.parametrize("share", ["-0.1", "1.5", "nan", "half"])
def test_what_is_not_a_share_is_refused(share: str) -> None:
    status, _, err = call("train", "--oversample", share)
    assert status == 2
    assert err.count("\n") == 1
    assert "oversample is " in err


def test_images_without_any_class_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"oversample is 0\.5, but no training image shows a class"):
        segreg.fit(
            "trial/dot",
            oversample=0.5,
            epochs=1,
            out=tmp_path / "run",
            **{**SETTINGS, "data": "trial/bands:empty=true"},
        )
