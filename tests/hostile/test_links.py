"""Links and pipes in directories from untrusted sources: nothing outside is written, and nothing waits."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import segreg
from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.training.fit import resume
from tests.trial import interrupt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")

SETTINGS: dict[str, Any] = {"data": "trial/bands:train=4,valid=2", "size": 8, "epochs": 2, "batch": 2, "device": "cpu"}
SETTINGS["quiet"] = True
STUDY: dict[str, Any] = {**SETTINGS, "models": ["trial/dot"], "losses": ["bce", "dice"]}


def link(path: Path, target: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def hard_link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.hardlink_to(target)


def pipe(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with files that nobody may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("precious.txt", "1.jpg", "checkpoint.pt"):
        (folder / name).write_text("precious")
    return folder


def untouched(outside: Path) -> bool:
    return {path.name: path.read_text() for path in outside.iterdir()} == dict.fromkeys(
        ("precious.txt", "1.jpg", "checkpoint.pt"), "precious"
    )


@pytest.fixture
def stopped(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    return interrupt(
        parts, monkeypatch, 1, "trial/dot", loss="trial/fragile", **SETTINGS, checkpoint_every=1, out=tmp_path / "run"
    )


@pytest.mark.parametrize("name", ["recipe.toml", "checkpoint", "worst", "tensorboard", "history.csv", "anything"])
def test_links_in_a_run_are_refused_in_one_line(stopped: Run, outside: Path, name: str) -> None:
    path = stopped.path / name
    if name == "recipe.toml":
        shutil.copy(path, outside.parent / name)
        link(path, outside.parent / name)
    else:
        link(path, outside)
    with pytest.raises(RunError, match=rf"{name} is a link, through which") as caught:
        resume(stopped.path, quiet=True)
    assert "\n" not in str(caught.value)
    assert untouched(outside)


@pytest.mark.parametrize("make", [link, hard_link, pipe])
def test_nothing_stands_in_for_a_lock(stopped: Run, outside: Path, make: Callable[[Path, Path], None]) -> None:
    make(stopped.path / ".lock", outside / "precious.txt")
    with pytest.raises(RunError, match=r"\.lock is not a lock file of segreg"):
        resume(stopped.path, quiet=True)
    assert untouched(outside)


@pytest.mark.parametrize("make", [link, hard_link, pipe])
def test_temporary_names_are_taken_back(stopped: Run, outside: Path, make: Callable[[Path, Path], None]) -> None:
    for name in ("recipe.partial.toml", "history.partial.csv", "model.partial.safetensors", "results.partial.json"):
        make(stopped.path / f".{name}", outside / "precious.txt")
    if make is link:
        # Links are refused before anything is written.
        with pytest.raises(RunError, match="is a link, through which"):
            resume(stopped.path, quiet=True)
    else:
        assert resume(stopped.path, quiet=True).finished
        assert not list(stopped.path.glob(".*partial*"))
    assert untouched(outside)


def test_the_given_path_may_lead_through_links(stopped: Run, tmp_path: Path) -> None:
    (tmp_path / "scratch").symlink_to(tmp_path)
    (tmp_path / "latest").symlink_to(stopped.path)
    assert resume(tmp_path / "scratch" / "latest", quiet=True).finished


def test_a_trackers_folder_may_contain_links_that_stay_inside(stopped: Run, outside: Path) -> None:
    log = stopped.path / "log"
    (log / "run-1").mkdir(parents=True)
    (log / "latest").symlink_to("run-1")
    link(log / "run-1" / "bad", outside)
    with pytest.raises(RunError, match="bad is a link, through which"):
        resume(stopped.path, quiet=True)
    (log / "run-1" / "bad").unlink()
    assert resume(stopped.path, quiet=True).finished


@pytest.mark.parametrize("name", ["runs", "runs/RUN", "report.html", "study.toml", "results.csv"])
def test_links_in_a_study_are_refused_in_one_line(tmp_path: Path, outside: Path, name: str) -> None:
    study = segreg.compare(**STUDY, out=tmp_path / "study")
    runs = sorted((study.path / "runs").iterdir())
    path = study.path / name.replace("RUN", runs[0].name)
    if path.suffix == ".toml":
        shutil.copy(path, outside.parent / path.name)
        link(path, outside.parent / path.name)
    elif path.suffix:
        link(path, outside / "precious.txt")
    else:
        link(path, outside)
    with pytest.raises(RunError, match=rf"{path.name} is a link, through which"):
        segreg.compare(**STUDY, out=tmp_path / "study")
    assert untouched(outside)


@pytest.mark.parametrize("name", ["tries.json", "failed.txt"])
def test_pipes_in_a_study_are_not_waited_for(tmp_path: Path, name: str) -> None:
    study = segreg.compare(**STUDY, out=tmp_path / "study")
    [run, _] = (study.run(recipe) for recipe in study.plan.recipes)
    (run.path / "results.json").unlink()
    pipe(run.path / name, run.path)
    again = segreg.compare(**STUDY, out=tmp_path / "study")
    assert [configuration.failure for configuration in again.configurations] == ["", ""]


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"tries": Infinity}', b'{"tries": 1e999}', b"[]", b"\xff", b""])
def test_a_damaged_count_of_tries_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    study = segreg.compare(**STUDY, out=tmp_path / "study")
    run = study.run(study.plan.recipes[0])
    (run.path / "results.json").unlink()
    (run.path / "tries.json").write_bytes(content)
    assert all(each.runs for each in segreg.compare(**STUDY, out=tmp_path / "study").configurations)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\n\n", b"\x1b]0;owned\x07"])
def test_a_damaged_reason_of_a_failure_costs_the_report_nothing(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    study = segreg.compare(**STUDY, out=tmp_path / "study")
    run = study.run(study.plan.recipes[0])
    (run.path / "results.json").unlink()
    (run.path / "failed.txt").write_bytes(content)
    read = segreg.Study.read(study.path)
    assert [bool(each.runs) for each in read.configurations] == [False, True]
    assert "\n" not in read.configurations[0].failure
