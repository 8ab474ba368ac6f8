"""What trackers receive of a run; `test_tracker_faults.py` tests that they cannot harm it."""

from pathlib import Path
from typing import Any

import pytest
import torch

import segreg
from segreg.errors import OptionError, PluginError, UnknownNameError
from segreg.recipe import make_recipe
from segreg.runs.run import Run
from segreg.studies.compare import compare
from segreg.support.progress import Display
from segreg.task import task_of
from segreg.training.fit import resume
from segreg.training.tracking import Tracking
from tests.trial import call, without_times

SETTINGS: dict[str, Any] = {
    "loss": "trial/fragile",
    "data": "trial/bands:train=6,valid=5,test=2",
    "size": (12, 8),
    "epochs": 3,
    "batch": 2,
    "device": "cpu",
}


def diary(run: Path) -> list[str]:
    return (run / "diary.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return segreg.fit("trial/dot", **SETTINGS, quiet=True, out=tmp_path_factory.mktemp("untracked") / "run")


def test_a_tracker_receives_the_run_and_changes_nothing(untracked: Run, tmp_path: Path) -> None:
    run = segreg.fit("trial/dot", **SETTINGS, track="trial/diary", quiet=True, out=tmp_path / "run")
    best = run.results["epoch"]
    assert diary(run.path) == [
        "begin trial/dot",
        "epoch 1",
        "epoch 2",
        "epoch 3",
        # An image, its ground truth and the prediction are side by side.
        f"finish {best} 0 1 3 4 (12, 24, 3, 'uint8')",
        "close",
    ]
    assert without_times(run.history) == without_times(untracked.history)
    assert run.results["metrics"] == untracked.results["metrics"]
    assert run.recipe == untracked.recipe
    assert run.recipe.track == ("trial/diary",)


@pytest.mark.parametrize("tears", ["begin", "epoch", "finish", "close"])
def test_a_tracker_that_raises_does_not_affect_the_run(
    tears: str, untracked: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track = [f"trial/diary:tears={tears}", "trial/diary"]
    run = segreg.fit("trial/dot", **SETTINGS, track=track, quiet=True, out=tmp_path / "run")
    line = (
        f"tracker trial/diary:tears={tears} failed and is disabled for the rest of this run: "
        "RuntimeError: the page is torn\n"
    )
    assert capsys.readouterr().err == line
    assert run.finished
    assert without_times(run.history) == without_times(untracked.history)
    # It was closed, and the other one received every call.
    calls = diary(run.path)
    assert calls.count("close") == 2
    assert calls.count("epoch 3") == (1 if tears in ("begin", "epoch") else 2)
    assert sum(line.startswith("finish") for line in calls) == (2 if tears in ("finish", "close") else 1)


def test_a_resumed_run_reports_its_past_epochs_and_none_twice(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "track": ["trial/diary"], "checkpoint_every": 3, "quiet": True}
    monkeypatch.setattr(parts, "TROUBLE", (5, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        segreg.fit("trial/dot", **settings, out=tmp_path / "run")
    monkeypatch.setattr(parts, "TROUBLE", None)
    assert diary(tmp_path / "run") == ["begin trial/dot", "epoch 1", "close"]
    resume(tmp_path / "run", quiet=True)
    assert diary(tmp_path / "run")[3:6] == ["begin trial/dot 1", "epoch 2", "epoch 3"]
    # Without a tracker, and with one again: neither counts as a change of the run.
    resume(tmp_path / "run", epochs=4, track="none", quiet=True)
    resume(tmp_path / "run", epochs=5, track="trial/diary", quiet=True)
    assert diary(tmp_path / "run")[-4:-2] == ["begin trial/dot 1 2 3 4", "epoch 5"]


def test_the_command_takes_trackers(tmp_path: Path) -> None:
    words = ["--data", "trial/bands:train=4,valid=2", "--size", "8", "--device", "cpu", "--epochs", "1", "-q"]
    assert call("train", "trial/dot", *words, "--track", "trial/diary", "--out", str(tmp_path / "run"))[0] == 0
    assert diary(tmp_path / "run")[-1] == "close"
    status, _, err = call("train", "trial/dot", *words, "--track", "trial/dairy", "--out", str(tmp_path / "other"))
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("segreg: unknown tracker 'trial/dairy' (did you mean 'trial/diary'?)")
    assert not (tmp_path / "other").exists()


def test_a_study_is_tracked_run_by_run_and_is_the_same_study(tmp_path: Path) -> None:
    settings = {**SETTINGS, "loss": None, "epochs": 1, "models": ["trial/dot"], "losses": ["bce", "trial/broken"]}
    del settings["loss"]
    made = compare("quick", **settings, track="trial/diary", quiet=True, out=tmp_path / "study")
    whole, broken = (diary(made.run(recipe).path) for recipe in made.plan.recipes)
    assert [line.split()[0] for line in whole] == ["begin", "epoch", "finish", "close"]
    assert broken == ["begin trial/dot", "close"]
    again = compare("quick", **settings, quiet=True, out=tmp_path / "study")
    assert again.plan == made.plan
    assert diary(again.run(again.plan.recipes[0]).path) == whole


@pytest.mark.parametrize(
    ("track", "kind", "message"),
    [
        ("tensorbord", UnknownNameError, "unknown tracker 'tensorbord' (did you mean 'tensorboard'?)"),
        ("trial/diary:tear=x", OptionError, "trial/diary has no option 'tear' (did you mean 'tears'?)"),
        (3, OptionError, "track is 3: write a list of names"),
    ],
)
def test_a_mistake_is_named(track: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        make_recipe(track=track)
    assert str(error.value).startswith(message)


def test_recipes_without_trackers_are_read(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('[recipe]\nmodel = "unet"\n')
    assert Run(tmp_path).recipe.track == ()
    assert make_recipe(track=["Trial/Diary", "trial/diary"]).track == ("trial/diary",)
    assert make_recipe(track="none").track == ()


def test_every_tracker_that_is_built_is_closed_and_a_finished_study_needs_none(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    class Connected(parts.Diary):
        def __init__(self) -> None:
            super().__init__()
            opened.append(self)

        def close(self) -> None:
            opened.remove(self)

    class Gone(parts.Diary):
        def __init__(self) -> None:
            raise PluginError("a package is missing")

    settings = {**SETTINGS, "epochs": 1, "track": "trial/diary", "quiet": True}
    monkeypatch.setattr(parts, "Diary", Connected)
    segreg.fit("trial/dot", **settings, out=tmp_path / "run")
    assert opened == []
    settings = {**settings, "models": ["trial/dot"], "losses": ["bce"], "out": tmp_path / "study"}
    del settings["loss"]
    made = compare("quick", **settings)
    assert opened == []
    (made.path / "report.html").unlink()
    monkeypatch.setattr(parts, "Diary", Gone)
    compare("quick", **settings)
    assert (made.path / "report.html").exists()


class Listener:
    """Records the calls that it receives."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


def test_images_that_cannot_be_drawn_do_not_affect_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Listener()
    image = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    samples = {"images": image, "masks": image[..., 0], "predictions": image[..., 0]}
    with Display(quiet=True) as display, Tracking({"listener": tracker}, display) as tracking:
        tracking.finish({}, samples, ["a name", "and one too many"], task_of(1))
    assert tracker.calls == ["close"]
    assert capsys.readouterr().err.startswith(
        "tracker listener failed and is disabled for the rest of this run: ValueError: "
    )
