"""How images and masks are drawn: one palette for all of them, and borders against a check by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import segreg
from segreg.builtins.datasets.camvid import example
from segreg.support.render import borders, overlay, palette, rgb_view, write_mask
from segreg.task import IGNORE_INDEX, task_of


def test_the_prediction_is_tinted_and_the_rest_is_the_image() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    shown = overlay(image, np.array([[0, 1], [0, 255]], np.uint8), task_of(1))
    assert shown.dtype == np.uint8
    assert (shown[[0, 1, 1], [0, 0, 1]] == 100).all()
    assert (shown[0, 1] != 100).any()


def test_classes_have_colours_of_their_own_and_ignored_pixels_none() -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    shown = overlay(image, np.array([[0, 1, 2, 255]], np.uint8), task_of(3))[0]
    assert len({tuple(color) for color in shown}) == 4
    assert tuple(shown[3]) == (0, 0, 0)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 2)))
def test_a_pixel_is_on_a_border_if_a_neighbour_is_of_another_class(classes: np.ndarray) -> None:
    height, width = classes.shape
    found = borders(classes)
    for row in range(height):
        for column in range(width):
            near = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            inside = [classes[r, c] for r, c in near if 0 <= r < height and 0 <= c < width]
            assert found[row, column] == any(each != classes[row, column] for each in inside)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_image_is_shown_in_three_channels(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 4, channels), dtype=np.uint8)
    shown = rgb_view(image)
    assert shown.shape == (3, 4, 3)
    assert np.array_equal(shown, image if channels == 3 else image[..., [0, 0, 0]])


@pytest.mark.parametrize("num_classes", [1, 2, 11, 30])
def test_a_mask_in_a_file_has_indices_and_the_colours_of_the_palette(tmp_path: Path, num_classes: int) -> None:
    task = task_of(num_classes)
    classes = np.array([[*range(task.num_values), IGNORE_INDEX]], np.uint8)
    write_mask(tmp_path / "mask.png", classes, task)
    with Image.open(tmp_path / "mask.png") as mask:
        assert np.array_equal(np.asarray(mask), classes)
        assert np.array_equal(np.asarray(mask.convert("RGB")), palette(task)[classes])


def colours(path: Path) -> dict[int, tuple[int, ...]]:
    """The colour of each class that a mask in a file has."""
    with Image.open(path) as mask:
        indices, rgb = np.asarray(mask), np.asarray(mask.convert("RGB"))
    return {int(index): tuple(rgb[indices == index][0]) for index in np.unique(indices)}


def test_a_class_has_one_colour_in_every_file_of_a_run(tmp_path: Path) -> None:
    example(tmp_path / "camvid")
    data = f"camvid:root={tmp_path / 'camvid'}"
    run = segreg.fit("unet:width=2,depth=1", loss="cross-entropy", data=data, size=32, epochs=1, out=tmp_path / "run",
                     device="cpu", quiet=True)  # fmt: skip
    task = task_of(11)
    black = np.zeros((1, 11, 3), np.uint8)
    laid_over = overlay(black, np.arange(11, dtype=np.uint8)[None], task)[0]
    files = sorted((run.path / "worst").glob("*.png"))
    assert files
    for path in files:
        for index, colour in colours(path).items():
            assert colour == tuple(palette(task)[index])
            if index != IGNORE_INDEX:
                assert laid_over[index] == pytest.approx(0.65 * np.array(colour), abs=1)
