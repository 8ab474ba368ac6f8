"""Single flipped bits in the binary files of a run: none goes unnoticed.

`FLIPS=300 pytest tests/hostile/test_bit_rot.py -n 0` tries more.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import segreg
from segreg.errors import SegregError
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import interrupt

FLIPS = int(os.environ.get("FLIPS", "40"))
SETTINGS: dict[str, Any] = {
    "data": "trial/bands:train=6,valid=2",
    "size": 8,
    "epochs": 3,
    "batch": 2,
    "device": "cpu",
    "quiet": True,
    "checkpoint_every": 1,
}


def flipped(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def same(one: Any, other: Any) -> bool:
    """Whether two values in containers in containers are equal, bit by bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


READERS: dict[str, Callable[[Run], Any]] = {
    "model.safetensors": lambda run: run.model().state_dict(),
    "scores.safetensors": lambda run: run.scores,
    "samples.safetensors": lambda run: run.samples,
    "checkpoint/checkpoint.pt": load_checkpoint,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return segreg.fit("trial/dot", **SETTINGS, out=tmp_path_factory.mktemp("rot") / "run")


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_is_refused_or_changes_nothing(finished: Run, tmp_path: Path, name: str) -> None:
    read, rng, messages = READERS[name], random.Random(name), list[str]()
    sound = read(finished)
    run = Run(shutil.copytree(finished.path, tmp_path / "run"))
    for _ in range(FLIPS):
        shutil.copy(finished.path / name, run.path / name)
        flipped(run.path / name, rng)
        try:
            found = read(run)
        except SegregError as error:
            messages.append(str(error))
        else:
            assert same(found, sound)
    assert len(messages) > FLIPS / 4
    assert not [message for message in messages if "\n" in message]


def test_a_resume_from_a_checkpoint_with_a_flipped_bit_ends_the_same_or_is_refused(
    finished: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "loss": "trial/fragile"}
    unbroken = segreg.fit("trial/dot", **settings, out=tmp_path / "unbroken").model().state_dict()
    stopped = interrupt(parts, monkeypatch, 5, "trial/dot", **settings, out=tmp_path / "run")
    rng = random.Random(0)
    for number in range(FLIPS // 4):
        run = Run(shutil.copytree(stopped.path, tmp_path / f"run-{number}"))
        flipped(run.path / "checkpoint" / "checkpoint.pt", rng)
        try:
            resume(run.path, quiet=True)
        except SegregError:
            continue
        assert same(run.model().state_dict(), unbroken)
