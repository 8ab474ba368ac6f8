"""Models and losses of several libraries in one table."""

import csv
from pathlib import Path

import pytest

import segreg

MODELS = ["smp/unet:encoder=tu-test_resnet", "monai/basicunet:features=[4,4,8,8,8,4]"]
LOSSES = ["dice", "smp/lovasz"]


def test_a_study_compares_across_libraries(tmp_path: Path) -> None:
    pytest.importorskip("segreg_smp")
    study = segreg.compare(
        models=MODELS,
        losses=LOSSES,
        seeds=[0],
        data="lesions:train=8,valid=4,test=4,size=32",
        size=32,
        epochs=1,
        batch=7,  # which leaves a batch of one image
        device="cpu",
        out=tmp_path / "study",
        quiet=True,
    )
    assert [row.failure for row in study.configurations] == [""] * 4
    table = list(csv.DictReader((study.path / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["model"], row["loss"]) for row in table] == [(model, loss) for model in MODELS for loss in LOSSES]
