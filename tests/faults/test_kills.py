"""`kill -9` at random moments, in the middle of writes included: nothing is lost, and the result is bit-identical.

The ordinary test run has a few kills; `SEGREG_KILLS=100 pytest tests/faults/test_kills.py` does a hundred.
"""

import contextlib
import csv
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file

from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from tests.faults.children import SMALL, compare, posix, start, train

pytestmark = posix

KILLS = int(os.environ.get("SEGREG_KILLS", "4"))
STUDY: Mapping[str, Any] = {
    "study": "quick",
    "models": ["unet:width=2,depth=1", "unet:width=2,depth=1,pool=conv"],
    "losses": ["bce"],
    "data": "lesions:train=4,valid=2,test=2",
    "size": 32,
    "epochs": 2,
    "batch": 2,
    "checkpoint_every": 1,
    "device": "cpu",
}
TIMING = {"seconds", "images_per_second"}


@attrs.define
class Count:
    kills: int = 0
    in_a_write: int = 0
    runs: int = 0

    def __str__(self) -> str:
        return f"{self.kills} kills, {self.in_a_write} in a write, {self.runs} ends bit-identical"


def rows(run: Path) -> list[dict[str, str]]:
    """The history as written, without timings; every row must be complete."""
    path = run / "history.csv"
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    header, *lines = csv.reader(text.splitlines())
    assert all(len(line) == len(header) for line in lines)
    return [{name: cell for name, cell in zip(header, line, strict=True) if name not in TIMING} for line in lines]


def same(one: Any, other: Any) -> bool:
    """Whether two states are bit-identical, except for timings."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one.keys() - TIMING)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def check_what_is_left(run: Path, unbroken: Path) -> None:
    """Check that every file is complete, and has the contents that the unbroken run had at that time."""
    written = rows(run)
    assert written == rows(unbroken)[: len(written)]
    if (run / "model.safetensors").exists():
        with torch.no_grad():
            assert Run(run).model()(torch.rand(1, 3, 32, 32)).isfinite().all()
    state = load_checkpoint(Run(run))
    if state:
        assert len(state["history"]) <= len(written) <= len(state["history"]) + 1
        if state["best_epoch"]:
            assert (run / "model.safetensors").exists()


def check_the_end(run: Path, unbroken: Path) -> None:
    assert sorted(path.name for path in run.rglob("*")) == sorted(path.name for path in unbroken.rglob("*"))
    assert rows(run) == rows(unbroken)
    for name in ("model", "scores", "samples"):
        assert same(load_file(run / f"{name}.safetensors"), load_file(unbroken / f"{name}.safetensors"))
    assert same(load_checkpoint(Run(run)), load_checkpoint(Run(unbroken)))
    results = [json.loads((path / "results.json").read_text(encoding="utf-8")) for path in (run, unbroken)]
    assert same(*results)


Target = Callable[[Path, Mapping[str, Any], Connection], None]
Moment = Callable[[BaseProcess, Connection], object]


def finish(target: Target, out: Path, settings: Mapping[str, Any]) -> int:
    """Let a process finish, and return the number of files it opened for writing."""
    ours, theirs = Pipe(duplex=False)
    with ours:
        process = start(target, out, settings, theirs)
        theirs.close()
        opened = 0
        with contextlib.suppress(EOFError):
            while True:
                opened = ours.recv()
        process.join()
    assert process.exitcode == 0
    return opened


def at_a_time(after: float) -> Moment:
    """Some seconds after the start."""
    return lambda process, _: process.join(after)


def in_a_write(number: int, after: float) -> Moment:
    """Some time after the file with the given number, in the order of writing, was opened."""

    def wait(process: BaseProcess, pipe: Connection) -> None:
        with contextlib.suppress(EOFError):
            while pipe.recv() < number:
                pass
            process.join(after)

    return wait


def killed(target: Target, out: Path, settings: Mapping[str, Any], moment: Moment, count: Count) -> None:
    """Kill a process, unless it ends first."""
    ours, theirs = Pipe(duplex=False)
    with ours:
        process = start(target, out, settings, theirs)
        theirs.close()
        moment(process, ours)
        process.kill()
        process.join()
    assert process.exitcode in (0, -9)
    if process.exitcode:
        count.kills += 1
        count.in_a_write += bool(list(out.rglob("*.partial*")))


def moments(target: Target, unbroken: Path, settings: Mapping[str, Any], seed: int) -> Iterator[Moment]:
    """Run once undisturbed, then choose moments: the first write, then alternately any and one during a write."""
    started = time.monotonic()
    opened = finish(target, unbroken, settings)
    length = time.monotonic() - started
    chance = random.Random(seed)
    # Before any file is complete: then there is nothing to resume from, and nothing in the way of starting over.
    yield in_a_write(1, 0)
    while True:
        yield at_a_time(chance.uniform(0, length))
        yield in_a_write(chance.randint(1, opened), chance.uniform(0, 0.004))


@pytest.mark.timeout(60 + 30 * KILLS)
def test_a_run_killed_again_and_again_ends_bit_identical(
    tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    unbroken, out = tmp_path / "unbroken", tmp_path / "run"
    when, count = moments(train, unbroken, SMALL, seed=0), Count()
    while count.kills < KILLS:
        # Each run is killed up to three times: in its first process, and when resumed.
        for moment in islice(when, 1 + count.runs % 3):
            killed(train, out, SMALL, moment, count)
            check_what_is_left(out, unbroken)
        finish(train, out, SMALL)
        check_the_end(out, unbroken)
        shutil.rmtree(out)
        count.runs += 1
    record_property(
        "summary", f"runs: {count.kills} kills, {count.in_a_write} in a write, {count.runs} ends bit-identical"
    )


def table(study: Path) -> list[dict[str, str]]:
    """The results of a study, without timings."""
    lines = csv.DictReader((study / "results.csv").read_text(encoding="utf-8").splitlines())
    return [{name: cell for name, cell in row.items() if name not in TIMING} for row in lines]


@pytest.mark.timeout(60 + 30 * KILLS)
def test_a_study_killed_again_and_again_ends_bit_identical(
    tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    unbroken, out = tmp_path / "unbroken", tmp_path / "study"
    when, count = moments(compare, unbroken, STUDY, seed=1), Count()
    kills = max(2, KILLS // 4)
    while count.kills < kills:
        # Not more often, since a run that kills the process three times without progress is not tried again.
        for moment in islice(when, 1 + count.runs % 2):
            killed(compare, out, STUDY, moment, count)
            for run in out.glob("runs/*"):
                check_what_is_left(run, unbroken / "runs" / run.name)
        before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/results.json")}
        finish(compare, out, STUDY)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert table(out) == table(unbroken)
        names = [sorted(str(path.relative_to(each)) for path in each.rglob("*")) for each in (out, unbroken)]
        assert names[0] == names[1]
        shutil.rmtree(out)
        count.runs += 1
    record_property(
        "summary", f"studies: {count.kills} kills, {count.in_a_write} in a write, {count.runs} ends bit-identical"
    )
