"""Running out of memory suggests a batch that fits, and leaves a run that can be resumed with it."""

import gc
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import segreg
from segreg.errors import TrainingError
from segreg.runs.run import Run
from segreg.training.fit import resume

SETTINGS: dict[str, Any] = {
    "data": "trial/bands:train=12,valid=2",
    "size": 8,
    "epochs": 2,
    "batch": 12,
    "device": "cpu",
    "quiet": True,
}


def test_a_batch_that_does_not_fit_at_first_is_named_with_one_that_does(tmp_path: Path) -> None:
    out = tmp_path / "a run"
    with pytest.raises(TrainingError) as error:
        segreg.fit("trial/hungry:limit=8", **SETTINGS, out=out)
    assert re.fullmatch(
        r"out of memory on cpu \(.*\) in epoch 1: batch 12 at 8x8 does not fit, batch 6 does; "
        rf"resume with: segreg train --resume '{out}' --batch 6",
        str(error.value),
    )
    assert len(resume(out, batch=6, quiet=True).history) == 2


def test_a_batch_that_does_not_fit_is_freed_before_a_smaller_one_is_tried(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[list[int]] = []

    def forward(self: Any, images: torch.Tensor) -> torch.Tensor:
        tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
        alive.append([len(each) for each in tensors if each.ndim == 4 and each.is_floating_point() and len(each) == 12])
        return real(self, images)

    real = parts.Hungry.forward
    monkeypatch.setattr(parts.Hungry, "forward", forward)
    with pytest.raises(TrainingError, match="batch 6 does"):
        segreg.fit("trial/hungry:limit=8", **SETTINGS, out=tmp_path / "run")
    assert alive[0]
    assert not alive[1]


def test_a_batch_that_does_not_fit_later_leaves_a_resumable_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"in epoch 2: batch 12 at 8x8 does not fit, batch 1 does; .* --force"):
        segreg.fit("trial/hungry:limit=2,steps=1", **SETTINGS, out=tmp_path / "run")
    assert len(Run(tmp_path / "run").history) == 1
    assert Run(tmp_path / "run").model()
    made = resume(tmp_path / "run", batch=1, force=True, quiet=True)
    assert len(made.history) == 2
    assert made.recipe.batch == 1


def test_if_no_batch_fits_that_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch 12 at 8x8 does not fit, and neither does batch 1: try a smaller"):
        segreg.fit("trial/hungry:limit=0", **SETTINGS, out=tmp_path / "run")
