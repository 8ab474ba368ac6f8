"""One process at a time in a directory; a process that was killed locks nobody out."""

import os
import platform
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.support.lock import locked
from segreg.training.fit import resume
from tests.faults.children import command, posix, start
from tests.faults.test_signals import FOREVER, running

pytestmark = posix


def hold(directory: Path, taken: Path) -> None:
    """Lock a directory, and never let go of it."""
    with locked(directory):
        taken.open("w").close()
        os.read(os.pipe()[0], 1)


def holder(directory: Path, folder: Path) -> BaseProcess:
    """Start a process that holds a directory, and return when it does."""
    taken = folder / "taken"
    os.mkfifo(taken)
    process = start(hold, directory, taken)
    taken.read_bytes()
    return process


def test_the_second_process_is_told_of_the_first(tmp_path: Path) -> None:
    process = holder(tmp_path / "run", tmp_path)
    with pytest.raises(RunError) as error, locked(tmp_path / "run"):
        pass
    assert str(error.value) == (
        f"{tmp_path / 'run'} is in use by process {process.pid} on {platform.node()}: "
        "wait until that has ended, or stop it"
    )
    process.kill()
    process.join()
    # The file is still there, and stale.
    assert (tmp_path / "run" / ".lock").exists()
    with locked(tmp_path / "run"):
        assert str(os.getpid()) in (tmp_path / "run" / ".lock").read_text()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_is_at_work_cannot_be_resumed_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with running(tmp_path, ["train", *FOREVER, "--out", str(out)]) as (process, _):
        with pytest.raises(RunError, match=rf"{out} is in use by process {process.pid} on "):
            resume(out, quiet=True)
        process.kill()
        process.join()
    done = len(Run(out).history)
    assert len(resume(out, epochs=done + 2, force=True, quiet=True).history) == done + 2


def test_a_study_that_is_at_work_cannot_be_made_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = ["compare", "--models", FOREVER[0], "--losses", "bce", *FOREVER[1:], "--out", str(out)]
    with running(tmp_path, words) as (process, _):
        second = start(command, tmp_path / "second", words)
        second.join()
        assert second.exitcode == 2
        said = (tmp_path / "second").read_text()
        assert said.startswith(f"segreg: {out} is in use by process {process.pid} on ")
        assert said.count("\n") == 1
