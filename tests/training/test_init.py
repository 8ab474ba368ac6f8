"""Runs that begin with the weights of another run, or of a file."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import segreg
from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.support.files import read_toml
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import call, interrupt, without_times

MODEL = "unet:width=4,depth=1"
DATA = "trial/bands:height=32,width=32,train=4,valid=2"
SETTINGS: dict[str, Any] = {"data": DATA, "size": 32, "epochs": 1, "batch": 4, "device": "cpu", "quiet": True}
# Steps that change nothing, so that a run ends with the parameters that it began with.
STILL = {"optimizer": "sgd:lr=1e-30,weight_decay=0,momentum=0"}
WORDS = ("--data", DATA, "--size", "32", "--epochs", "1", "--batch", "4", "--device", "cpu")
STILL_WORDS = ("--optimizer", STILL["optimizer"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two epochs, with another seed than those that begin with it."""
    out = tmp_path_factory.mktemp("source") / "run"
    return segreg.fit(MODEL, **{**SETTINGS, "epochs": 2, "seed": 7}, out=out)


def parameters(run: Run) -> dict[str, Tensor]:
    tensors = load_file(run.path / "model.safetensors")
    return {name: tensor for name, tensor in tensors.items() if "running" not in name and "num_batches" not in name}


def untrained(seed: int = 0, model: str = MODEL, **facts: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return segreg.build(model, **facts).state_dict()


@pytest.mark.parametrize("ema", [False, True])
@pytest.mark.parametrize("what", ["run", "file"])
def test_a_run_begins_with_the_weights_of_a_run_or_its_file(what: str, ema: bool, source: Run, tmp_path: Path) -> None:
    given = source.path if what == "run" else source.path / "model.safetensors"
    run = segreg.fit(MODEL, **SETTINGS, **STILL, ema=ema, init=given, out=tmp_path / "run")
    mine, theirs = parameters(run), parameters(source)
    for name in theirs:
        torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=1e-7 if ema else 0)
    assert run.recipe.init == str(given)
    written = read_toml(run.path / "recipe.toml")["init"]
    assert written == run.initial_weights
    assert written["source"] == str(given)
    other = segreg.fit(MODEL, **SETTINGS, init=run.path, out=tmp_path / "other")
    assert len(written["digest"]) == 64
    assert other.initial_weights["digest"] != written["digest"]
    assert "init" not in read_toml(source.path / "recipe.toml")


def test_all_that_is_taken_is_said_in_one_line(source: Run, tmp_path: Path) -> None:
    words = ("train", MODEL, *WORDS, "--init", str(source.path))
    status, _, err = call(*words, "--out", str(tmp_path / "run"))
    number = len(load_file(source.path / "model.safetensors"))
    assert status == 0
    assert f"init: {number} of {number} tensors taken from {source.path}\n" in err
    # Nothing is missing, and so nothing is said where nothing was asked to be shown.
    assert call(*words, "-q", "--out", str(tmp_path / "quiet"))[2] == ""


@pytest.mark.parametrize(
    ("data", "begun"),
    [
        (
            "trial/bands:height=32,width=32,train=4,valid=2,classes=[a,b,c]",
            {"head.weight": "[3, 4, 1, 1]", "head.bias": "[3]"},
        ),
        ("trial/bands:height=32,width=32,train=4,valid=2,channels=1", {"encoder.0.0.0.weight": "[4, 1, 3, 3]"}),
    ],
    ids=["classes", "channels"],
)
def test_what_does_not_fit_is_random_and_named(data: str, begun: dict[str, str], source: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    words = ("train", MODEL, *WORDS, *STILL_WORDS, "--data", data, "--loss", "cross-entropy")
    status, _, err = call(*words, "--init", str(source.path), "-q", "--out", str(run.path))
    assert status == 0, err
    [line] = err.splitlines()
    names = ", ".join(f"{name} {shape}" for name, shape in begun.items())
    assert line.endswith(f"; not taken, and as they would be without it: {names}")
    facts = {"num_classes": 3} if "classes" in data else {"in_channels": 1}
    mine, theirs, random = parameters(run), parameters(source), untrained(**facts)
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, random[name] if name in begun else theirs[name], rtol=0, atol=1e-20)


