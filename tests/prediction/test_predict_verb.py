"""`segreg predict`: what it writes matches the predictor, and no file of the user is lost."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

import segreg
from segreg.data.image_files import read_mask
from tests.trial import call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of several sizes and kinds, and a file that is not an image."""
    folder = tmp_path / "images"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, size in (("a.png", (40, 60)), ("b.jpg", (90, 31)), ("c.bmp", (48, 48)), ("d.tif", (33, 200))):
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def test_files_match_the_predictor(run: segreg.Run, folder: Path, photograph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["predict", str(run.path), str(folder), str(photograph), "--out", str(out), "--device", "cpu", "-q"]
    status, output, errors = call(*words, "--overlay", "--probabilities")
    assert (status, output, errors) == (0, f"5 masks: {out / 'masks'}\n", "")
    predictor = segreg.load(run, device="cpu")
    for path in [*folder.glob("?.*"), photograph]:
        image = Image.open(path)
        mask = out / "masks" / f"{path.stem}.png"
        assert Image.open(mask).mode == "P"
        np.testing.assert_array_equal(np.array(Image.open(mask)), predictor.predict(path))
        # As segreg itself reads a mask, and as its colours show it.
        np.testing.assert_array_equal(read_mask(mask, num_classes=1), predictor.predict(path))
        np.testing.assert_array_equal(np.array(Image.open(mask).convert("L")), predictor.predict(path) * 255)
        probabilities = np.load(out / "probabilities" / f"{path.stem}.npy")
        assert probabilities.dtype == np.float16
        np.testing.assert_allclose(probabilities, predictor.probabilities(path), atol=1e-3)
        assert Image.open(out / "overlays" / f"{path.stem}.jpg").size == image.size
    assert len(list(out.rglob("*"))) == 3 + 15


def test_tiles_of_many_classes(of_classes: segreg.Run, tmp_path: Path) -> None:
    image = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (110, 170, 3), dtype=np.uint8)).save(image)
    words = ["--tile", "64", "--overlap", "16", "--tta", "--probabilities", "--overlay", "--device", "cpu"]
    status, _, _ = call("predict", str(of_classes.path), str(image), "--out", str(tmp_path / "out"), *words)
    assert status == 0
    predictor = segreg.load(of_classes, device="cpu", tile=64, overlap=16, tta=True)
    expected = predictor.probabilities(image)
    np.testing.assert_allclose(np.load(tmp_path / "out/probabilities/wide.npy"), expected, atol=1e-3)
    mask = np.array(Image.open(tmp_path / "out/masks/wide.png"))
    np.testing.assert_array_equal(mask, predictor.predict(image))
    np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/wide.png", num_classes=11), mask)


