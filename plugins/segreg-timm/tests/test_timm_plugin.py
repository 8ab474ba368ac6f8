"""The plugin alongside the built-ins: listed without timm, trained and saved like them."""

import subprocess
import sys
from pathlib import Path

import pytest

import segreg
from segreg.cli.main import main


def test_names() -> None:
    keys = {entry.key for entry in segreg.components("architecture")}
    assert {"timm/unet", "timm/fpn", "timm/deeplabv3plus"} <= keys


def test_names_are_listed_without_torch_and_timm() -> None:
    code = (
        "import sys, segreg; names = [each.key for each in segreg.components('architecture')]; "
        "print('timm/unet' in names, sorted({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout == "True []\n"


def test_a_run_learns(tmp_path: Path) -> None:
    run = segreg.fit(
        "timm/unet:backbone=test_resnet,width=8",
        loss="dice",
        data="lesions:train=8,valid=2",
        size=33,
        epochs=3,
        batch=4,
        device="cpu",
        quiet=True,
        out=tmp_path / "run",
    )
    losses = [float(row["train_loss"]) for row in run.history]
    assert losses[-1] < losses[0]
    assert "segreg-timm" in (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")


def test_a_study_on_the_command_line_has_it_beside_the_built_ins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--models", "unet:width=4,depth=2", "timm/fpn:backbone=test_resnet,width=8"]
    words += ["--losses", "dice", "--data", "lesions:train=4,valid=2", "--size", "32", "--epochs", "1"]
    words += ["--batch", "2", "--device", "cpu", "--quiet", "--out", str(tmp_path / "study")]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert not left.value.code
    printed = capsys.readouterr().out
    assert "unet:width=4,depth=2" in printed
    assert "timm/fpn:backbone=test_resnet,width=8" in printed
