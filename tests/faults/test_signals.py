"""Signals end a run or a study cleanly: resumable, with the status that shells expect, and one line how to resume."""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

import pytest

from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from tests.faults.children import command, posix, start

pytestmark = posix

DATA = ["--data", "lesions:train=4,valid=2,test=2", "--size", "32", "--batch", "2", "--device", "cpu"]
FOREVER = ["unet:width=2,depth=1", *DATA, "--epochs", "100000"]


def ignore_hangups() -> None:
    """Do what `nohup` does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def running(folder: Path, words: list[str], prepare: object = None) -> Iterator[tuple[BaseProcess, IO[str]]]:
    """Start a command, and continue once it has reached its third epoch."""
    log = folder / "log"
    os.mkfifo(log)
    process = start(command, log, words, prepare)
    try:
        with log.open(encoding="utf-8") as output:
            while not next(output).startswith("epoch   3/"):
                pass
            yield process, output
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize(
    ("numbers", "statuses"),
    [
        ([signal.SIGTERM], [143]),
        ([signal.SIGHUP], [129]),
        ([signal.SIGINT], [130]),
        # Whichever is delivered first.
        ([signal.SIGTERM, signal.SIGINT, signal.SIGHUP], [129, 130, 143]),
    ],
)
def test_a_signal_ends_a_run_resumably(tmp_path: Path, numbers: list[int], statuses: list[int]) -> None:
    out = tmp_path / "run"
    with running(tmp_path, ["train", *FOREVER, "--out", str(out)]) as (process, output):
        os.kill(process.pid, numbers[0])
        for number in numbers[1:]:
            os.kill(process.pid, number)
        rest = output.read().splitlines()
        process.join()
    assert process.exitcode in statuses
    run = Run(out)
    epochs = len(run.history)
    assert rest[-1] == f"interrupted after epoch {epochs} of 100000; resume with: segreg train --resume {out}"
    assert all(line.startswith("epoch ") for line in rest[:-1])
    assert load_checkpoint(run)
    assert run.model()
    assert not list(out.glob(".*"))


def test_signals_sent_continuously_while_a_run_ends_do_no_harm(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with running(tmp_path, ["train", *FOREVER, "--out", str(out)]) as (process, output):
        with contextlib.suppress(ProcessLookupError):
            while process.is_alive():
                os.kill(process.pid, signal.SIGINT)
                # More often, and the process would only handle signals.
                process.join(0.01)
        rest = output.read().splitlines()
        process.join()
    assert process.exitcode == 130
    assert rest[-1].endswith(f" of 100000; resume with: segreg train --resume {out}")
    assert load_checkpoint(Run(out))
    assert Run(out).model()


def test_a_run_under_nohup_ignores_hangups(tmp_path: Path) -> None:
    with running(tmp_path, ["train", *FOREVER, "--out", str(tmp_path / "run")], ignore_hangups) as (process, output):
        os.kill(process.pid, signal.SIGHUP)
        for _ in range(20):
            assert next(output).startswith("epoch ")
        os.kill(process.pid, signal.SIGTERM)
        output.read()
        process.join()
    assert process.exitcode == 143


def test_a_signal_ends_a_study_resumably(tmp_path: Path) -> None:
    words = ["compare", "--models", FOREVER[0], "--losses", "bce", *FOREVER[1:], "--out", str(tmp_path / "study")]
    with running(tmp_path, words) as (process, output):
        os.kill(process.pid, signal.SIGTERM)
        assert output.read().splitlines()[-1] == "interrupted; rerun the same command to resume"
        process.join()
    assert process.exitcode == 143
    assert not list((tmp_path / "study").rglob("tries.json"))
