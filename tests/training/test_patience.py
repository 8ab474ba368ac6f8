"""Runs that stop early."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import segreg
from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import call, interrupt, without_times

# So high a rate that the metric rises and falls. It does not depend on the number of epochs.
SETTINGS: dict[str, Any] = {
    "model": "trial/dot",
    "loss": "trial/fragile",
    "data": "trial/bands:train=6,valid=2,test=2",
    "size": (12, 8),
    "epochs": 12,
    "batch": 2,
    "optimizer": "sgd:lr=3",
    "schedule": "constant",
    "device": "cpu",
    "quiet": True,
}


def weights(run: Run) -> dict[str, Tensor]:
    return (load_checkpoint(run) or {})["model"]


def expected_end(values: list[float], patience: int) -> int:
    """The epoch after which a run stops, whose values of the metric are these, if it had patience for all of them."""
    best, since = -math.inf, 0
    for epoch, value in enumerate(values, 1):
        best, since = (value, 0) if value > best else (best, since + 1)
        if since == patience:
            return epoch
    return len(values)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All epochs."""
    return segreg.fit(**SETTINGS, out=tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_run_stops_once_the_metric_has_not_improved(patience: int, whole: Run, tmp_path: Path) -> None:
    run = segreg.fit(**SETTINGS, patience=patience, out=tmp_path / "run")
    end = expected_end([row["valid_iou"] for row in whole.history], patience)
    assert end < 12
    # Patience changes nothing but the end.
    assert without_times(run.history) == without_times(whole.history)[:end]
    assert run.finished
    assert (run.results["epochs"], run.results["stopped_early"], run.results["epoch"]) == (end, True, end - patience)


def test_a_metric_to_be_minimized_has_improved_when_it_is_lower(tmp_path: Path) -> None:
    run = segreg.fit(**SETTINGS, metrics="trial/mistakes", patience=2, out=tmp_path / "run")
    values = [-row["valid_trial/mistakes"] for row in run.history]
    assert len(values) == expected_end(values, 2)


def test_it_is_said_on_the_screen(tmp_path: Path) -> None:
    words = "train trial/dot --data trial/bands:train=6,valid=2 --size 12x8 --epochs 12 --batch 2 --device cpu"
    words += " --optimizer sgd:lr=3 --schedule constant --patience 1"
    status, _, err = call(*words.split(), "--out", str(tmp_path / "run"))
    assert status == 0
    assert "stopped early: iou on valid has not improved for 1 epoch\n" in err
    status, _, err = call("train", "--resume", str(tmp_path / "run"))
    assert (status, err) == (0, f"{tmp_path / 'run'} is already finished\n")


def test_no_value_is_no_improvement(tmp_path: Path) -> None:
    settings = {**SETTINGS, "data": "trial/bands:train=6,valid=2,ignored_valid=true", "metrics": "accuracy"}
    run = segreg.fit(**settings, patience=2, out=tmp_path / "run")
    assert [math.isnan(row["valid_accuracy"]) for row in run.history] == [True] * 3
    assert (run.results["epochs"], run.results["stopped_early"]) == (3, True)


def test_a_run_without_patience_or_with_enough_of_it_trains_all_epochs(whole: Run, tmp_path: Path) -> None:
    run = segreg.fit(**SETTINGS, patience=12, out=tmp_path / "run")
    assert without_times(run.history) == without_times(whole.history)
    for each in (run, whole):
        assert (each.results["epochs"], each.results["stopped_early"]) == (12, False)


def test_a_run_that_stopped_resumes_only_with_more_patience(whole: Run, tmp_path: Path) -> None:
    run = segreg.fit(**SETTINGS, patience=1, out=tmp_path / "run")
    end = len(run.history)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert resume(run.path, quiet=True).results["stopped_early"]
    for less in ({"epochs": 30}, {"epochs": end}):
        with pytest.raises(RunError, match=rf"it stopped early after epoch {end}, and only a patience above 1"):
            resume(run.path, **less, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    resumed = resume(run.path, patience=2, quiet=True)
    longer = expected_end([row["valid_iou"] for row in whole.history], 2)
    assert end < len(resumed.history) == longer
    assert without_times(resumed.history) == without_times(whole.history)[:longer]
    assert resumed.recipe.patience == 2
    resumed = resume(run.path, patience="none", quiet=True)
    assert without_times(resumed.history) == without_times(whole.history)
    assert not resumed.results["stopped_early"]
    mine, theirs = weights(resumed), weights(whole)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_finished_run_with_patience_left_continues_with_more_epochs(whole: Run, tmp_path: Path) -> None:
    values = [row["valid_iou"] for row in whole.history]
    end = expected_end(values, 2)
    run = segreg.fit(**{**SETTINGS, "epochs": end - 1}, patience=2, out=tmp_path / "run")
    assert not run.results["stopped_early"]
    resumed = resume(run.path, epochs=12, quiet=True)
    assert (len(resumed.history), resumed.results["stopped_early"]) == (end, True)


def test_an_interrupted_run_stops_where_an_uninterrupted_one_does(
    whole: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = expected_end([row["valid_iou"] for row in whole.history], 3)
    steps = 3 * (end - 1) + 1
    settings = {**SETTINGS, "patience": 3, "checkpoint_every": 1}
    broken = interrupt(parts, monkeypatch, steps, **settings, out=tmp_path / "run")
    resumed = resume(broken.path, quiet=True)
    assert without_times(resumed.history) == without_times(whole.history)[:end]
    # As if it had been killed between its last epoch and its results.
    (resumed.path / "results.json").unlink()
    assert len(resume(resumed.path, quiet=True).history) == end


def test_less_patience_is_a_change(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = interrupt(parts, monkeypatch, 4, **SETTINGS, checkpoint_every=1, out=tmp_path / "run")
    with pytest.raises(RunError, match=r"patience was none and is 5: resume anyway with --force"):
        resume(broken.path, patience=5, quiet=True)


def test_a_study_keeps_runs_that_stopped_early(tmp_path: Path) -> None:
    words = "compare --models trial/dot --losses bce --seeds 0 1 --data trial/bands:train=6,valid=2 --size 12x8 -q"
    words += " --epochs 12 --batch 2 --device cpu --optimizer sgd:lr=3 --schedule constant --patience 1"
    status, _, err = call(*words.split(), "--out", str(tmp_path / "study"))
    assert status == 0, err
    runs = segreg.Study.read(tmp_path / "study").configurations[0].runs
    assert len(runs) == 2
    assert all(run.results["stopped_early"] for run in runs)
    status, _, err = call(*words.replace("-q", "").split(), "--out", str(tmp_path / "study"))
    assert status == 0
    assert "2 of 2 runs are already finished" in err


@pytest.mark.parametrize("value", ["0", "-2", "x", "1.5"])
def test_patience_out_of_range_is_one_line(value: str, tmp_path: Path) -> None:
    status, _, err = call("train", "trial/dot", "--patience", value, "--out", str(tmp_path / "run"))
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("segreg: patience is ")
