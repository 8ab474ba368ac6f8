"""Damaged files of finished runs, met by every command that reads them: one line that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import segreg
from segreg.errors import SegregError
from segreg.runs.tensor_file import write_tensors
from tests.trial import call

STUDY: dict[str, Any] = {
    "models": ["trial/dot"],
    "losses": ["bce", "dice"],
    "data": "trial/bands:train=4,valid=2",
    "size": 8,
    "epochs": 1,
    "device": "cpu",
}

WORDS = [
    "--models",
    "trial/dot",
    "--losses",
    "bce",
    "dice",
    "--data",
    "trial/bands:train=4,valid=2",
    "--size",
    "8",
    "--epochs",
    "1",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segreg.compare(**STUDY, quiet=True, out=tmp_path_factory.mktemp("studies") / "study").path


def without_valid(path: Path) -> None:
    results = json.loads(path.read_text())
    del results["metrics"]["valid"]
    path.write_text(json.dumps(results))


def fewer_images(path: Path) -> None:
    write_tensors(path, {name: tensor[:1] for name, tensor in load_file(path).items()})


def other_names(path: Path) -> None:
    write_tensors(path, {f"x{name}": tensor for name, tensor in load_file(path).items()})


def other_types(path: Path) -> None:
    write_tensors(path, {name: tensor.to(torch.int8) for name, tensor in load_file(path).items()})


def without_digest(path: Path) -> None:
    save_file(load_file(path), path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def nonsense(path: Path) -> None:
    path.write_bytes(b"\xff\x00 nonsense")


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def header_only(path: Path) -> None:
    path.write_text("epoch,train_loss\n1,2\n")


DAMAGES = {
    "results.json": [without_valid, emptied, nonsense, deep],
    "scores.safetensors": [fewer_images, other_names, other_types, without_digest, emptied, nonsense],
    "samples.safetensors": [other_names, other_types, without_digest, emptied, nonsense],
    "history.csv": [header_only, emptied, nonsense],
    "recipe.toml": [emptied, nonsense],
}


@pytest.mark.parametrize(
    ("name", "damage"), [(name, damage) for name, damages in DAMAGES.items() for damage in damages]
)
def test_a_study_with_a_damaged_file_is_refused_in_one_line(
    finished: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    study = shutil.copytree(finished, tmp_path / "study")
    for run in (study / "runs").iterdir():
        damage(run / name)
    status, _, err = call("compare", *WORDS, "--out", str(study), "--quiet")
    [line] = err.splitlines()
    assert status == 2
    assert name in line or name == "samples.safetensors"
    # A run of such a study: whatever its files hold, each command ends in order.
    run = next((study / "runs").iterdir())
    for verb in (["train", "--resume", str(run)], ["evaluate", str(run), "--out", str(tmp_path / "evaluation")]):
        status, _, err = call(*verb, "--quiet")
        assert status in (0, 2)
        assert "Traceback" not in err


@pytest.mark.parametrize("name", ["results.json", "scores.safetensors"])
def test_a_damaged_run_is_not_published_with_wrong_numbers(finished: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(next((finished / "runs").iterdir()), tmp_path / "run")
    predictor = segreg.load(run)
    nonsense(run / name)
    with pytest.raises(SegregError, match=name) as caught:
        segreg.load(run).save_pretrained(tmp_path / "saved")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "saved" / "README.md").exists()
    assert predictor.about.classes


def test_a_study_is_not_a_model(finished: Path, tmp_path: Path) -> None:
    status, out, err = call("predict", str(finished), str(finished / "samples.png"), "--out", str(tmp_path / "out"))
    assert (status, out) == (2, "")
    assert "it is a study" in err
