"""`segreg train`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segreg.runs.run import Run
from tests.trial import PLUGIN, call

DATA = "trial/bands:train=4,valid=2"
QUICK = ["--data", DATA, "--size", "8", "--batch", "4", "--device", "cpu"]


def test_a_run_ends_by_printing_its_metrics_and_its_path(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--metric", "iou", "trial/mistakes", "--augment", "hflip", "--epochs", "1", "--out", str(out)]
    status, printed, shown = call("train", "trial/dot:note=x", "--loss", "bce+0.5*dice", *QUICK, *words)
    assert status == 0
    values = Run(out).results["metrics"]
    assert printed.splitlines() == [
        *(
            f"{split:>6}  iou {values[split]['iou']:.4f}  trial/mistakes {values[split]['trial/mistakes']:.4f}"
            for split in ("train", "valid")
        ),
        f"run: {out}",
    ]
    assert "epoch   1/1 " in shown
    recipe = Run(out).recipe
    assert (recipe.model, recipe.loss, recipe.metrics) == (
        "trial/dot:note=x",
        "bce+0.5*dice",
        ("iou", "trial/mistakes"),
    )
    assert (recipe.size, recipe.augment, recipe.epochs) == ((8, 8), ("hflip",), 1)

    status, again, shown = call("train", "--resume", str(out))
    assert (status, again, shown) == (0, printed, f"{out} is already finished\n")


def test_a_metric_without_a_value_is_printed_as_such(tmp_path: Path) -> None:
    words = ["--data", f"{DATA},ignored_valid=true", "--epochs", "1", "--out", str(tmp_path / "run")]
    status, printed, shown = call("train", "trial/dot", *QUICK, *words, "--quiet")
    assert (status, shown) == (0, "")
    assert " valid  iou no value" in printed.splitlines()


def test_resume_uses_the_settings_of_the_run(tmp_path: Path) -> None:
    status, _, err = call("train", "--resume", str(tmp_path), "--preset", "original", "--out", "x")
    assert status == 2
    assert err == "segreg: --resume keeps the run's directory and settings: leave out --out, --preset\n"


def test_force_changes_the_epochs_and_settings_of_a_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert call("train", "trial/dot", *QUICK, "--epochs", "1", "--out", str(out))[0] == 0
    status, printed, shown = call("train", "--resume", str(out), "--epochs", "2")
    assert status == 0
    assert printed.splitlines()[-1] == f"run: {out}"
    assert "resuming after epoch 1\nepoch   2/2 " in shown
    longer = ["train", "--resume", str(out), "--epochs", "3", "--lr", "0.1", "--quiet"]
    status, _, shown = call(*longer)
    assert (status, shown) == (
        2,
        f"segreg: {out} cannot be resumed unchanged: optimizer was adamw and is adamw:lr=0.1: "
        "resume anyway with --force\n",
    )
    assert call(*longer, "--force")[0] == 0
    assert (Run(out).recipe.optimizer, len(Run(out).history)) == ("adamw:lr=0.1", 3)


def test_force_requires_resume() -> None:
    status, _, err = call("train", "trial/dot", *QUICK, "--force")
    assert (status, err) == (2, "segreg: --force needs --resume: a new run has nothing that could have changed\n")


def test_resume_requires_a_run(tmp_path: Path) -> None:
    status, _, err = call("train", "--resume", str(tmp_path))
    assert (status, err) == (2, f"segreg: {tmp_path} holds no run: it has no recipe.toml\n")


def restore_interrupts() -> None:
    """Restore the handling of SIGINT, which shells disable for background processes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_complete_rows_and_prints_how_to_resume(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "segreg", "train", "trial/dot", *QUICK, "--epochs", "5000", "--out", "my run"]
    path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=restore_interrupts
    ) as process:
        assert process.stderr is not None
        lines = [line for line, _ in zip(process.stderr, range(4), strict=False)]
        assert lines[-1].startswith("epoch   3/5000 ")
        process.send_signal(signal.SIGINT)
        last = process.stderr.read().splitlines()[-1]
    assert process.returncode == 130
    run = Run(tmp_path / "my run")
    epochs = [row["epoch"] for row in run.history]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) >= 3
    assert all(None not in row.values() for row in run.history)
    assert last == f"interrupted after epoch {len(epochs)} of 5000; resume with: segreg train --resume 'my run'"
    assert (run.path / "checkpoint" / "checkpoint.pt").exists()
    assert run.model()
    assert not [path for path in run.path.rglob("*") if "partial" in path.name]