def test_a_file_of_anybody_is_taken_by_name(source: Run, tmp_path: Path) -> None:
    tensors = load_file(source.path / "model.safetensors")
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    some = {name: tensor for name, tensor in halves.items() if name.startswith("encoder.")}
    file = tmp_path / "encoder.safetensors"
    save_file({**some, "fc.weight": torch.ones(3)}, file)
    words = ("train", MODEL, *WORDS, *STILL_WORDS, "--init", str(file), "-q", "--out", str(tmp_path / "run"))
    status, _, err = call(*words)
    taken = f"init: {len(some)} of {len(tensors)} tensors taken from {file}, which has 1 tensor more; not taken, and"
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith(taken)
    assert " more\n" in err
    mine, random = parameters(Run(tmp_path / "run")), untrained()
    for name, tensor in mine.items():
        expected = some[name].float() if name in some else random[name]
        torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-20)


def test_a_resumed_run_does_not_need_the_file_again(
    source: Run, tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "loss": "trial/fragile", "batch": 2, "epochs": 3, "init": tmp_path / "source"}
    shutil.copytree(source.path, tmp_path / "source")
    unbroken = segreg.fit(MODEL, **settings, out=tmp_path / "unbroken")
    broken = interrupt(parts, monkeypatch, 3, MODEL, **settings, checkpoint_every=1, out=tmp_path / "broken")
    begun = interrupt(parts, monkeypatch, 1, MODEL, **settings, out=tmp_path / "begun")
    shutil.rmtree(tmp_path / "source")
    resumed = resume(broken.path, quiet=True)
    assert without_times(resumed.history) == without_times(unbroken.history)
    mine, theirs = ((load_checkpoint(each) or {})["model"] for each in (resumed, unbroken))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert resumed.initial_weights == unbroken.initial_weights != {}
    assert resume(resumed.path, epochs=4, quiet=True).initial_weights == unbroken.initial_weights
    # Without a checkpoint, it starts over.
    with pytest.raises(segreg.RunError, match="source does not exist"):
        resume(begun.path, quiet=True)


def test_init_cannot_change_on_resume(source: Run, tmp_path: Path) -> None:
    run = segreg.fit(MODEL, **SETTINGS, out=tmp_path / "run")
    with pytest.raises(segreg.RunError, match=r"init was none and is .*; start a new run from its weights with --init"):
        resume(run.path, init=source.path, epochs=3, force=True, quiet=True)


def test_other_data_on_resume_are_pointed_to_init(source: Run, tmp_path: Path) -> None:
    run = Run(shutil.copytree(source.path, tmp_path / "a run"))
    words = ("train", "--resume", str(run.path), "--data", DATA.replace("train=4", "train=5"), "--epochs", "4")
    status, _, err = call(*words, "--force")
    assert (status, err.count("\n")) == (2, 1)
    assert err.endswith(f"even with --force; start a new run from its weights with --init '{run.path}'\n")
    (run.path / "checkpoint" / "checkpoint.pt").unlink()
    status, _, err = call("train", "--resume", str(run.path), "--epochs", "4")
    assert (status, err.count("\n")) == (2, 1)
    assert err.endswith(f"no checkpoint to resume: start a new run from its weights with --init '{run.path}'\n")


