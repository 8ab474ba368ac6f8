"""Data that changed since a run or a study was started."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segreg
from segreg.builtins.datasets.folder import example
from segreg.errors import RunError
from segreg.training.fit import resume
from tests.trial import interrupt

SETTINGS: dict[str, Any] = {
    "metrics": ["iou"],
    "size": (12, 16),
    "epochs": 2,
    "batch": 2,
    "device": "cpu",
    "quiet": True,
}


def invert_masks(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)


def replace_images(folder: Path) -> None:
    for seed, path in enumerate((folder / "images").iterdir()):
        Image.fromarray(np.random.default_rng(100 + seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(path)


def change_one_pixel(folder: Path) -> None:
    path = sorted((folder / "masks").iterdir())[-1]
    mask = np.array(Image.open(path))
    mask[4, 4] = 255 - mask[4, 4]
    Image.fromarray(mask).save(path)


def swap_two(folder: Path) -> None:
    one, other = sorted((folder / "masks").iterdir())[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.parametrize("change", [invert_masks, replace_images, change_one_pixel, swap_two])
def test_changed_data_under_the_same_names_are_noticed(
    parts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    example(tmp_path / "data")
    settings = {**SETTINGS, "loss": "trial/fragile", "data": f"folder:root={tmp_path / 'data'}", "checkpoint_every": 1}
    run = interrupt(parts, monkeypatch, 3, "trial/dot", **settings, out=tmp_path / "run")
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    change(tmp_path / "data")
    for force in (False, True):
        with pytest.raises(RunError, match=r"cannot be resumed: images of (train|valid) was \d \(\w+\) and is \d \("):
            resume(run.path, force=force, quiet=True)
    assert resume(run.path, data=f"folder:root={tmp_path / 'moved'}", force=True, quiet=True).finished


@pytest.mark.parametrize("change", [invert_masks, replace_images, change_one_pixel, swap_two])
def test_a_study_is_not_grown_on_changed_data(tmp_path: Path, change: Callable[[Path], None]) -> None:
    example(tmp_path / "data")
    study: dict[str, Any] = {
        **SETTINGS,
        "models": ["trial/dot"],
        "data": f"folder:root={tmp_path / 'data'}",
        "out": tmp_path / "study",
    }
    segreg.compare(**study, losses=["bce"])
    change(tmp_path / "data")
    for _ in range(2):
        with pytest.raises(
            RunError, match=r"trial/dot · bce\) was trained on other images .*delete it to train"
        ) as caught:
            segreg.compare(**study, losses=["bce", "dice"])
        assert "\n" not in str(caught.value)
    # What was compared before can still be read, and the way out works.
    assert segreg.Study.read(tmp_path / "study").best
    shutil.rmtree(next((tmp_path / "study" / "runs").glob("*bce*")))
    assert len(segreg.compare(**study, losses=["bce", "dice"]).configurations) == 2


def test_a_study_is_not_grown_by_a_size_on_changed_data(tmp_path: Path) -> None:
    """What was trained at one size is compared with the images at that size, before another is trained."""
    example(tmp_path / "data")
    study: dict[str, Any] = {
        **{name: value for name, value in SETTINGS.items() if name != "size"},
        "models": ["trial/dot"],
        "losses": ["bce"],
        "data": f"folder:root={tmp_path / 'data'}",
        "out": tmp_path / "study",
    }
    segreg.compare(**study, sizes=[(6, 8)])
    invert_masks(tmp_path / "data")
    with pytest.raises(RunError, match=r"was trained on other images .*delete it to train"):
        segreg.compare(**study, sizes=[(12, 16), (6, 8)])
    assert len(list((tmp_path / "study" / "runs").iterdir())) == 1


def test_a_study_is_not_grown_after_images_were_removed(tmp_path: Path) -> None:
    example(tmp_path / "data")
    study: dict[str, Any] = {
        **SETTINGS,
        "models": ["trial/dot"],
        "data": f"folder:root={tmp_path / 'data'}",
        "out": tmp_path / "study",
    }
    segreg.compare(**study, losses=["bce"])
    for folder in ("images", "masks"):
        next(iter(sorted((tmp_path / "data" / folder).iterdir()))).unlink()
    with pytest.raises(RunError, match="was trained on other images"):
        segreg.compare(**study, losses=["bce", "dice"])
    # Runs put together by hand are not compared either.
    segreg.compare(**{**study, "out": tmp_path / "other"}, losses=["dice"])
    [moved] = (tmp_path / "other" / "runs").iterdir()
    shutil.copytree(moved, tmp_path / "study" / "runs" / moved.name)
    with pytest.raises(RunError, match="was trained on other images"):
        segreg.compare(**study, losses=["bce", "dice"])
