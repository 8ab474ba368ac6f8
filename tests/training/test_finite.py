"""Values that are no longer finite stop a run before they reach the disk; empty masks do not."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import segreg
from segreg.errors import TrainingError
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume

SETTINGS: dict[str, Any] = {
    "data": "trial/bands:train=6,valid=2",
    "size": 8,
    "epochs": 3,
    "batch": 2,
    "device": "cpu",
    "precision": "fp32",
    "quiet": True,
}


def finite(value: Any) -> bool:
    """Whether all tensors in a state are finite."""
    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return all(map(finite, values))


@pytest.mark.parametrize(
    ("after", "every", "message"),
    [
        (0, None, "the loss was nan in epoch 1, step 1 of 3; kept: nothing; likely"),
        (
            3,
            None,
            "the loss was nan in epoch 2, step 1 of 3; kept: the weights of epoch 1 and the checkpoint after epoch 1;",
        ),
        (4, 1, "nan in epoch 2, step 2 of 3; kept: the weights of epoch 1 and the checkpoint after step 1 of epoch 2;"),
        (2, 2, "nan in epoch 1, step 3 of 3; kept: the checkpoint after step 2 of epoch 1;"),
        (2, 1, "nan in epoch 1, step 3 of 3; kept: the checkpoint after step 2 of epoch 1;"),
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, after: int, every: int | None, message: str) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=re.escape(message)) as error:
        segreg.fit("trial/dot", loss=f"trial/nan:after={after}", **SETTINGS, checkpoint_every=every, out=out)
    assert str(error.value).count("\n") == 0
    assert finite(load_checkpoint(Run(out)) or {})


@pytest.mark.parametrize(
    ("after", "every", "message"),
    [
        # Detected at the end of the epoch, by the loss that results from such weights.
        (
            3,
            None,
            "the loss was nan in epoch 2, step 2 of 3; kept: the weights of epoch 1 and the checkpoint after epoch 1;",
        ),
        # Detected before a checkpoint with such weights is written.
        (3, 1, "the weights were no longer finite in epoch 2, step 1 of 3; kept: the weights of epoch 1 and the "),
        (2, None, "the weights were no longer finite in epoch 1, step 3 of 3; kept: nothing;"),
    ],
)
def test_a_gradient_that_is_not_finite_stops_the_run(
    tmp_path: Path, after: int, every: int | None, message: str
) -> None:
    out, loss = tmp_path / "run", f"trial/nan:after={after},gradient=true"
    with pytest.raises(TrainingError, match=re.escape(message)):
        segreg.fit("trial/dot", loss=loss, **SETTINGS, checkpoint_every=every, out=out)
    assert finite(load_checkpoint(Run(out)) or {})
    if (out / "model.safetensors").exists():
        assert finite(Run(out).model().state_dict())


def test_a_stopped_run_is_resumed_with_another_loss(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="epoch 2, step 1 of 3"):
        segreg.fit("trial/dot", loss="trial/nan:after=3", **SETTINGS, out=tmp_path / "run")
    made = resume(tmp_path / "run", loss="bce", force=True, quiet=True)
    assert len(made.history) == 3


def norm_of_the_first_gradient(run: Run) -> float:
    """Adam's first moment after one step is a tenth of the gradient."""
    moments = (load_checkpoint(run) or {})["optimizer"]["state"].values()
    return 10 * float(torch.stack([moment["exp_avg"].norm() for moment in moments]).norm())


def test_the_gradient_is_clipped_to_the_given_norm(tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 1, "batch": 6}
    norms = {
        clip: norm_of_the_first_gradient(segreg.fit("trial/dot", **settings, clip_grad=clip, out=tmp_path / str(clip)))
        for clip in (None, 0.01, 1000.0)
    }
    assert norms[None] > 0.02
    assert norms[0.01] == pytest.approx(0.01, rel=1e-4)
    assert norms[1000.0] == norms[None]


BINARY = ["bce", "dice", "focal", "jaccard", "tversky", "focal-tversky", "lovasz", "wsr", "cross-entropy"]


def test_every_loss_is_covered() -> None:
    assert set(BINARY) == {entry.key for entry in segreg.components("loss") if entry.plugin.builtin}


@pytest.mark.parametrize("classes", ["", ",classes=[a,b,c]"])
def test_batches_with_empty_masks_keep_losses_finite(tmp_path: Path, classes: str) -> None:
    """All losses at once: if the sum is finite, so is each of them."""
    binary = not classes
    losses = "+".join(loss for loss in BINARY if loss != "wsr" or binary)
    settings = {**SETTINGS, "data": f"{SETTINGS['data']},empty=true{classes}"}
    made = segreg.fit("trial/dot", loss=losses, **settings, metrics=["iou", "dice"], out=tmp_path / "run")
    assert finite(made.model().state_dict())
    assert all(row["train_loss"] < 100 for row in made.history)
    assert made.results["metrics"]["valid"]["iou"] is not None


def test_batches_in_which_every_pixel_is_ignored_keep_losses_finite(tmp_path: Path) -> None:
    settings = {**SETTINGS, "data": f"{SETTINGS['data']},classes=[a,b],ignored_train=true"}
    losses = "+".join(loss for loss in BINARY if loss != "wsr")
    made = segreg.fit("trial/dot", loss=losses, **settings, out=tmp_path / "run")
    assert [row["train_loss"] for row in made.history] == [0.0, 0.0, 0.0]
    assert made.results["metrics"]["train"]["iou"] is None
    assert finite(made.model().state_dict())
