"""Gradients accumulated over several batches: the steps of one large batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import segreg
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import call, interrupt, without_times

# 11 images in steps of 4 leave 3 for the last one: a batch of 2 and one of 1. Batch normalisation would see batches.
SETTINGS: dict[str, Any] = {
    "model": "unet:width=4,depth=1,norm=group",
    "data": "lesions:size=32,train=11,valid=3,test=2",
    "size": 32,
    "epochs": 2,
    "optimizer": "sgd:lr=0.05",
    "precision": "fp32",
    "device": "cpu",
    "quiet": True,
}


def weights(run: Run) -> dict[str, Tensor]:
    return (load_checkpoint(run) or {})["model"]


def differences(run: Run, other: Run) -> dict[str, float]:
    """The largest difference of the weights, and of the losses that were recorded."""
    mine, theirs = weights(run), weights(other)
    losses = [[row[f"{split}_loss"] for row in each.history for split in ("train", "valid")] for each in (run, other)]
    return {
        "weights": max(float((mine[name] - theirs[name]).abs().max()) for name in mine),
        "losses": max(abs(one - two) for one, two in zip(*losses, strict=True)),
    }


@pytest.mark.parametrize("extra", [{}, {"loss": "dice"}, {"ema": True, "clip_grad": 0.1}], ids=str)
def test_accumulated_steps_are_those_of_a_large_batch(tmp_path: Path, extra: dict[str, Any]) -> None:
    large = segreg.fit(**SETTINGS, **extra, batch=4, out=tmp_path / "large")
    small = segreg.fit(**SETTINGS, **extra, batch=2, accumulate=2, out=tmp_path / "small")
    assert all(each < 2e-6 for each in differences(large, small).values()), differences(large, small)
    assert [row["lr"] for row in small.history] == [row["lr"] for row in large.history]
    # The test can fail: without accumulation, the weights are others.
    other = segreg.fit(**SETTINGS, **extra, batch=2, out=tmp_path / "other")
    assert differences(large, other)["weights"] > 1e-4


TINY: dict[str, Any] = {
    "loss": "trial/fragile",
    "data": "trial/bands:train=11,valid=2",
    "size": (12, 8),
    "epochs": 3,
    "batch": 2,
    "accumulate": 2,
    "device": "cpu",
    "quiet": True,
}


@pytest.mark.parametrize("batches", [1, 3, 8, 13])
def test_a_run_stopped_between_two_batches_of_a_step_resumes_exactly(
    batches: int, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are 6 batches and 3 steps per epoch, and the model has batch normalisation."""
    unbroken = segreg.fit("trial/dot", **TINY, out=tmp_path / "unbroken")
    out = tmp_path / "broken"
    broken = interrupt(parts, monkeypatch, batches, "trial/dot", **TINY, checkpoint_every=1, out=out)
    saved = load_checkpoint(broken)
    done = 3 * len(saved["history"]) + (saved["epoch"]["step"] if saved["epoch"] else 0) if saved else 0
    assert done == batches // 2
    resumed = resume(broken.path, quiet=True)
    assert without_times(resumed.history) == without_times(unbroken.history)
    mine, theirs = weights(resumed), weights(unbroken)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


TRAIN = (
    *("train", "trial/dot", "--data", "trial/bands:train=8,valid=2", "--size", "12x8", "--epochs", "1"),
    *("--batch", "2", "--device", "cpu"),
)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("bce", "bce divides by the pixels that are not ignored: if there are any, the mean of 3 batches of 2"),
        ("cross-entropy:class_weights=[1,5]", "class_weights=[1.0,5.0] divides by what differs between images"),
        ("dice", ""),
    ],
)
def test_a_line_says_where_the_loss_is_not_a_mean_over_images(loss: str, said: str, tmp_path: Path) -> None:
    status, _, err = call(*TRAIN, "--loss", loss, "--accumulate", "3", "--out", str(tmp_path / "run"))
    lines = [line for line in err.splitlines() if line.startswith("accumulate: ")]
    assert (status, len(lines)) == (0, bool(said)), err
    assert said in "".join(lines)
    status, _, err = call(*TRAIN, "--loss", loss, "--out", str(tmp_path / "other"))
    assert status == 0
    assert "accumulate" not in err


def test_more_than_the_training_images_per_step_is_said(tmp_path: Path) -> None:
    status, _, err = call(*TRAIN, "--accumulate", "5", "-q", "--out", str(tmp_path / "run"))
    assert status == 0
    assert "batch 2 with accumulate 5 is more than the 8 training images: each step uses the whole training set" in err


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x"])
def test_accumulate_out_of_range_is_one_line(value: str, tmp_path: Path) -> None:
    status, _, err = call(*TRAIN, "--accumulate", value, "--out", str(tmp_path / "run"))
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("segreg: accumulate is ")
    assert not (tmp_path / "run").exists()
