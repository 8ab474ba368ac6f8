"""A run of the plugin's model that was stopped within an epoch ends in the same numbers, bit by bit."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import segreg
from segreg.builtins.optimizers.adamw import AdamW
from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume

MODEL = "timm/unet:backbone=test_resnet,width=8"
SETTINGS: dict[str, Any] = {
    "loss": "dice",
    "data": "lesions:train=5,valid=2,test=2",
    "size": 33,
    "epochs": 2,
    "batch": 2,
    "ema": True,
    "device": "cpu",
    "quiet": True,
}


def test_a_stopped_run_ends_the_same_and_heeds_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = segreg.fit(MODEL, **SETTINGS, out=tmp_path / "unbroken")
    step, steps = AdamW.step, []

    def breaking(optimizer: AdamW, *arguments: Any) -> Any:
        if len(steps) == 5:
            raise KeyboardInterrupt
        steps.append(None)
        return step(optimizer, *arguments)

    monkeypatch.setattr(AdamW, "step", breaking)
    with pytest.raises(KeyboardInterrupt):
        segreg.fit(MODEL, **SETTINGS, checkpoint_every=4, out=tmp_path / "broken")
    monkeypatch.undo()
    broken = Run(tmp_path / "broken")
    state = load_checkpoint(broken) or {}
    assert (len(state["history"]), state["epoch"]["step"]) == (1, 1)

    was = state["provenance"]["plugin of timm/unet"]
    state["provenance"]["plugin of timm/unet"] = "segreg-timm 0.0.1"
    torch.save(state, broken.path / "checkpoint" / "checkpoint.pt")
    with pytest.raises(RunError, match=re.escape(f"plugin of timm/unet was segreg-timm 0.0.1 and is {was}")):
        resume(broken.path, quiet=True)
    state["provenance"]["plugin of timm/unet"] = was
    torch.save(state, broken.path / "checkpoint" / "checkpoint.pt")

    resumed = resume(broken.path, quiet=True)
    timing = {"seconds", "images_per_second"}
    for row, other in zip(resumed.history, unbroken.history, strict=True):
        assert {name: row[name] for name in row.keys() - timing} == {name: other[name] for name in row.keys() - timing}
    weights = [load_file(run.path / "model.safetensors") for run in (resumed, unbroken)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
