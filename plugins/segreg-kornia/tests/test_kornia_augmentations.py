"""kornia's functions under segreg's contract: against SciPy, Pillow and NumPy, image by image, from `u` alone."""

import colorsys
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

import segreg
from segreg.errors import OptionError

ANY_CHANNELS = ["blur", "motion", "sharpness", "clahe", "cutout"]
COLOUR = ["hue", "saturation", "jpeg"]
every = pytest.mark.parametrize("name", ANY_CHANNELS + COLOUR)


def random_images(count: int, channels: int = 3, size: tuple[int, int] = (24, 32), seed: int = 0) -> torch.Tensor:
    """Images with edges and without, in [0, 1]."""
    noise = np.random.default_rng(seed).random((count, channels, *size))
    smooth = gaussian_filter(noise, (0, 0, 2, 2))
    low, high = smooth.min((1, 2, 3), keepdims=True), smooth.max((1, 2, 3), keepdims=True)
    return torch.from_numpy((smooth - low) / (high - low)).float()


def uniform(name: str, count: int, seed: int = 0) -> torch.Tensor:
    draws = segreg.augmentation(f"kornia/{name}").draws
    return torch.from_numpy(np.random.default_rng(seed).random((count, draws), dtype=np.float32))


def changed(expression: str, images: torch.Tensor, u: torch.Tensor) -> Any:
    return segreg.augmentation(f"kornia/{expression}").change(images, u).numpy()


def test_they_are_listed_without_torch_and_kornia() -> None:
    code = (
        "import sys, segreg; names = [each.key for each in segreg.components('augmentation')]; "
        "print('kornia/blur' in names, sorted({'torch', 'kornia', 'numpy'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout == "True []\n"


def test_blur_is_scipys() -> None:
    images, u = random_images(6), uniform("blur", 6)
    for image, one, row in zip(changed("blur:sigma=[0.5,3],p=1", images, u), images, u.tolist(), strict=True):
        sigma = 0.5 + 2.5 * row[1]
        # The filter ends at three of the largest deviations.
        expected = gaussian_filter(one.double().numpy(), (0, sigma, sigma), mode="nearest", radius=9)
        assert np.abs(image - expected).max() < 1e-4


def test_motion_smears_a_point_along_a_line_of_its_length() -> None:
    images = torch.zeros(4, 2, 21, 21)
    images[:, :, 10, 10] = 1
    # Right, up, left and down, evenly.
    u = torch.tensor([[0.0, angle / 360, 0.5] for angle in (0, 90, 180, 270)])
    for one, image in enumerate(changed("motion:length=5,p=1", images, u)):
        line = image[0] if one % 2 == 0 else image[0].T
        assert np.allclose(line[10, 8:13], 0.2, atol=1e-3)
        assert line.sum() == pytest.approx(1, abs=1e-3)


def test_sharpness_is_pillows() -> None:
    images = (random_images(5) * 255).round() / 255
    u = uniform("sharpness", 5)
    for image, one, row in zip(changed("sharpness:p=1", images, u), images, u.tolist(), strict=True):
        shown = Image.fromarray((one * 255).round().byte().permute(1, 2, 0).numpy())
        expected = np.asarray(ImageEnhance.Sharpness(shown).enhance(3 * row[1])).transpose(2, 0, 1) / 255
        # Pillow rounds the smoothed copy and the result, and extrapolates from it with a factor of up to 3.
        assert np.abs(image - expected).max() < 3.5 / 255


def test_hue_and_saturation_are_those_of_the_standard_library() -> None:
    images = random_images(4, size=(6, 7))
    for name in ("hue:degrees=90,p=1", "saturation:factor=[0.2,1.8],p=1"):
        kind = name.partition(":")[0]
        u = uniform(kind, 4)
        for image, one, row in zip(changed(name, images, u), images.double().numpy(), u.tolist(), strict=True):
            for y, x in np.ndindex(6, 7):
                hue, saturation, value = colorsys.rgb_to_hsv(*one[:, y, x])
                if kind == "hue":
                    hue = (hue + (180 * row[1] - 90) / 360) % 1
                else:
                    saturation = min(saturation * (0.2 + 1.6 * row[1]), 1)
                assert image[:, y, x] == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, value), abs=1e-4)


def test_jpeg_is_close_to_pillows() -> None:
    images = random_images(4, size=(64, 48))
    u = torch.tensor([[0.0, 0.0], [0.0, 0.3], [0.0, 0.6], [0.0, 0.99]])
    errors = []
    for image, one, row in zip(changed("jpeg:quality=[10,90],p=1", images, u), images, u.tolist(), strict=True):
        file = io.BytesIO()
        shown = Image.fromarray((one * 255).round().byte().permute(1, 2, 0).numpy())
        shown.save(file, "JPEG", quality=round(10 + 80 * row[1]), subsampling="4:2:0")
        expected = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
        assert np.abs(image - expected).mean() < 0.3 * np.abs(one.numpy() - expected).mean() + 2 / 255
        errors.append(np.abs(image - one.numpy()).mean())
    assert errors == sorted(errors, reverse=True)


