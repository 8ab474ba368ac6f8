"""The command as a whole: verbs, help, exit statuses, and where messages go."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import pytest

from tests.trial import PLUGIN, call

VERBS = [
    "list",
    "show",
    "plugins",
    "new-plugin",
    "check",
    "train",
    "compare",
    "evaluate",
    "predict",
    "export",
    "bench",
]


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in its own process, with the plugin of the tests installed."""
    path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_help_names_every_verb(words: list[str]) -> None:
    status, out, err = call(*words)
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    status, out, err = call(verb, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: segreg {verb} ")


def test_the_help_of_train_comes_from_the_recipe() -> None:
    out = " ".join(call("train", "--help")[1].split())
    assert "--epochs EPOCHS Number of passes over the training set, at least 1. Default: 40." in out
    assert "--metrics METRICS [METRICS ...], --metric METRICS" in out
    assert "such as affine:degrees=90" in out
    assert "--size SIZE" in out
    assert "Default: 256x256." in out
    assert "--preset PRESET settings to start from: default or original" in out


def test_the_version_is_that_of_the_distribution() -> None:
    assert call("--version") == (0, f"segreg {version('segreg')}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], f"unknown command 'trian' (did you mean 'train'?); available: {', '.join(VERBS)}"),
        (["--verson"], "unknown command '--verson'"),
        (["list", "--jsn"], "unknown argument '--jsn' (did you mean '--json'?): see `segreg list --help`"),
        (["list", "losses", "metrics"], "unknown argument 'metrics'"),
        (["list", "loses"], "unknown kind of component 'loses' (did you mean 'loss'?)"),
        (["show"], "the following arguments are required: name: see `segreg show --help`"),
        (["train", "--epoch", "0"], "unknown argument '--epoch' (did you mean '--epochs'?)"),
        (["train", "--epochs"], "argument --epochs: expected one argument"),
        (["compare", "--model", "unet"], "unknown argument '--model' (did you mean '--models'?)"),
        (["compare", "--seed=1"], "unknown argument '--seed' (did you mean '--seeds'?)"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(words: list[str], message: str) -> None:
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1


def test_too_few_threads_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", start)
    words = ["train", "trial/dot", "--data", "trial/bands", "--size", "8", "--device", "cpu", "-q"]
    status, out, err = call(*words, "--out", str(tmp_path / "run"))
    assert (status, out) == (2, "")
    assert err == "segreg: the system allows no more threads: end other processes, or raise the limit (ulimit -u)\n"


@pytest.mark.parametrize("number", [256, 5000])
def test_a_long_value_is_cut(tmp_path: Path, number: int) -> None:
    data = f"folder:root={tmp_path},classes=[{','.join(map(str, range(number)))}]"
    status, _, err = call("train", "--data", data, "-q")
    assert status == 2
    assert err.startswith("segreg: folder: classes is ('0', '1', '2', ")
    assert err.endswith(" characters): expected a tuple of 1 to 255 distinct names\n")
    assert len(err) < 500


def test_python_m_segreg_is_the_command_and_lists_without_torch_or_numpy(tmp_path: Path) -> None:
    done = python("-X", "importtime", "-m", "segreg", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert "unet-convpool" in done.stdout
    assert "trial/dot" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "segreg" in imported
    assert not imported & {"torch", "numpy", "kornia", "PIL", "matplotlib"}


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    """As with `segreg list | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "segreg", "list", "--json"]
    with os.fdopen(writing, "w") as nobody:
        done = subprocess.run(words, cwd=tmp_path, stdout=nobody, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 141
