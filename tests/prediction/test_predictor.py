"""A predictor against the same steps by hand: resize, model, sigmoid, resize back."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import segreg
from segreg import DataError, OptionError, RunError


def load(run: segreg.Run, **options: Any) -> segreg.Predictor:
    return segreg.load(run.path, device="cpu", precision="fp32", **options)


def by_hand(run: segreg.Run, image: Image.Image) -> torch.Tensor:
    height, width = run.recipe.size
    small = torch.from_numpy(np.array(image.resize((width, height), Image.Resampling.BILINEAR)))
    with torch.no_grad():
        probabilities = run.model()(small.permute(2, 0, 1)[None] / 255).sigmoid()
    return F.interpolate(probabilities, (image.height, image.width), mode="bilinear", align_corners=False)[0]


def test_the_probabilities_match_the_model(run: segreg.Run, photograph: Path) -> None:
    expected = by_hand(run, Image.open(photograph))
    found = load(run).probabilities(photograph)
    assert found.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=0)
    mask = load(run).predict(photograph)
    assert mask.dtype == np.uint8
    assert 0.02 < mask.mean() < 0.98
    np.testing.assert_array_equal(mask, found[0] > 0.5)


def test_an_image_is_the_same_however_it_is_given(run: segreg.Run, photograph: Path) -> None:
    pixels = np.array(Image.open(photograph))
    predictor = load(run)
    expected = predictor.probabilities(photograph)
    frozen = pixels.copy()
    frozen.flags.writeable = False
    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)
    for image in (
        str(photograph),
        Image.fromarray(pixels),
        Image.fromarray(pixels).convert("RGBA"),
        pixels,
        frozen,
        pixels / 255,
        channels_first,
        channels_first.float().div(255).requires_grad_(),
        (channels_first.float() / 255).double(),
    ):
        np.testing.assert_array_equal(predictor.probabilities(image), expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 4), np.uint8), "the image has 4 channels, but the model takes 3: pass an image with 3"),
        (np.zeros((8, 8), np.uint8), "has 1 channels"),
        (np.zeros((2, 8, 8, 3), np.uint8), "[2, 8, 8, 3]: expected one image at a time, as array [H, W, C]"),
        (torch.zeros(1, 3, 8, 8), "expected one image at a time, as tensor [C, H, W]"),
        (np.zeros((8, 8, 3), np.int64), "int64: expected uint8, or float in [0, 1]"),
        (np.full((8, 8, 3), 255.0), "from 255 to 255: expected [0, 1]"),
        (np.full((8, 8, 3), np.nan), "from nan to nan"),
        (np.zeros((0, 8, 3), np.uint8), "the image is empty (0×8)"),
        (3, "image is 3, a int: expected a path"),
        ("missing.png", "missing.png cannot be read (No such file"),
    ],
)
def test_input_that_is_not_an_image_is_refused(run: segreg.Run, image: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load(run).predict(image)


def test_a_truncated_image_is_named(run: segreg.Run, photograph: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.png"
    part.write_bytes(photograph.read_bytes()[:2000])
    with Image.open(part) as image, pytest.raises(DataError, match="the image cannot be read"):
        load(run).predict(image)


def test_half_precision_is_used(run: segreg.Run) -> None:
    image = torch.rand(3, 48, 48).bfloat16()
    np.testing.assert_array_equal(load(run).predict(image), load(run).predict(image.float()))


def test_images_of_several_sizes_are_predicted_as_each_alone(run: segreg.Run) -> None:
    draw = np.random.default_rng(1)
    sizes = [(40, 56), (1, 1), (3, 300), (48, 48), (700, 31), (40, 56), (300, 3)] * 40
    images = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    predictor = load(run)
    many = list(predictor.probabilities_of(images))
    assert [each.shape for each in many] == [(1, *size) for size in sizes]
    for position in (0, 1, 2, 4, 150, len(sizes) - 1):
        np.testing.assert_allclose(many[position], predictor.probabilities(images[position]), atol=1e-5)


@pytest.mark.parametrize("size", [(150, 203), (64, 64), (65, 400), (20, 90), (7, 7)])
def test_tiles_leave_no_seam(run: segreg.Run, photograph: Path, size: tuple[int, int]) -> None:
    image = np.array(Image.open(photograph).resize(size[::-1]))
    tiled = load(run, tile=64, overlap=48).probabilities(image)
    whole = load(run, tile=1000).probabilities(image)
    assert tiled.shape == (1, *size)
    np.testing.assert_allclose(tiled, whole, atol=2e-4)


def test_tiles_are_at_the_images_own_scale(run: segreg.Run, photograph: Path) -> None:
    pixels = torch.from_numpy(np.array(Image.open(photograph))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = run.model()(pixels).sigmoid()[0]
    found = load(run, tile=256).probabilities(photograph)
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("tile", [None, 64])
def test_rotated_and_flipped_views_are_averaged(run: segreg.Run, photograph: Path, tile: int | None) -> None:
    # The training size, so that resizing does not round.
    side = 96 if tile else 48
    square = np.array(Image.open(photograph).resize((side, side)))
    one = load(run, tile=tile)
    expected = np.mean(
        [
            undo(one.probabilities(do(square).copy()))
            for turns in range(4)
            for do, undo in (
                (lambda x, t=turns: np.rot90(x, t), lambda p, t=turns: np.rot90(p, -t, (1, 2))),
                (lambda x, t=turns: np.rot90(x, t)[:, ::-1], lambda p, t=turns: np.rot90(p[:, :, ::-1], -t, (1, 2))),
            )
        ],
        axis=0,
    )
    found = load(run, tile=tile, tta=True).probabilities(square)
    # Tiles have other positions in a rotated image.
    np.testing.assert_allclose(found, expected, atol=2e-3 if tile else 1e-4)
    assert np.abs(found - one.probabilities(square)).max() > 1e-3


def test_several_classes_are_predicted_by_the_most_probable(of_classes: segreg.Run) -> None:
    predictor = load(of_classes)
    image = np.random.default_rng(0).integers(0, 256, (60, 41, 3), dtype=np.uint8)
    probabilities = predictor.probabilities(image)
    assert probabilities.shape == (len(predictor.about.classes), 60, 41)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(predictor.predict(image), probabilities.argmax(0))


def test_a_predictor_is_loaded_from_a_run_or_its_path(run: segreg.Run, photograph: Path) -> None:
    expected = load(run).predict(photograph)
    for source in (run, run.path, str(run.path), run.path / "model.safetensors"):
        np.testing.assert_array_equal(segreg.load(source, precision="fp32").predict(photograph), expected)


def test_sources_and_options_that_cannot_be_loaded_are_named(run: segreg.Run, photograph: Path, tmp_path: Path) -> None:
    for source, message in (
        (run.path.parent / "rum", "rum does not exist (did you mean 'run'?): give the directory of a run"),
        (run.path.parent, f"holds no model.safetensors, but {run.path} does"),
        (tmp_path, "holds no model.safetensors: give the directory of a run"),
        (photograph, "is not a model saved by segreg"),
    ):
        with pytest.raises(RunError, match=re.escape(message)):
            segreg.load(source)
    for options, message in (
        ({"tile": 31}, "tile is 31: expected 32 or more for unet"),
        ({"tile": 64, "overlap": 64}, "overlap is 64: expected 0 or more, and less than the tile, 64"),
        ({"tile": 64, "overlap": -1}, "overlap is -1"),
        ({"tile": -64}, "tile is -64"),
        ({"tile": "wide"}, "tile"),
        ({"overlap": 8}, "overlap is 8: it applies to tiles only; set tile too, such as 512"),
        ({"precision": "fp16"}, "did you mean"),
        ({"device": "cuda:99"}, "cuda:99"),
    ):
        with pytest.raises(OptionError, match=re.escape(message)):
            segreg.load(run, **options)


def test_for_a_study_the_best_run_is_suggested(tmp_path: Path) -> None:
    models = ["unet:width=2,depth=1", "unet:width=4,depth=1"]
    study = segreg.compare(
        models=models,
        losses=["bce"],
        seeds=[0, 1],
        data="lesions:train=8,valid=4,test=4",
        size=32,
        epochs=2,
        lr=0.01,
        out=tmp_path / "study",
        quiet=True,
    )
    values = {recipe: study.run(recipe).results["metrics"]["valid"]["iou"] for recipe in study.plan.recipes}
    means = {model: np.mean([values[each] for each in values if each.model == model]) for model in models}
    row = [recipe for recipe in values if recipe.model == max(means, key=means.get)]
    assert study.best == study.run(max(row, key=values.get))
    with pytest.raises(
        RunError, match=re.escape(f"it is a study, with its runs in {study.path / 'runs'}: segreg compare")
    ):
        segreg.load(study.path)


def test_loading_does_not_wait_for_torchs_compiler(run: segreg.Run) -> None:
    program = "import sys, segreg; segreg.load(sys.argv[1]); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(run.path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
