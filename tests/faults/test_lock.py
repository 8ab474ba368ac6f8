"""One process at a time in a directory; a killed process leaves no lock."""

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


def hold(directory: Path, acquired: Path) -> None:
    """Lock a directory, and never release it."""
    with locked(directory):
        acquired.open("w").close()
        os.read(os.pipe()[0], 1)


def holder(directory: Path, folder: Path) -> BaseProcess:
    """Start a process that locks a directory, and return once it has."""
    acquired = folder / "acquired"
    os.mkfifo(acquired)
    process = start(hold, directory, acquired)
    acquired.read_bytes()
    return process


def test_the_error_of_the_second_process_names_the_first(tmp_path: Path) -> None:
    process = holder(tmp_path / "run", tmp_path)
    with pytest.raises(RunError) as error, locked(tmp_path / "run"):
        pass
    assert str(error.value) == (
        f"{tmp_path / 'run'} is in use by process {process.pid} on {platform.node()}: wait for it to end, or stop it"
    )
    process.kill()
    process.join()
    # The file still exists, and is stale.
    assert (tmp_path / "run" / ".lock").exists()
    with locked(tmp_path / "run"):
        assert str(os.getpid()) in (tmp_path / "run" / ".lock").read_text()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_cannot_be_resumed_while_it_is_training(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with running(tmp_path, ["train", *FOREVER, "--out", str(out)]) as (process, _):
        with pytest.raises(RunError, match=rf"{out} is in use by process {process.pid} on "):
            resume(out, quiet=True)
        process.kill()
        process.join()
    done = len(Run(out).history)
    assert len(resume(out, epochs=done + 2, force=True, quiet=True).history) == done + 2


def test_a_study_cannot_be_started_twice_at_the_same_time(tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = ["compare", "--models", FOREVER[0], "--losses", "bce", *FOREVER[1:], "--out", str(out)]
    with running(tmp_path, words) as (process, _):
        second = start(command, tmp_path / "second", words)
        second.join()
        assert second.exitcode == 2
        output = (tmp_path / "second").read_text()
        assert output.startswith(f"segreg: {out} is in use by process {process.pid} on ")
        assert output.count("\n") == 1
