"""A study whose runs fail repeatedly, kill the process, or were started in another environment."""

from pathlib import Path
from typing import Any

import pytest
import torch

from segreg.errors import RunError
from segreg.studies.compare import compare
from segreg.studies.study import Study
from segreg.training.checkpoint import load_checkpoint
from tests.trial import call

SETTINGS: dict[str, Any] = {
    "study": "quick",
    "models": ["trial/dot"],
    "data": "trial/bands:train=4,valid=2,test=2",
    "size": 8,
    "epochs": 3,
    "batch": 2,
    "device": "cpu",
}


def test_a_run_that_fails_is_tried_three_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {**SETTINGS, "losses": ["trial/broken", "bce"], "out": tmp_path / "study"}
    for _ in range(3):
        made = compare(**settings)
        assert "failed: trial/broken: RuntimeError: " in capsys.readouterr().err
    made = compare(**settings)
    printed = capsys.readouterr().err
    reason = "RuntimeError: a <b>broken</b> loss of two lines"
    assert f"failed 3 times, retry with --force: trial/broken: {reason}\n" in printed
    assert "failed: " not in printed
    # The table still reports it.
    assert [row.failure for row in made.configurations] == [reason, ""]
    words = ["compare", "quick", "--models", "trial/dot", "--losses", "trial/broken", "bce", "--data", SETTINGS["data"]]
    words += ["--size", "8", "--epochs", "3", "--batch", "2", "--device", "cpu", "--out", str(tmp_path / "study")]
    status, _, printed = call(*words, "--force")
    assert status == 1
    assert "failed: trial/broken: " in printed


def die_in(made: dict[str, Any], parts: Any, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Run a study that is stopped in a step, and leave it as if the process had been killed there."""
    monkeypatch.setattr(parts, "TROUBLE", (step, KeyboardInterrupt()))
    kept = Path.unlink
    with pytest.MonkeyPatch.context() as patch:
        # A killed process does not clean up.
        patch.setattr(
            Path, "unlink", lambda path, **_: None if path.name == "tries.json" else kept(path, missing_ok=True)
        )
        with pytest.raises(KeyboardInterrupt):
            compare(**made)
    monkeypatch.setattr(parts, "TROUBLE", None)


def test_a_run_that_kills_the_process_is_tried_three_times(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**SETTINGS, "losses": ["trial/fragile", "bce"], "out": tmp_path / "study"}
    for _ in range(3):
        die_in(settings, parts, monkeypatch, step=0)
    made = compare(**settings)
    reason = (
        "its process was killed 3 times before its first checkpoint, "
        "by the system if memory ran out, else by a time limit or by hand"
    )
    assert f"failed 3 times, retry with --force: trial/fragile: {reason}" in capsys.readouterr().err
    assert [row.failure for row in made.configurations] == [reason, ""]
    again = compare(**settings, force=True)
    assert [row.failure for row in again.configurations] == ["", ""]


def test_a_run_that_makes_progress_may_be_killed_any_number_of_times(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "losses": ["trial/fragile"], "checkpoint_every": 1, "out": tmp_path / "study"}
    for _ in range(5):
        die_in(settings, parts, monkeypatch, step=1)
    made = compare(**settings)
    assert [row.failure for row in made.configurations] == [""]
    assert not list(made.path.rglob("tries.json"))
    assert not list(made.path.rglob("state"))


def interrupted(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    settings = {**SETTINGS, "losses": ["trial/fragile", "bce"], "checkpoint_every": 1, "out": tmp_path / "study"}
    monkeypatch.setattr(parts, "TROUBLE", (3, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        compare(**settings)
    monkeypatch.setattr(parts, "TROUBLE", None)
    return settings


def test_a_run_started_with_another_torch_is_not_mixed_in(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = interrupted(tmp_path, parts, monkeypatch)
    first = next((tmp_path / "study").glob("runs/*"))
    state = torch.load(first / "checkpoint" / "checkpoint.pt", weights_only=True)
    state["provenance"]["torch"] = "2.0.0"
    torch.save(state, first / "checkpoint" / "checkpoint.pt")
    with pytest.raises(RunError, match=rf"{first} cannot be resumed unchanged: torch was 2\.0\.0 and is .* --force"):
        compare(**settings)
    made = compare(**settings, force=True)
    assert [row.failure for row in made.configurations] == ["", ""]


def test_changing_how_often_checkpoints_are_written_keeps_the_study(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = interrupted(tmp_path, parts, monkeypatch)
    made: Study = compare(**{**settings, "checkpoint_every": None})
    assert [row.failure for row in made.configurations] == ["", ""]
    assert load_checkpoint(made.run(made.plan.recipes[0])) is None
