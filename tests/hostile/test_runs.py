"""Run directories from untrusted sources: refused in one line, nothing executed, no memory beyond the file contents."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import segreg
from segreg.runs.run import Run
from tests.hostile.runs import (
    ABOUT,
    EVIL_MODULE,
    HISTORIES,
    RECIPES,
    SOUND_HISTORY,
    SOUND_RESULTS,
    archived,
    models,
    results,
    samples,
    saved,
    states,
)
from tests.trial import call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")

SECONDS = 20  # of CPU time, where milliseconds are usual
MEGABYTES = 100  # beyond the memory used before; the largest file has one

SOUND = [f"{file}-sound" for file in ("model", "checkpoint", "recipe", "results", "history", "samples")]


def write(folder: Path, name: str, file: str, content: bytes) -> None:
    """Write a file of a run."""
    path = folder / name.replace("/", "_").replace("\0", "0") / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of each directory, in a process limited to a quarter of a gigabyte."""
    folder, mark = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("mark") / "executed"
    modules = tmp_path_factory.mktemp("modules")
    (modules / "evil_module.py").write_text(EVIL_MODULE.format(mark=str(mark)))
    weights = dict(segreg.build("unet", width=4, depth=1).state_dict())
    for name, content in models(mark, weights).items():
        write(folder, f"model-{name}", "model.safetensors", content)
        if not name.startswith(("architecture", "options", "normalize")):
            write(folder, f"scores-{name}", "scores.safetensors", content)
    write(folder, "model-sound", "model.safetensors", saved(weights, ABOUT))
    for name, content in states(mark).items():
        write(folder, f"checkpoint-{name}", "checkpoint/checkpoint.pt", content)
    sound = archived({"model": weights, "history": [{"epoch": 1.0}]})
    write(folder, "checkpoint-sound", "checkpoint/checkpoint.pt", sound)
    for name, line in {**RECIPES, "sound": ""}.items():
        write(folder, f"recipe-{name}", "recipe.toml", f"[recipe]\n{line}\n".encode())
    for name, content in {**results(), "sound": json.dumps(SOUND_RESULTS).encode()}.items():
        write(folder, f"results-{name}", "results.json", content)
    for name, content in {**HISTORIES, "sound": SOUND_HISTORY}.items():
        write(folder, f"history-{name}", "history.csv", content)
    for name, content in samples().items():
        write(folder, f"samples-{name}", "samples.safetensors", content)
    files = [
        "model.safetensors",
        "checkpoint/checkpoint.pt",
        "recipe.toml",
        "results.json",
        "history.csv",
        "scores.safetensors",
        "samples.safetensors",
    ]
    for file in files:
        for name in ("pipe", "endless", "circle", "folder"):
            path = folder / f"{Path(file).stem}-{name}" / file
            path.parent.mkdir(parents=True)
            if name == "pipe":
                os.mkfifo(path)
            elif name == "folder":
                path.mkdir()
            else:
                path.symlink_to("/dev/zero" if name == "endless" else path.name)
    for path in folder.iterdir():
        if path.name.startswith(("results-", "history-", "samples-")):
            write(folder, path.name, "recipe.toml", b'[recipe]\nmetrics = ["iou"]\nsize = [32, 32]\n')
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.open_run", str(folder)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(modules)])},
    )
    assert done.returncode == 0, done.stderr
    found, imported = json.loads(done.stdout)
    return {"found": found, "imported": imported, "mark": mark, "folder": folder}


def test_valid_files_are_read_within_the_same_memory_limit(outcomes: dict[str, Any]) -> None:
    read = {name for name, outcome, *_ in outcomes["found"] if outcome == "read"}
    assert read >= set(SOUND)
    # A link to itself counts as missing, and tensors without metadata on a model are tensors.
    others = {
        name for name in read if not name.startswith(("scores-metadata", "scores-no-", "scores-other", "scores-few"))
    }
    assert others == {*SOUND, "history-circle", "checkpoint-circle"}


def test_whatever_a_file_contains_it_is_refused_in_one_line(outcomes: dict[str, Any]) -> None:
    found = outcomes["found"]
    print(f"{len(found) - len(SOUND)} hostile or damaged files of runs")
    assert len(found) >= 150
    for name, outcome, message, megabytes, seconds in found:
        assert outcome != "broken", (name, message)
        if outcome == "refused":
            assert message.isprintable(), name
            assert len(message) < 2500, name
            assert "MemoryError" not in message, name
            assert "allocate" not in message, name
            # torch's message explains how to run the code in a file.
            assert "trust" not in message or "pip install" in message, name
        assert megabytes < MEGABYTES, name
        assert seconds < SECONDS, name


def test_the_message_names_the_file(outcomes: dict[str, Any]) -> None:
    for name, outcome, message, *_ in outcomes["found"]:
        if outcome == "refused" and not name.startswith("recipe-"):
            assert str(outcomes["folder"] / name) in message


def test_nothing_was_executed_and_nothing_imported(outcomes: dict[str, Any]) -> None:
    assert not outcomes["mark"].exists()
    assert not outcomes["imported"]


def test_the_payload_would_have_been_executed(tmp_path: Path) -> None:
    """Otherwise the test above proves nothing."""
    content = states(tmp_path / "mark")["pickle-in-archive"]
    (tmp_path / "state.pt").write_bytes(content)
    torch.load(tmp_path / "state.pt", weights_only=False)
    assert (tmp_path / "mark").exists()


def test_a_run_with_such_a_checkpoint_is_not_resumed(
    tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "TROUBLE", (1, RuntimeError("enough")))
    settings = {
        "data": "trial/bands:train=4,valid=2",
        "size": 8,
        "epochs": 2,
        "batch": 4,
        "device": "cpu",
        "quiet": True,
    }
    with pytest.raises(RuntimeError, match="enough"):
        segreg.fit("trial/dot", loss="trial/fragile", out=tmp_path / "run", **settings)
    path = tmp_path / "run" / "checkpoint" / "checkpoint.pt"
    for name, content in states(tmp_path / "mark").items():
        path.write_bytes(content)
        status, out, err = call("train", "--quiet", "--resume", str(tmp_path / "run"))
        assert (status, out) == (2, ""), name
        assert err.startswith(f"segreg: {path} cannot be read: "), name
        assert err.count("\n") == 1
    assert not (tmp_path / "mark").exists()


def test_the_error_for_a_file_that_names_a_plugin_names_the_plugin(tmp_path: Path) -> None:
    about = {**ABOUT, "architecture": "evil_module/payload", "plugin": "evil-module 6.6.6"}
    (tmp_path / "model.safetensors").write_bytes(saved({"w": torch.zeros(1)}, about))
    with pytest.raises(segreg.PluginError, match=r"saved with evil-module 6\.6\.6: if you know and trust that"):
        Run(tmp_path).model()