class Payload:
    """Creates a folder where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def bad_files(folder: Path, source: Run) -> dict[str, tuple[Path, str]]:
    """What cannot be used as init, with what is said about it."""
    model = (source.path / "model.safetensors").read_bytes()
    folder.mkdir()
    paths = {
        name: folder / name for name in ("text.safetensors", "cut.safetensors", "nan.safetensors", "other.safetensors")
    }
    paths["text.safetensors"].write_text("not weights")
    paths["cut.safetensors"].write_bytes(model[: len(model) // 2])
    save_file({"head.bias": torch.tensor([float("nan")])}, paths["nan.safetensors"])
    save_file({"layer1.weight": torch.ones(3)}, paths["other.safetensors"])
    flipped = folder / "flipped" / "model.safetensors"
    flipped.parent.mkdir()
    flipped.write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
    torch.save(Payload(folder / "executed"), folder / "weights.pth")
    (folder / "weights.pkl").write_bytes(pickle.dumps(Payload(folder / "executed")))
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "empty").mkdir()
    convert = "holds pickled objects, which can run code when they are read: convert it once, with safetensors.torch."
    return {
        "text": (paths["text.safetensors"], "is not a safetensors file: "),
        "cut": (paths["cut.safetensors"], "is not a safetensors file: "),
        "nan": (
            paths["nan.safetensors"],
            "cannot be used as init: its tensor head.bias has values that are not finite",
        ),
        "flipped": (flipped.parent, "it is damaged: its digest is not that of its content"),
        "pickled": (folder / "weights.pth", convert),
        "pickle": (folder / "weights.pkl", convert),
        "pipe": (folder / "pipe.safetensors", "it is not a regular file"),
        "empty": (folder / "empty", "holds no model.safetensors"),
        "missing": (folder / "text.safetensor", "does not exist (did you mean 'text.safetensors'?)"),
        "other": (
            paths["other.safetensors"],
            "whose weights are of another architecture: no name and shape is one of this model's; the first of the "
            "model is decoder.0.0.0.weight [4, 8, 3, 3], that of the file layer1.weight [3]",
        ),
    }


def test_what_cannot_be_used_is_one_line_and_nothing_is_executed(source: Run, tmp_path: Path) -> None:
    for name, (path, said) in bad_files(tmp_path / "files", source).items():
        status, out, err = call("train", MODEL, *WORDS, "--init", str(path), "--out", str(tmp_path / "run"))
        assert (status, out, err.count("\n")) == (2, "", 1), (name, err)
        assert said in err, (name, err)
        assert not (tmp_path / "run").exists()
    assert not (tmp_path / "files" / "executed").exists()


def test_shapes_that_fit_nowhere_are_of_another_architecture(source: Run, tmp_path: Path) -> None:
    """Known only once the data are: the names fit."""
    file = tmp_path / "wide.safetensors"
    save_file({name: torch.ones(99) for name in load_file(source.path / "model.safetensors")}, file)
    status, _, err = call("train", MODEL, *WORDS, "-q", "--init", str(file), "--out", str(tmp_path / "run"))
    assert (status, err.count("\n")) == (2, 1)
    assert "whose weights are of another architecture" in err


def test_a_study_begins_every_run_with_them(source: Run, tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = ("compare", "--models", MODEL, "--losses", "bce", "dice", *WORDS, *STILL_WORDS, "--init", str(source.path))
    status, _, err = call(*words, "-q", "--out", str(out))
    assert status == 0, err
    runs = [run for each in segreg.Study.read(out).configurations for run in each.runs]
    assert len(runs) == 2
    for run in runs:
        assert all(torch.equal(tensor, parameters(source)[name]) for name, tensor in parameters(run).items())
    save_file({"layer1.weight": torch.ones(3)}, tmp_path / "other.safetensors")
    words = (*words[:-1], str(tmp_path / "other.safetensors"))
    status, _, err = call(*words, "-q", "--out", str(tmp_path / "other"))
    assert (status, err.count("\n")) == (2, 1)
    assert "of another architecture" in err
    assert not (tmp_path / "other").exists()


def test_a_frozen_part_that_was_taken_is_not_random(source: Run, tmp_path: Path) -> None:
    words = ("train", MODEL, *WORDS, "--init", str(source.path), "--freeze", "encoder", "-q")
    status, _, err = call(*words, "--out", str(tmp_path / "run"))
    assert (status, err) == (0, "")
    after, before = (load_file(each / "model.safetensors") for each in (tmp_path / "run", source.path))
    # With its statistics.
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("encoder."))
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_a_study_does_not_compare_runs_that_began_with_other_weights(tmp_path: Path) -> None:
    model, settings = "unet:width=4,depth=1", {"size": 32, "batch": 4, "device": "cpu", "quiet": True}
    data = "lesions:size=32,train=4,valid=2,test=2"
    first = segreg.fit(model, data=data, epochs=1, **settings, out=tmp_path / "first")
    study = {"models": [model], "losses": ["bce"], "data": data, "epochs": 1, "init": str(first.path), **settings}
    segreg.compare(**study, seeds=[0], out=tmp_path / "study")
    assert len(segreg.compare(**study, seeds=[0, 1], out=tmp_path / "study").plan.recipes) == 2
    resume(first.path, epochs=2, quiet=True)
    with pytest.raises(RunError, match=r"first has changed since .* began with its weights, .*choose another --out"):
        segreg.compare(**study, seeds=[0, 1, 2], out=tmp_path / "study")
    # What is finished can still be read.
    assert len(segreg.compare(**study, seeds=[0, 1], out=tmp_path / "study").configurations[0].runs) == 2
