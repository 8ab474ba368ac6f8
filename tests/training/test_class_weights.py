"""Class weights from the data in a run that is interrupted."""

from pathlib import Path
from typing import Any

import pytest

import segreg
from segreg.training.fit import resume
from tests.trial import interrupt, without_times

LOSS = "cross-entropy:class_weights=balanced"


def test_a_resumed_run_has_the_same_weights(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"data": "trial/bands:classes=[a,b,c,d],train=5", "loss": f"trial/fragile+{LOSS}", "epochs": 3}
    settings |= {"size": "12x8", "batch": 2, "device": "cpu", "quiet": True}
    whole = segreg.fit("trial/dot", out=tmp_path / "whole", **settings)
    interrupted = interrupt(parts, monkeypatch, 4, "trial/dot", out=tmp_path / "run", **settings)
    resumed = resume(interrupted.path, quiet=True)
    assert without_times(resumed.history) == without_times(whole.history)
    assert resumed.results["class_weights"] == whole.results["class_weights"]
    assert list(whole.results["class_weights"]) == [LOSS]
