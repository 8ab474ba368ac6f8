"""A study whose configurations differ in size: all are scored at the size of the masks."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import segreg
from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.runs.tensor_file import read_tensors, write_tensors
from segreg.studies.compare import compare
from segreg.studies.study import Study

SMALL, OWN = (6, 4), (12, 8)
SETTINGS: dict[str, Any] = {
    "study": "quick",
    "models": ["trial/dot"],
    "losses": ["bce"],
    "data": "trial/bands:test=5",
    "epochs": 2,
    "batch": 4,
    "lr": 0.1,
    # The oracle computes in it.
    "precision": "fp32",
    "device": "cpu",
    "quiet": True,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[Path, int]]:
    """A study of one size, extended by a second one, and when the weights of the first were written."""
    out = tmp_path_factory.mktemp("sizes") / "study"
    compare(**SETTINGS, sizes=[SMALL], out=out)
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/model.safetensors")}
    return compare(**SETTINGS, sizes=[SMALL, OWN], out=out), before


@pytest.fixture
def made(study: tuple[Study, dict[Path, int]]) -> Study:
    return study[0]


def ious(run: Run, split: str) -> list[float]:
    """The IoU of each image at the size of its mask, computed by hand."""
    model, found = run.model(), []
    for image, mask in segreg.dataset("trial/bands", test=5).splits[split]:
        height, width = run.recipe.size
        small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        with torch.no_grad():
            logits = model(torch.from_numpy(small.copy()).movedim(-1, 0)[None].float() / 255)
        probabilities = F.interpolate(logits.sigmoid(), mask.shape, mode="bilinear", align_corners=False)
        predicted, ground_truth = probabilities[0, 0].numpy() > 0.5, mask == 1
        found.append((predicted & ground_truth).sum() / (predicted | ground_truth).sum())
    return found


def test_the_table_has_the_scores_at_the_size_of_the_masks(made: Study) -> None:
    text = (made.path / "results.csv").read_text(encoding="utf-8")
    for row, [recipe] in zip(csv.DictReader(text.splitlines()), made.plan.configurations, strict=True):
        assert row["size"] == f"{recipe.size[0]}x{recipe.size[1]}"
        for split in ("train", "valid", "test"):
            expected = np.mean(ious(made.run(recipe), split))
            assert float(row[f"iou_{split}_own_size_mean"]) == pytest.approx(expected, abs=1e-5)
    small, own = (made.run(recipe) for recipe in made.plan.recipes)
    # The oracle can tell: at the training size the smaller one has another score.
    assert small.results["metrics"]["valid"]["iou"] != pytest.approx(np.mean(ious(small, "valid")), abs=1e-4)
    assert own.results["metrics"]["valid"]["iou"] == pytest.approx(np.mean(ious(own, "valid")), abs=1e-5)


def test_differences_are_between_scores_of_the_same_images(made: Study) -> None:
    small, own = made.configurations
    worse, better = (small, own) if small.behind_best else (own, small)
    assert worse.behind_best
    expected = np.mean(ious(worse.runs[0], "valid")) - np.mean(ious(better.runs[0], "valid"))
    assert worse.behind_best.difference.value == pytest.approx(expected, abs=1e-5)


def test_the_heads_of_the_columns_and_the_notes_say_so(made: Study) -> None:
    table, page = ((made.path / name).read_text(encoding="utf-8") for name in ("results.md", "report.html"))
    assert table.splitlines()[2].startswith(
        "| size | iou train, own size | iou valid, own size | iou test, own size | behind best |"
    )
    assert "resized to the size of its mask and scored there" in table
    assert "scores are computed at that size" not in table
    assert ">iou valid, own size</button>" in page
    assert made.plan.labels == ["6x4", "12x8"]


def test_a_study_that_grows_by_a_size_keeps_its_runs(study: tuple[Study, dict[Path, int]]) -> None:
    made, before = study
    assert len(before) == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    grown = compare(**SETTINGS, sizes=[SMALL, OWN], schedules=["onecycle", "constant"], out=made.path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert grown.plan.labels == ["onecycle · 6x4", "onecycle · 12x8", "constant · 6x4", "constant · 12x8"]
    assert all(each.runs for each in grown.configurations)
    compare(**SETTINGS, sizes=[SMALL, OWN], schedules=["onecycle", "constant"], out=made.path)


def test_a_study_of_one_size_is_scored_at_that_size(tmp_path: Path) -> None:
    made = compare(**SETTINGS, size=SMALL, schedules=["onecycle", "constant"], out=tmp_path / "study")
    [first, _] = made.configurations
    assert first.on_valid("iou") == pytest.approx(first.runs[0].results["metrics"]["valid"]["iou"], abs=1e-6)
    assert not list(made.path.rglob("scores-own-size.safetensors"))


def test_changed_weights_are_scored_again_and_other_images_are_not_compared(tmp_path: Path) -> None:
    given = {**SETTINGS, "sizes": [SMALL, OWN], "out": tmp_path / "study"}
    made = compare(**given)
    run = made.run(made.plan.recipes[0])
    weights, about = read_tensors(run.path / "model.safetensors", "a model")
    turned = {name: -tensor if "head" in name else tensor for name, tensor in weights.items()}
    write_tensors(run.path / "model.safetensors", turned, about)
    assert not Study.read(made.path).configurations[0].runs
    again = compare(**given).configurations[0]
    assert again.on_valid("iou") == pytest.approx(np.mean(ious(run, "valid")), abs=1e-5)
    assert again.on_valid("iou") != pytest.approx(made.configurations[0].on_valid("iou"), abs=1e-3)

    scores, about = read_tensors(run.own_size_scores_path, "scores")
    run.write_own_size_scores(scores, {**about, "images": "others"})
    with pytest.raises(RunError, match=r"was scored on other images than .*: delete scores-own-size\.safetensors"):
        compare(**given)
