"""No table that segreg writes has a cell that a spreadsheet runs, whatever images and classes are called."""

import csv
import re
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from PIL import Image

from segreg.evaluation.evaluate import evaluate
from segreg.studies.compare import compare

NAMES = ["=cmd|' calc'!A0", "+1+1", "-1-1", "@SUM(1)", "\t=1", "\r=1", "'=1", "plain"]
CLASSES = ["=1+1", "@SUM(1)", "-2"]
SETTINGS = {"size": 8, "epochs": 1, "batch": 4, "device": "cpu", "quiet": True}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images whose names are formulas, the same in each split."""
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        for kind, shape, values in (("images", (8, 8, 3), 256), ("masks", (8, 8), len(CLASSES))):
            (root / split / kind).mkdir(parents=True)
            for name in NAMES:
                pixels = random.integers(values, size=shape, dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / kind / f"{name}.png")
    return root


def test_no_name_of_an_image_or_a_class_becomes_a_formula(root: Path, tmp_path: Path) -> None:
    listed = ",".join(f'"{name}"' for name in CLASSES)
    data = f'folder:root="{root}",classes=[{listed}]'
    elsewhere = copytree(root, tmp_path / "elsewhere")
    losses = ["cross-entropy", "trial/broken"]
    study = compare("quick", data=data, models=["trial/dot"], losses=losses, **SETTINGS, out=tmp_path / "study")
    [run] = [study.run(recipe) for recipe in study.plan.recipes if study.run(recipe).finished]
    found = evaluate(run.path, data=data.replace(str(root), str(elsewhere)), split="test", out=tmp_path / "evaluation")
    tables = list(tmp_path.rglob("*.csv"))
    written = {path.name for path in tables}
    assert written >= {"splits.csv", "history.csv", "results.csv", "metrics.csv", "images.csv", "confusion.csv"}
    cells: set[str] = set()
    for path in tables:
        with path.open(encoding="utf-8", newline="") as file:
            cells.update(cell for row in csv.reader(file) for cell in row)
    assert {f"'{name}" for name in NAMES[:-1]} <= cells
    for cell in cells:
        assert not re.match(r"[=+@\t\r]", cell)
        assert not cell.startswith("-") or float(cell) <= 0
    # Read back, the names are as they were.
    assert any(f"{len(NAMES)} of the images, such as " in note and "were in train" in note for note in found.notes)
    assert len(run.history) == 1
