"""The catalogue of bad input: one line that names the problem and what to do, exit status 2, and nothing written."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segreg.runs.run import Run
from tests.trial import call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of four small images with masks."""
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        Image.fromarray((pixels[..., 0] > 127).astype(np.uint8)).save(root / "masks" / f"{number}.png")
    return root


def train(data: Path, *words: str, model: str = "trial/dot") -> tuple[int, str, str]:
    out = data.parent / "run"
    start = ["train", model, "--data", f"folder:root={data}", "--size", "8", "--epochs", "1", "--device", "cpu"]
    return call(*start, "--out", str(out), *words)


def refused(data: Path, message: list[str], *words: str, model: str = "trial/dot") -> None:
    """Check that the command line is refused as the catalogue requires."""
    status, out, err = train(data, *words, model=model)
    assert (status, out) == (2, "")
    assert err.startswith("segreg: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for part in message:
        assert part in err
    assert not (data.parent / "run").exists()


def png(width: int, height: int) -> bytes:
    """A greyscale PNG that declares a size and contains almost no data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_the_data_are_accepted_unchanged(data: Path) -> None:
    status, out, _ = train(data)
    assert status == 0
    assert out.startswith(" train  iou ")


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("unett", [], ["'unett'", "did you mean 'unet'?"]),
        ("theirs/unet", [], ["'theirs/unet'", "no installed plugin has the namespace 'theirs'"]),
        ("unet:pol=max", [], ["'pol'", "did you mean 'pool'?"]),
        ("unet:pool=con", [], ["'con'", "did you mean 'conv'?"]),
        ("unet:width=wide", [], ["width", "'wide'", "int"]),
        ("unet:width=0", ["--size", "32"], ["width", "0", "1"]),
        ("unet:pool", [], ["'pool'", "unet:option=value"]),
        ("trial/dot", ["--loss", "dise"], ["'dise'", "did you mean 'dice'?"]),
        ("trial/dot", ["--loss", "bce+0.5*dice:smoth=1"], ["'smoth'", "did you mean 'smooth'?"]),
        ("trial/dot", ["--loss", "tversky:alpha=-1"], ["alpha", "-1"]),
        ("trial/dot", ["--metric", "iuo"], ["'iuo'", "did you mean 'iou'?"]),
        ("trial/dot", ["--data", "foldr"], ["'foldr'", "did you mean 'folder'?"]),
        ("trial/dot", ["--data", "lesions:size=4"], ["size", "4", "32"]),
        ("trial/dot", ["--epochs", "0"], ["epochs", "0", "1 or more"]),
        ("trial/dot", ["--epochs", "ten"], ["epochs", "'ten'", "int"]),
        ("trial/dot", ["--batch", "0"], ["batch", "0", "1 or more"]),
        ("trial/dot", ["--lr", "-1"], ["lr", "-1", "above 0"]),
        ("trial/dot", ["--size", "12 x"], ["size"]),
        ("trial/dot", ["--augment", "hflop"], ["augment", "hflop", "'hflip'"]),
        ("trial/dot", ["--device", "gpu"], ["'gpu'", "this machine has"]),
        ("trial/dot", ["--preset", "orginal"], ["'orginal'", "did you mean 'original'?"]),
    ],
)
def test_a_wrong_name_option_type_or_value(data: Path, model: str, words: list[str], message: list[str]) -> None:
    refused(data, message, *words, model=model)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("folder", ["folder needs root=FOLDER"]),
        ("folder:root={data}/missing", ["data/missing", "does not exist"]),
        ("folder:root={data}x", ["datax", "does not exist (did you mean 'data'?)"]),
        ("folder:root={data}/images/0.png", ["0.png", "is a file"]),
        ("ph2:root={data}", ["data", "IMD001"]),
    ],
)
def test_a_missing_or_wrong_folder(data: Path, expression: str, message: list[str]) -> None:
    refused(data, message, "--data", expression.format(data=data))


def test_an_empty_folder(data: Path) -> None:
    for path in [*data.glob("*/*")]:
        path.unlink()
    refused(data, [f"{data}/images contains no images"])


def test_a_folder_without_images_or_masks(data: Path) -> None:
    (data / "masks").rename(data / "labels")
    refused(data, [f"folder {data}/masks does not exist"])


def test_an_image_without_its_mask(data: Path) -> None:
    (data / "masks" / "2.png").unlink()
    refused(data, ["one image has no mask", "images/2.png", "add what is missing"])


def test_sizes_that_differ(data: Path) -> None:
    Image.new("L", (5, 5)).save(data / "masks" / "3.png")
    refused(data, ["images/3.png is 10×12", "masks/3.png is 5×5", "expected the same size"])


@pytest.mark.parametrize(
    ("classes", "message"),
    [("", ["0 and 1, or 0 and 255"]), (",classes=[a,b,c]", ["3 classes allow 0 to 2, and 255"])],
)
def test_a_mask_with_values_out_of_range(data: Path, classes: str, message: list[str]) -> None:
    Image.new("L", (10, 12), 7).save(data / "masks" / "1.png")
    refused(data, ["masks/1.png has the values 7", *message], "--data", f"folder:root={data}{classes}")


@pytest.mark.parametrize("folder", ["images", "masks"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], "cannot be read"),
        (lambda whole: b"this is no image at all", "is not an image in a supported format (BMP, "),
        (lambda whole: b"", "is empty"),
        (lambda whole: png(100_000, 100_000), "more than 89,478,485 pixels"),
    ],
)
def test_a_file_that_is_not_a_complete_image(data: Path, folder: str, content: Any, message: str) -> None:
    path = data / folder / "0.png"
    path.write_bytes(content(path.read_bytes()))
    assert path.stat().st_size < 2000
    refused(data, [f"{folder}/0.png", message])


def test_a_batch_larger_than_the_data_works_with_a_note(data: Path) -> None:
    status, _, err = train(data, "--batch", "64", "--quiet")
    assert (status, err) == (0, "batch 64 is more than the 3 training images: each step uses the whole training set\n")


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_directory_that_holds_another_run(data: Path, quiet: list[str]) -> None:
    assert train(data)[0] == 0
    out = data.parent / "run"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    status, printed, err = train(data, *quiet)
    assert (status, printed) == (2, "")
    assert err == f"segreg: {out} already holds another run: choose another --out\n"
    (out / "results.json").unlink()
    assert train(data)[2] == (
        f"segreg: {out} already holds another run: choose another --out, or resume it with --resume {out}\n"
    )
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == {
        path: content for path, content in before.items() if path.name != "results.json"
    }


def test_a_directory_that_holds_other_files(data: Path) -> None:
    out = data.parent / "run"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    status, _, err = train(data)
    assert (status, err) == (2, f"segreg: {out} already holds other files: choose another --out\n")
    assert [path.read_text() for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("name", "message"), [("file", "is a file: choose another --out"), ("file/run", "Not a directory")]
)
def test_a_run_directory_that_cannot_be_created(data: Path, name: str, message: str) -> None:
    (data.parent / "file").write_text("mine")
    status, _, err = train(data, "--quiet", "--out", str(data.parent / name))
    assert status == 2
    assert err.startswith("segreg: ")
    assert message in err
    assert err.count("\n") == 1
    assert (data.parent / "file").read_text() == "mine"


def test_a_target_that_has_become_nan(data: Path) -> None:
    status, printed, err = train(
        data,
        *("--loss", "trial/nan:after=2", "--batch", "2", "--epochs", "3"),
        *("--clip-grad", "1", "--precision", "bf16", "--quiet"),
    )
    assert (status, printed) == (2, "")
    assert err == (
        "segreg: the loss was nan in epoch 2, step 1 of 2; kept: the weights of epoch 1 and the checkpoint "
        "after epoch 1; "
        "likely causes: too high a learning rate (try one below 0.001), rounding (try --precision fp32), "
        "or the loss itself\n"
    )
    run = Run(data.parent / "run")
    assert len(run.history) == 1
    assert not run.finished
    assert run.model()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["qick"], ["unknown study 'qick' (did you mean 'quick'?)", "experiment, quick, unet-paper"]),
        (["--models", "unett"], ["'unett'", "did you mean 'unet'?"]),
        (["--losses", "bce+"], ["'bce+'", "empty term"]),
        (["--seeds", "one"], ["seed", "'one'", "int"]),
        (["--epochs", "0"], ["epochs", "1 or more"]),
        (["quick", "--data", "folder:root=missing"], ["missing", "does not exist"]),
    ],
)
def test_a_wrong_study(tmp_path: Path, words: list[str], message: list[str]) -> None:
    status, printed, err = call("compare", *words, "--out", str(tmp_path / "study"))
    assert (status, printed) == (2, "")
    assert err.startswith("segreg: ")
    assert err.count("\n") == 1
    for part in message:
        assert part in err
    assert not (tmp_path / "study").exists()
