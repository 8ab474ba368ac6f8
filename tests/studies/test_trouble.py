"""A study whose runs fail again and again, take the process with them, or were begun with something else."""

from pathlib import Path
from typing import Any

import pytest
import torch

from segreg.errors import RunError
from segreg.studies.study import Study, compare
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
        assert "failed: trial/dot · trial/broken: RuntimeError: " in capsys.readouterr().err
    made = compare(**settings)
    said = capsys.readouterr().err
    reason = "RuntimeError: a <b>broken</b> loss of two lines"
    assert f"not tried again without --force: trial/dot · trial/broken: {reason}\n" in said
    assert "failed: " not in said
    # The table still says so.
    assert [row.failure for row in made.rows] == [reason, ""]
    words = ["compare", "quick", "--models", "trial/dot", "--losses", "trial/broken", "bce", "--data", SETTINGS["data"]]
    words += ["--size", "8", "--epochs", "3", "--batch", "2", "--device", "cpu", "--out", str(tmp_path / "study")]
    status, _, said = call(*words, "--force")
    assert status == 1
    assert "failed: trial/dot · trial/broken: " in said


def die_in(made: dict[str, Any], parts: Any, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make a study that is stopped in a step, and leave it as if the process had been killed there."""
    monkeypatch.setattr(parts, "TROUBLE", (step, KeyboardInterrupt()))
    kept = Path.unlink
    with pytest.MonkeyPatch.context() as patch:
        # A process that is killed does not tidy up.
        patch.setattr(
            Path, "unlink", lambda path, **_: None if path.name == "tries.json" else kept(path, missing_ok=True)
        )
        with pytest.raises(KeyboardInterrupt):
            compare(**made)
    monkeypatch.setattr(parts, "TROUBLE", None)


def test_a_run_that_takes_the_process_with_it_is_tried_three_times(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**SETTINGS, "losses": ["trial/fragile", "bce"], "out": tmp_path / "study"}
    for _ in range(3):
        die_in(settings, parts, monkeypatch, step=0)
    made = compare(**settings)
    reason = "its process was killed, 3 times at the same place: did memory run out?"
    assert f"not tried again without --force: trial/dot · trial/fragile: {reason}" in capsys.readouterr().err
    assert [row.failure for row in made.rows] == [reason, ""]
    again = compare(**settings, force=True)
    assert [row.failure for row in again.rows] == ["", ""]


def test_a_run_that_gets_on_may_be_killed_as_often_as_it_likes(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "losses": ["trial/fragile"], "checkpoint_every": 1, "out": tmp_path / "study"}
    for _ in range(5):
        die_in(settings, parts, monkeypatch, step=1)
    made = compare(**settings)
    assert [row.failure for row in made.rows] == [""]
    assert not list(made.path.rglob("tries.json"))
    assert not list(made.path.rglob("state"))


def interrupted(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    settings = {**SETTINGS, "losses": ["trial/fragile", "bce"], "checkpoint_every": 1, "out": tmp_path / "study"}
    monkeypatch.setattr(parts, "TROUBLE", (3, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        compare(**settings)
    monkeypatch.setattr(parts, "TROUBLE", None)
    return settings


def test_a_run_that_was_begun_with_another_torch_is_not_mixed_in(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = interrupted(tmp_path, parts, monkeypatch)
    first = next((tmp_path / "study").glob("runs/*"))
    state = torch.load(first / "checkpoint" / "checkpoint.pt", weights_only=True)
    state["provenance"]["torch"] = "2.0.0"
    torch.save(state, first / "checkpoint" / "checkpoint.pt")
    with pytest.raises(RunError, match=rf"{first} cannot go on as it began: torch was 2\.0\.0 and is .* --force"):
        compare(**settings)
    made = compare(**settings, force=True)
    assert [row.failure for row in made.rows] == ["", ""]


def test_how_often_states_are_written_makes_no_other_study(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = interrupted(tmp_path, parts, monkeypatch)
    made: Study = compare(**{**settings, "checkpoint_every": None})
    assert [row.failure for row in made.rows] == ["", ""]
    assert load_checkpoint(made.run(made.plan.recipes[0])) is None
