"""Resumed runs: bit-identical, longer, or with changed settings."""

import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import segreg
from segreg.errors import OptionError, RunError
from segreg.recipe import make_recipe
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import interrupt, without_times

SETTINGS: dict[str, Any] = {
    "loss": "trial/fragile",
    "metrics": ["iou", "trial/mistakes"],
    "data": "lesions:train=5,valid=2,test=2",
    "size": 32,
    "epochs": 2,
    "batch": 2,
    "ema": True,
    "device": "cpu",
    "quiet": True,
}
TINY: dict[str, Any] = {**SETTINGS, "data": "trial/bands:train=6,valid=2,test=2", "size": (12, 8), "epochs": 4}
ARCHITECTURES = [
    "segnet:width=4",
    "segnet-basic:width=4",
    "unet:width=4,depth=2",
    "unet-upsample:width=4,depth=2",
    "unet-convpool:width=4,depth=2",
]


def assert_same(run: Run, other: Run) -> None:
    assert without_times(run.history) == without_times(other.history)
    for name in ("model", "scores", "samples"):
        mine, theirs = (load_file(each.path / f"{name}.safetensors") for each in (run, other))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    mine, theirs = ((load_checkpoint(each) or {}) for each in (run, other))
    for key, tensor in mine["model"].items():
        assert torch.equal(tensor, theirs["model"][key])
    for number, moments in mine["optimizer"]["state"].items():
        assert all(torch.equal(tensor, theirs["optimizer"]["state"][number][key]) for key, tensor in moments.items())
    assert run.results["metrics"] == other.results["metrics"]