def test_nothing_is_overwritten_by_default(run: segreg.Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["predict", str(run.path), str(folder), "--out", str(out), "--device", "cpu", "-q"]
    assert call(*words)[0] == 0
    mine = out / "masks" / "a.png"
    mine.write_text("mine")
    (out / "masks" / "b.png").unlink()
    status, _, errors = call(*words)
    assert status == 2
    assert errors == (
        f"segreg: {mine} and 2 more exist already: choose another --out, or --if-exists skip or overwrite\n"
    )
    assert call(*words, "--if-exists", "skip")[:2] == (0, f"1 masks: {out / 'masks'}\n")
    assert call(*words, "--if-exists", "skip")[:2] == (0, f"0 masks: {out / 'masks'}\n")
    assert call(*words, "--if-exists", "skip", "--overlay")[0] == 0
    assert mine.read_text() == "mine"
    assert (out / "masks" / "b.png").exists()
    assert (out / "overlays" / "a.jpg").exists()
    assert call(*words, "--if-exists", "overwrite")[0] == 0
    assert Image.open(mine).size == (60, 40)


def test_an_image_is_not_overwritten_by_its_mask(run: segreg.Run, folder: Path) -> None:
    masks = folder.parent / "masks"
    folder.rename(masks)
    before = (masks / "a.png").read_bytes()
    words = ["predict", str(run.path), str(masks), "--out", str(masks.parent), "--if-exists", "overwrite"]
    status, _, errors = call(*words)
    assert status == 2
    assert errors == f"segreg: {masks / 'a.png'} is one of the input images: choose another --out\n"
    assert (masks / "a.png").read_bytes() == before


def test_an_overlay_shows_the_prediction(run: segreg.Run, photograph: Path, tmp_path: Path) -> None:
    assert call("predict", str(run.path), str(photograph), "--out", str(tmp_path), "--overlay", "-q")[0] == 0
    shown = np.array(Image.open(tmp_path / "overlays" / "photograph.jpg")).astype(int)
    image, mask = (
        np.array(Image.open(photograph)).astype(int),
        np.array(Image.open(tmp_path / "masks/photograph.png")),
    )
    changes = np.zeros(mask.shape, dtype=bool)
    changes[1:] |= mask[1:] != mask[:-1]
    changes[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    near = binary_dilation(changes, iterations=5)
    assert shown[changes].mean() > 215
    assert np.abs(shown - image)[~near & (mask == 0)].mean() < 6
    tinted = 0.55 * image + 0.45 * np.array((0, 190, 120))
    assert np.abs(shown - tinted)[~near & (mask == 1)].mean() < 6


def test_a_bad_image_does_not_affect_the_others(run: segreg.Run, folder: Path, tmp_path: Path) -> None:
    (folder / "bb.png").write_bytes((folder / "a.png").read_bytes()[:300])
    (folder / "zz.png").write_bytes(b"")
    out = tmp_path / "out"
    status, output, errors = call("predict", str(run.path), str(folder), "--out", str(out), "--device", "cpu", "-q")
    assert status == 1
    assert output.startswith("4 masks")
    assert [line.split(" ")[0] for line in errors.splitlines()] == [str(folder / "bb.png"), str(folder / "zz.png")]
    assert sorted(path.name for path in out.rglob("*.png")) == ["a.png", "b.png", "c.png", "d.png"]
    expected = segreg.load(run, device="cpu").predict(folder / "d.tif")
    np.testing.assert_array_equal(np.array(Image.open(out / "masks" / "d.png")), expected)


def test_mistakes_are_one_line_errors(run: segreg.Run, folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "more"
    twin.mkdir()
    shutil.copy(folder / "a.png", twin / "a.jpg")
    empty = tmp_path / "empty"
    (empty / "images").mkdir(parents=True)
    model = str(run.path)
    for words, message in (
        ([model, str(folder / "aa.png")], "aa.png does not exist (did you mean 'a.png'?): expected images"),
        ([model, str(empty)], f"empty has no images, but {empty / 'images'} may have"),
        ([model, str(folder), str(twin)], "would both become a.png: predict them separately"),
        ([str(folder), str(folder)], "holds no model.safetensors: give the directory of a run"),
        ([model, str(folder), "--tile", "8"], "tile is 8: expected 32 or more for unet"),
        ([model, str(folder), "--overlap", "8"], "overlap is 8: it applies to tiles only; set tile too, such as 512"),
        ([model, str(folder), "--exsting", "skip"], "unknown argument '--exsting' (did you mean '--if-exists'?)"),
    ):
        status, out, errors = call("predict", *words, "--out", str(tmp_path / "out"))
        assert (status, out) == (2, "")
        assert message in errors
        assert errors.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("file", ["recipe.toml", "model.safetensors", "study.toml"])
def test_a_second_run_is_not_a_folder_of_images(run: segreg.Run, folder: Path, tmp_path: Path, file: str) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / file).write_text("")
    shutil.copy(run.path / "samples.png", second)
    for inputs in ([second, folder], [folder, second]):
        status, out, err = call("predict", str(run.path), *map(str, inputs), "--out", str(tmp_path / "out"))
        assert (status, out) == (2, "")
        assert re.fullmatch(rf"segreg: {second} is a \w+, not a folder of images: .*\n", err)
    assert not (tmp_path / "out").exists()


def test_a_file_that_claims_to_be_huge_is_refused(run: segreg.Run, tmp_path: Path) -> None:
    for side, tile, message in (
        (9_460, None, "89,478,485 pixels: cut it into tiles"),
        (22_400, 512, "500,000,000 pixels"),
    ):
        bomb = tmp_path / f"{side}.png"
        Image.new("1", (side, side)).save(bomb)
        with pytest.raises(segreg.DataError, match=message):
            segreg.load(run, tile=tile).predict(bomb)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's accounting")
def test_memory_grows_with_the_image_and_not_with_the_activations(run: segreg.Run, tmp_path: Path) -> None:
    """Seven bytes per pixel while it is read. The activations of the model are a hundred times the image."""
    side = 4000
    image = tmp_path / "large.png"
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(image)
    program = """
import resource, sys
from segreg.cli.main import main
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
import torch, segreg.cli.predict
before = peak()
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(peak() - before)
    sys.exit(end.code)
"""
    words = ["predict", str(run.path), str(image), "--out", str(tmp_path / "out"), "--probabilities", "--tile", "512"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--device", "cpu"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    taken = int(done.stdout.splitlines()[-1])
    assert taken < 9 * side**2 + 100e6
    assert np.load(tmp_path / "out/probabilities/large.npy", mmap_mode="r").shape == (1, side, side)
