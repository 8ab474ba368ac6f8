"""The plots of a run, and the edge cases that they must handle."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segreg.runs.history import EpochRecord
from segreg.runs.plots import plot_curves, plot_samples
from segreg.task import task_of

# Warnings of matplotlib would appear in a user's terminal.
pytestmark = pytest.mark.filterwarnings("error")


def history(losses: Sequence[float]) -> list[EpochRecord]:
    return [
        {"epoch": epoch, "train_loss": loss, "valid_loss": loss, "train_iou": 0.5, "valid_iou": 1 - loss}
        for epoch, loss in enumerate(losses, 1)
    ]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def has_color(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((np.abs(image - color).max(axis=2) < 12).any())


BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


@pytest.mark.parametrize("losses", [[0.7, 0.4, 0.3], [0.5], [1.0, 0.0, -0.5], [0.7, 0.5, math.nan, 0.2, 0.1]])
def test_every_run_has_its_own_colour_in_the_curves(tmp_path: Path, losses: list[float]) -> None:
    path = tmp_path / "curves.png"
    plot_curves(path, {"a": [history(losses), history(losses[::-1])], "b": [history([x / 2 for x in losses])]}, "iou")
    image = pixels(path)
    assert has_color(image[: len(image) * 2 // 3], BLUE)
    assert has_color(image[: len(image) * 2 // 3], ORANGE)


def test_the_tick_labels_take_little_space(tmp_path: Path) -> None:
    plot_curves(tmp_path / "curves.png", {"a": [history([0.7, 0.4, 0.3])]}, "iou")
    assert has_color(pixels(tmp_path / "curves.png")[:300, :150], BLUE)


def test_a_label_is_not_rendered_as_math(tmp_path: Path) -> None:
    label = r"x/net:note=$\nonsense{$ · a_b^c"
    plot_curves(tmp_path / "curves.png", {label: [history([0.5, 0.4])]}, "iou")
    samples = {
        "images": torch.zeros(1, 8, 8, 3, dtype=torch.uint8),
        "masks": torch.zeros(1, 8, 8, dtype=torch.uint8),
    }
    plot_samples(tmp_path / "samples.png", samples, {label: samples["masks"]}, task_of(1))
    assert pixels(tmp_path / "curves.png").size
    assert pixels(tmp_path / "samples.png").size


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("num_classes", [1, 30])
def test_samples_of_any_channels_and_classes(tmp_path: Path, channels: int, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 12, 9, channels), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, max(num_classes, 2), (3, 12, 9), generator=generator, dtype=torch.uint8)
    masks[0], masks[1], masks[2, 0] = 0, 1, 255
    drawn = {"m · l": masks, "n · l": masks}
    plot_samples(tmp_path / "s.png", {"images": images, "masks": masks}, drawn, task_of(num_classes))
    assert pixels(tmp_path / "s.png").std() > 1