def test_every_architecture_is_covered() -> None:
    tried = {name.partition(":")[0] for name in ARCHITECTURES}
    assert tried == {entry.key for entry in segreg.components("architecture") if entry.plugin.builtin}


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_a_run_stopped_in_the_middle_of_an_epoch_ends_the_same(
    model: str, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There are 3 steps per epoch.
    unbroken = segreg.fit(model, **SETTINGS, out=tmp_path / "unbroken")
    broken = interrupt(parts, monkeypatch, 5, model, **SETTINGS, checkpoint_every=5, out=tmp_path / "broken")
    state = load_checkpoint(broken) or {}
    assert (len(state["history"]), state["epoch"]["step"]) == (1, 2)
    assert_same(resume(broken.path, quiet=True), unbroken)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return segreg.fit("trial/dot", **TINY, out=tmp_path_factory.mktemp("tiny") / "run")


@pytest.mark.parametrize(("every", "step"), [(1, 1), (1, 3), (2, 8), (3, 4), (4, 11), (7, 8), (7, 5)])
def test_a_run_is_resumed_from_the_last_multiple_of_checkpoint_every(
    every: int, step: int, tiny: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are 3 steps per epoch."""
    settings = {**TINY, "checkpoint_every": every}
    broken = interrupt(parts, monkeypatch, step, "trial/dot", **settings, out=tmp_path / "broken")
    state = load_checkpoint(broken)
    # Between epochs, a checkpoint may be written that was not requested.
    done = 3 * len(state["history"]) + (state["epoch"]["step"] if state["epoch"] else 0) if state else 0
    assert step // every * every <= done <= step
    assert done % every == 0 or done % 3 == 0
    assert_same(resume(broken.path, quiet=True), tiny)


def test_a_plugin_draws_the_same_numbers_from_numpy_and_python(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**TINY, "loss": "trial/noisy", "checkpoint_every": 1}
    for out in ("unbroken", "other"):
        random.seed(out)
        np.random.seed(len(out))
        segreg.fit("trial/dot", **settings, out=tmp_path / out)
    assert_same(Run(tmp_path / "unbroken"), Run(tmp_path / "other"))
    broken = interrupt(parts, monkeypatch, 5, "trial/dot", **settings, out=tmp_path / "broken")
    assert_same(resume(broken.path, quiet=True), Run(tmp_path / "unbroken"))


def test_the_best_weights_are_not_replaced_by_earlier_ones(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run resumed from a checkpoint older than its best weights, and stopped again at once, keeps them."""
    settings = {**TINY, "epochs": 30, "lr": 0.01, "checkpoint_every": 3, "out": tmp_path / "run"}
    run = interrupt(parts, monkeypatch, 4, "trial/dot", **settings)
    older = (run.path / "checkpoint" / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(parts, "TROUBLE", (30, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        resume(run.path, quiet=True)
    best = load_file(run.path / "model.safetensors")
    assert max(run.history, key=lambda row: row["valid_iou"])["epoch"] > 2
    (run.path / "checkpoint" / "checkpoint.pt").write_bytes(older)
    for step in (1, 4):
        monkeypatch.setattr(parts, "TROUBLE", (step, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            resume(run.path, quiet=True)
        after = load_file(run.path / "model.safetensors")
        assert all(torch.equal(after[key], best[key]) for key in best)


@pytest.fixture
def stopped(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of four epochs, stopped in the third one, with a checkpoint after each step."""
    return interrupt(parts, monkeypatch, 7, "trial/dot", **TINY, checkpoint_every=1, out=tmp_path / "run")


def test_a_run_extended_by_more_epochs_ends_as_if_it_had_had_them_from_the_start(stopped: Run, tmp_path: Path) -> None:
    """For a learning rate that does not depend on the number of epochs."""
    constant = {**TINY, "schedule": "constant"}
    segreg.fit("trial/dot", **{**constant, "epochs": 2}, out=tmp_path / "short")
    longer = resume(tmp_path / "short", epochs=5, quiet=True)
    assert longer.recipe.epochs == 5
    assert_same(longer, segreg.fit("trial/dot", **{**constant, "epochs": 5}, out=tmp_path / "long"))
    assert len(resume(stopped.path, epochs="6", quiet=True).history) == 6


def test_with_more_epochs_the_learning_rate_follows_the_longer_schedule(stopped: Run, tmp_path: Path) -> None:
    longer = resume(stopped.path, epochs=8, quiet=True)
    whole = segreg.fit("trial/dot", **{**TINY, "epochs": 8}, out=tmp_path / "whole")
    rates = [[row["lr"] for row in run.history] for run in (longer, whole)]
    # The third epoch had started.
    assert rates[0][3:] == rates[1][3:]
    assert rates[0][:3] != rates[1][:3]


def test_a_finished_run_extended_by_more_epochs_finishes_again(
    tiny: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny.path, tmp_path / "run")
    assert resume(tmp_path / "run", epochs=4, quiet=True).results == tiny.results
    monkeypatch.setattr(parts, "TROUBLE", (2, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "run", epochs=6, quiet=True)
    monkeypatch.setattr(parts, "TROUBLE", None)
    assert not Run(tmp_path / "run").finished
    longer = resume(tmp_path / "run", quiet=True)
    assert longer.finished
    assert len(longer.history) == 6
    assert longer.history[:4] == tiny.history


def test_a_recipe_edited_to_more_epochs_is_resumed(stopped: Run) -> None:
    path = stopped.path / "recipe.toml"
    path.write_text(path.read_text().replace("epochs = 4", "epochs = 5"))
    assert len(resume(stopped.path, quiet=True).history) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.01}, "optimizer was adamw and is adamw:lr=0.01"),
        ({"epochs": 3}, "epochs was 4 and is 3"),
        ({"batch": 3, "seed": 1}, "batch was 2 and is 3; seed was 0 and is 1"),
        ({"clip_grad": 1}, "clip_grad was none and is 1.0"),
        ({"augment": "hflip"}, "augment was hflip vflip affine and is hflip"),
    ],
)
def test_a_changed_recipe_is_reported_and_can_be_forced(stopped: Run, changes: dict[str, Any], message: str) -> None:
    before = {path: path.read_bytes() for path in stopped.path.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as error:
        resume(stopped.path, quiet=True, **changes)
    assert str(error.value) == f"{stopped.path} cannot be resumed unchanged: {message}: resume anyway with --force"
    assert {path: path.read_bytes() for path in before} == before
    made = resume(stopped.path, quiet=True, force=True, **changes)
    assert made.finished
    assert made.recipe == make_recipe(**{**Run(stopped.path).recipe.to_dict(), **changes})
    assert len(made.history) == changes.get("epochs", 4)
    # What was forced once is now its recipe.
    assert resume(stopped.path, quiet=True).results == made.results


def test_changed_optimizer_settings_are_used(stopped: Run) -> None:
    made = resume(stopped.path, lr=0.02, schedule="constant", force=True, quiet=True)
    assert [row["lr"] for row in made.history][2:] == [0.02, 0.02]


@pytest.mark.parametrize(
    ("name", "as_it_was"),
    [
        ("torch", "2.0.0"),
        ("device", "cuda:0 (NVIDIA H100)"),
        ("plugin of trial/dot", "segreg-trial 0.9"),
    ],
)
def test_a_changed_environment_is_reported(stopped: Run, name: str, as_it_was: str) -> None:
    path = stopped.path / "checkpoint" / "checkpoint.pt"
    state = load_checkpoint(stopped) or {}
    now = state["provenance"][name]
    state["provenance"][name] = as_it_was
    torch.save(state, path)
    with pytest.raises(RunError, match=re.escape(f": {name} was {as_it_was} and is {now}: ")):
        resume(stopped.path, quiet=True)
    assert resume(stopped.path, force=True, quiet=True).finished


def test_a_checkpoint_of_another_model_is_refused_even_with_force(stopped: Run) -> None:
    state = load_checkpoint(stopped) or {}
    state["model"] = {"other.weight": torch.zeros(3)}
    torch.save(state, stopped.path / "checkpoint" / "checkpoint.pt")
    with pytest.raises(RunError, match="does not fit this model and recipe: the model: its keys"):
        resume(stopped.path, lr=0.1, force=True, quiet=True)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "trial/dot:note=other"},
        {"normalize": "none"},
        {"metrics": "dice iou"},
        {"size": 16},
        {"data": "lesions:train=6,valid=2,test=2"},
    ],
    ids=str,
)
def test_a_resume_keeps_images_model_and_metrics_even_with_force(stopped: Run, other: dict[str, Any]) -> None:
    before = (stopped.path / "recipe.toml").read_bytes()
    [name] = other
    for force in (False, True):
        with pytest.raises(RunError, match=rf"cannot be resumed: .*{name} was .*a run keeps its images") as caught:
            resume(stopped.path, **other, force=force, quiet=True)
        assert "\n" not in str(caught.value)
    assert (stopped.path / "recipe.toml").read_bytes() == before
    assert resume(stopped.path, quiet=True).finished


def test_changes_that_a_run_does_not_allow_are_refused(stopped: Run, tiny: Run, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"epochs is 1: .* has already completed 2"):
        resume(stopped.path, epochs=1, force=True, quiet=True)
    finished = Run(shutil.copytree(tiny.path, tmp_path / "finished"))
    with pytest.raises(RunError, match="is finished: only its number of epochs can be changed"):
        resume(finished.path, lr=0.1, force=True, quiet=True)
    (finished.path / "checkpoint" / "checkpoint.pt").unlink()
    with pytest.raises(RunError, match="is finished and has no checkpoint to resume: start a new run"):
        resume(finished.path, epochs=9, quiet=True)


def test_an_incomplete_checkpoint_is_refused_in_one_line(
    tiny: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = interrupt(parts, monkeypatch, 10, "trial/dot", **TINY, checkpoint_every=3, out=tmp_path / "run")
    state = load_checkpoint(broken) or {}
    for lost in ("provenance", "loss", "epoch", "history"):
        torch.save(
            {key: value for key, value in state.items() if key != lost}, broken.path / "checkpoint" / "checkpoint.pt"
        )
        with pytest.raises(RunError, match=f"does not fit this model and recipe: '{lost}'"):
            resume(broken.path, quiet=True)


def test_a_clock_set_back_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock) * 10**9)
    run = segreg.fit("trial/dot", **TINY, out=tmp_path / "run")
    assert all(0 <= row["seconds"] < 60 for row in run.history)
    assert run.results["seconds"] >= 0