def test_clahe_raises_the_contrast_of_a_flat_part_and_keeps_the_order_of_its_pixels() -> None:
    images = torch.linspace(0.4, 0.6, 64).expand(1, 2, 64, 64).clone()
    [image] = changed("clahe:limit=4,grid=1,p=1", images, torch.zeros(1, 1))
    assert image[0].std() > 1.5 * images[0, 0].std().item()
    assert (np.diff(image[0], axis=1) >= -1e-6).all()


def test_cutout_replaces_a_rectangle_of_the_area_drawn_by_the_mean() -> None:
    images, u = random_images(200, size=(50, 80)), uniform("cutout", 200)
    for image, one, row in zip(changed("cutout:p=1", images, u), images.numpy(), u.double().tolist(), strict=True):
        differs = (image != one).any(0)
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        inside = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.allclose(inside, one.mean((1, 2), keepdims=True), atol=1e-5)
        area, ratio = 0.02 + 0.18 * row[1], 0.5 * 4 ** row[2]
        assert len(columns) == pytest.approx((area * ratio) ** 0.5 * 80, abs=1.01)
        assert len(rows) == pytest.approx((area / ratio) ** 0.5 * 50, abs=1.01)


@every
def test_the_share_that_is_changed_and_the_rest_is_left_alone(name: str) -> None:
    images, u = random_images(300, size=(9, 9)), uniform(name, 300)
    result = torch.from_numpy(changed(f"{name}:p=0.3", images, u))
    differs = (result != images).any(3).any(2).any(1)
    assert torch.equal(differs & (u[:, 0] >= 0.3), torch.zeros(300, dtype=torch.bool))
    assert differs.float().mean().item() == pytest.approx(0.3, abs=0.08)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    name=st.sampled_from(ANY_CHANNELS + COLOUR),
    channels=st.integers(1, 5),
    size=st.sampled_from([(5, 5), (8, 13), (16, 6)]),
    seed=st.integers(0, 2**16),
)
def test_an_image_follows_from_its_own_numbers_and_stays_in_range(
    name: str, channels: int, size: tuple[int, int], seed: int
) -> None:
    images = random_images(3, 3 if name in COLOUR else channels, size, seed).round(decimals=1)
    u, before = uniform(name, 3, seed), images.clone()
    result = changed(f"{name}:p=1", images, u)
    assert torch.equal(images, before)
    assert result.dtype == np.float32
    assert result.shape == images.shape
    assert np.isfinite(result).all()
    assert 0 <= result.min() <= result.max() <= 1
    torch.rand(1)
    for one in range(3):
        alone = changed(f"{name}:p=1", images[one : one + 1], u[one : one + 1])
        assert np.abs(alone[0] - result[one]).max() < 1e-5


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", COLOUR)
def test_what_is_for_colour_refuses_other_images_in_one_line(name: str, channels: int) -> None:
    message = f"kornia/{name} takes colour images of 3 channels, and these have {channels}: leave it out of augment"
    with pytest.raises(OptionError, match=message):
        changed(name, random_images(2, channels), uniform(name, 2))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("blur:sigma=[0,1]", r"sigma is \(0.0, 1.0\): expected the smallest and the largest, above 0, at most 50"),
        ("motion:length=4", "length is 4: expected an odd number, from 3 to 99"),
        ("sharpness:factor=[2,1]", r"factor is \(2.0, 1.0\): expected the smallest and the largest, 0 or more"),
        ("clahe:limit=0", "limit is 0.0: expected a finite number, 1 or more"),
        ("clahe:grid=0", "grid is 0: expected from 1 to 16 parts per side"),
        ("hue:degrees=200", "degrees is 200.0: expected an angle, 0 to 180"),
        ("saturation:factor=[-1,1]", r"factor is \(-1.0, 1.0\): expected the smallest and the largest, 0 or more"),
        ("jpeg:quality=[0,50]", r"quality is \(0.0, 50.0\): expected the lowest and the highest, 1 to 100"),
        ("cutout:area=[0.1,0.9]", r"area is \(0.1, 0.9\): expected the smallest and the largest share"),
        ("cutout:p=2", "p is 2.0: expected a probability, 0 to 1"),
    ],
)
def test_bad_options_are_refused(expression: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        segreg.augmentation(f"kornia/{expression}")


def test_images_too_small_are_refused_in_one_line() -> None:
    with pytest.raises(OptionError, match=r"kornia/clahe with grid=8 takes images of 9x9 or more, and these have 8x12"):
        changed("clahe:grid=8", random_images(1, size=(8, 12)), torch.zeros(1, 1))


def test_a_run_has_them_beside_segregs_own(tmp_path: Path) -> None:
    recipe: dict[str, Any] = {
        "data": "lesions:size=32,train=5,valid=2,test=2",
        "size": 32,
        "epochs": 1,
        "augment": "hflip affine kornia/blur kornia/hue:degrees=10 kornia/cutout",
        "device": "cpu",
        "quiet": True,
    }
    runs = [segreg.fit("unet:width=4,depth=2", batch=2, out=tmp_path / name, **recipe) for name in ("one", "other")]
    weights = [(run.path / "model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]
    assert "segreg-kornia" in (tmp_path / "one" / "recipe.toml").read_text(encoding="utf-8")
