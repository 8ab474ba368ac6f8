"""Bad images: each is read as one would expect, or refused in one line with its path, in little time and memory."""

import csv
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import segreg
from segreg.data.image_files import read_image, read_mask
from segreg.errors import DataError
from segreg.runs.run import Run
from segreg.support.files import read_csv
from tests.builtins.datasets.files import blob, colours, save
from tests.hostile.malformed_images import FLAT_SIDE, KINDS, encoded, whole, write
from tests.trial import call

SECONDS = 10  # of CPU time, for one file; the slowest takes one
BYTES_PER_PIXEL = 10


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The outcomes of the corpus in a process limited to a gigabyte in addition to what torch takes."""
    folder = tmp_path_factory.mktemp("corpus")
    write(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.read_corpus", str(folder)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_malformed_file_is_read_or_refused_in_one_line(outcomes: tuple[Path, list[Any]]) -> None:
    folder, found = outcomes
    names = {name for name, *_ in found}
    print(f"{len(names)} malformed images, read {len(found)} times")
    assert len(names) >= 250
    for name, outcome, message, seconds, _ in found:
        assert outcome in ("read", "refused"), (name, message)
        assert outcome == "refused" or name.startswith("any"), name
        if outcome == "refused":
            assert str(folder / name) in message
            assert "\n" not in message
            assert "MemoryError" not in message
            assert len(message) < len(str(folder / name)) + 400
        assert seconds < SECONDS, name


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_malformed_file_is_refused_before_memory_is_taken_for_it(outcomes: tuple[Path, list[Any]]) -> None:
    folder, found = outcomes
    for name, outcome, _, _, memory in found:
        if outcome == "refused" and name.startswith("refused"):
            assert memory < 2**24 + 3 * (folder / name).stat().st_size, name


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_images_and_masks_take_memory_in_proportion_to_their_pixels(outcomes: tuple[Path, list[Any]]) -> None:
    _, found = outcomes
    flat = [(name, memory) for name, *_, memory in found if name.startswith("any-flat")]
    assert len(flat) == 27
    for name, memory in flat:
        assert memory < BYTES_PER_PIXEL * FLAT_SIDE**2, name


@given(st.sampled_from(sorted(KINDS)), st.data())
@settings(max_examples=150)
@pytest.mark.filterwarnings("ignore")
def test_a_corrupted_file_is_an_image_or_a_one_line_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    content = bytearray(whole(KINDS[kind]))
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    content[start:end] = data.draw(st.binary(max_size=40))
    path.write_bytes(content)
    for read in (read_image, lambda path: read_mask(path, num_classes=1), lambda path: read_mask(path, num_classes=3)):
        pixels, message = None, ""
        try:
            pixels = read(path)
        except DataError as error:
            message = str(error)
        if pixels is None:
            assert str(path) in message
            assert "\n" not in message
        else:
            assert pixels.dtype == np.uint8
            assert min(pixels.shape) > 0


# ── unusual files that one would expect to be read ──


@pytest.mark.parametrize("content", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_wrong_suffix_does_not_matter(tmp_path: Path, content: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(whole(KINDS[content]))
    assert read_image(path).shape == (30, 40, 3)


def test_a_cmyk_jpeg_keeps_its_original_colours(tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (200, 40, 90))
    image = read_image(save(tmp_path / "a.jpg", flat.convert("CMYK"), quality=95))
    assert np.abs(image.astype(int) - np.array([200, 40, 90])).max() <= 4


def test_the_previews_in_a_phone_image_are_ignored(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue")]
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(frames[0], format="MPO", save_all=True, append_images=frames[1:]))
    image = read_image(path)
    assert image.shape == (12, 16, 3)
    assert image[..., 0].min() > 200


def test_an_animation_with_one_frame_is_one_image(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.gif", np.full((5, 7), 3, np.uint8), save_all=True))
    assert (image == 3).all()


def test_a_mask_rotated_against_its_image_is_reported_with_a_likely_cause(tmp_path: Path) -> None:
    root = dataset(tmp_path, ["a", "b", "c", "d"])
    exif = Image.Exif()
    exif[0x0112] = 6
    save(root / "images" / "b.png", colours(), exif=exif)
    with pytest.raises(DataError, match=r"expected the same size; perhaps only one of them has an EXIF orientation$"):
        [
            samples[n]
            for samples in segreg.dataset("folder", root=str(root)).splits.values()
            for n in range(len(samples))
        ]


# ── names ──


def dataset(where: Path, names: list[str]) -> Path:
    """Write images with masks, as the dataset `folder` expects them."""
    root = where / "data"
    for name in names:
        save(root / "images" / f"{name}.png", colours())
        save(root / "masks" / f"{name}.png", blob())
    return root


def train(root: Path, *words: str) -> tuple[int, str, str]:
    """Train on a folder, into `run` next to it."""
    start = ["train", "trial/dot", "--data", f"folder:root={root}", "--size", "8", "--epochs", "1", "--device", "cpu"]
    return call(*start, "--quiet", "--out", str(root.parent / "run"), *words)


def in_splits(root: Path) -> list[str]:
    """The names that a run has on record."""
    return sorted(row["name"] for row in read_csv(root.parent / "run" / "splits.csv", ("split", "name")))


ODD = ["größe ☃ 日本", "a" * 240, "a,b", 'say "x"', "=1+1", "line\nbreak", "-rf", "$(date)", "\x1b[31m", "\u202egnp"]


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX")
def test_any_name_is_trained_on_and_recorded(tmp_path: Path) -> None:
    root = dataset(tmp_path, ODD)
    assert train(root)[0] == 0
    assert in_splits(root) == sorted(ODD)


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_a_name_that_is_not_valid_text_is_recorded_as_closely_as_possible(tmp_path: Path) -> None:
    root = dataset(tmp_path, ["a", "b", "c", os.fsdecode(b"caf\xe9")])
    assert train(root)[0] == 0
    assert in_splits(root) == ["a", "b", "c", r"caf\udce9"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_a_folder_whose_name_is_not_valid_text_is_refused_before_a_recipe_is_written(tmp_path: Path) -> None:
    root = dataset(tmp_path / os.fsdecode(b"caf\xe9"), ["a", "b", "c", "d"])
    status, _, err = train(root, "--out", str(tmp_path / "run"))
    assert status == 2
    assert "the recipe has bytes that are not text, near '" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes the two for one")
def test_a_letter_and_its_accent_may_be_one_character_or_two(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    save(tmp_path / "data" / "images" / f"{apart}.png", colours())
    save(tmp_path / "data" / "masks" / f"{composed}.png", blob())
    root = dataset(tmp_path, ["a", "b", "c"])
    opened = segreg.dataset("folder", root=str(root))
    assert sum(len(samples) for samples in opened.splits.values()) == 4


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX")
@pytest.mark.parametrize("name", ["line\nbreak", "\x1b]0;owned\x07", "\u202egnp", os.fsdecode(b"\xff")])
def test_a_name_neither_breaks_the_line_nor_injects_escape_sequences(tmp_path: Path, name: str) -> None:
    root = dataset(tmp_path, ["a", "b", "c", name])
    (root / "images" / f"{name}.png").write_bytes(b"nonsense")
    status, out, err = train(root)
    assert (status, out) == (2, "")
    assert err.startswith(f"segreg: {root}/images/")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()


# ── what is not a regular file, or has disappeared ──


def missing(path: Path) -> None:
    path.unlink()


def broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.png")


def circular_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.skipif(os.name != "posix", reason="files of POSIX")
@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missing, "cannot be read (No such file or directory): check that it exists and is readable"),
        (broken_link, "cannot be read (No such file or directory)"),
        (circular_link, "cannot be read (Too many levels of symbolic links)"),
        (pipe, "is not a regular file: remove it"),
        (endless, "is not a regular file: remove it"),
        (folder, "is not a regular file: remove it"),
    ],
)
def test_a_file_that_changes_between_listing_and_reading(
    tmp_path: Path, part: str, change: Callable[[Path], None], message: str
) -> None:
    root = dataset(tmp_path, ["a", "b", "c", "d"])
    opened = segreg.dataset("folder", root=str(root), split_seed=1)
    path = root / part / f"{opened.splits['train'].names[0]}.png"
    change(path)
    with pytest.raises(DataError) as error:
        opened.splits["train"][0]
    assert str(error.value).startswith(f"{path} {message}")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("change", [broken_link, circular_link])
def test_broken_links_are_reported_and_not_silently_left_out(tmp_path: Path, change: Callable[[Path], None]) -> None:
    root = dataset(tmp_path, ["a", "b", "c", "d"])
    for part in ("images", "masks"):
        change(root / part / "b.png")
    status, _, err = train(root)
    assert status == 2
    assert err.startswith(f"segreg: {root}/images/b.png cannot be read (")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_circular_links_between_folders_do_no_harm(tmp_path: Path) -> None:
    root = dataset(tmp_path, ["a", "b", "c", "d"])
    (root / "images" / "again").symlink_to(root)
    (root / "circle").symlink_to("circle")
    (root / "train").symlink_to(root)
    assert train(root)[0] == 0
    status, _, err = train(root / "circle", "--out", str(tmp_path / "other"))
    assert status == 2
    assert "circle of folder does not exist" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("root", ["a" * 5000, "~nobody-of-this-name/x", "a\0b"])
def test_an_invalid_root_is_named(root: str) -> None:
    with pytest.raises(DataError) as error:
        segreg.dataset("folder", root=root)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("root ")
    assert str(error.value).endswith(": give a folder with images/ and masks/")


# ── a bad file among many ──


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Forty images, five of them bad, and the problem of each."""
    root = dataset(tmp_path, [f"{number:02d}" for number in range(40)])
    images, masks = root / "images", root / "masks"
    (images / "03.png").write_bytes(b"")
    (images / "11.png").write_bytes((images / "11.png").read_bytes()[:60])
    save(masks / "17.png", np.full((6, 8), 7, np.uint8))
    save(masks / "25.png", blob(5, 8))
    (masks / "39.png").write_bytes(b"nonsense")
    return root, {
        "03": f"{images}/03.png is empty",
        "11": f"{images}/11.png cannot be read",
        "17": f"mask {masks}/17.png has the values 7",
        "25": f"image {images}/25.png is 8×6 and its mask {masks}/25.png is 8×5",
        "39": f"{masks}/39.png is not an image",
    }


def test_by_default_training_stops_before_it_starts_and_every_bad_file_is_named(
    damaged: tuple[Path, dict[str, str]],
) -> None:
    root, reasons = damaged
    status, out, err = train(root)
    assert (status, out) == (2, "")
    first, *lines = err.splitlines()
    assert first == (
        "segreg: 5 of 40 images cannot be used: fix or remove them, "
        "or leave them out with on_bad_image=skip (--on-bad-image skip)"
    )
    assert len(lines) == 5
    for reason in reasons.values():
        assert [line for line in lines if line.startswith(f"  {reason}")]
    assert not (root.parent / "run").exists()


def test_skip_leaves_bad_files_out_and_records_their_names(damaged: tuple[Path, dict[str, str]]) -> None:
    root, reasons = damaged
    status, _, err = train(root, "--on-bad-image", "skip")
    assert status == 0, err
    assert err.startswith("5 images left out, see skipped.csv; the first: ")
    assert err.count("\n") == 1
    assert in_splits(root) == [f"{number:02d}" for number in range(40) if f"{number:02d}" not in reasons]
    run = Run(root.parent / "run")
    with (run.path / "skipped.csv").open(encoding="utf-8", newline="") as file:
        written = {row["name"]: row for row in csv.DictReader(file)}
    assert written.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert written[name]["reason"].startswith(reason)
        assert written[name]["split"] in ("train", "valid")
    assert run.results["skipped"] == 5
    assert sum(run.results["images"].values()) == 35
    assert run.recipe.on_bad_image == "skip"


def test_the_remaining_images_are_unchanged(damaged: tuple[Path, dict[str, str]]) -> None:
    """An image left out must not shift the masks of those after it."""
    root, reasons = damaged
    for number in range(40):
        if f"{number:02d}" not in reasons:
            save(root / "images" / f"{number:02d}.png", np.full((6, 8, 3), number, np.uint8))
            save(root / "masks" / f"{number:02d}.png", np.full((6, 8), number % 2, np.uint8))
    from segreg.data.in_memory import load_data

    data = load_data(segreg.dataset("folder", root=str(root)), (6, 8), lambda *_: None, "skip")
    assert len(data.skipped) == 5
    for images in data.splits.values():
        assert len(images.images) == len(images.masks) == len(images.names)
        for name, image, mask in zip(images.names, images.images, images.masks, strict=True):
            assert (image == int(name)).all()
            assert (mask == int(name) % 2).all()


def test_a_long_list_is_truncated(tmp_path: Path) -> None:
    root = dataset(tmp_path, [f"{number:02d}" for number in range(40)])
    for path in sorted((root / "images").iterdir())[:33]:
        path.write_bytes(b"nonsense")
    lines = train(root)[2].splitlines()
    assert lines[0].startswith("segreg: 33 of 40 images cannot be used")
    assert len(lines) == 22
    assert lines[-1] == "  and 13 more"


def test_a_mistake_about_all_images_is_reported_without_reading_all_of_them(tmp_path: Path) -> None:
    root = dataset(tmp_path, [f"{number:03d}" for number in range(400)])
    for path in (root / "masks").iterdir():
        path.write_bytes(b"nonsense")
    lines = train(root)[2].splitlines()
    count = int(lines[0].split(" images")[0].split()[-1])
    assert lines[0].startswith(f"segreg: none of the first {count} images can be used")
    assert 100 <= count <= 132


def test_a_split_without_a_valid_image_is_refused(tmp_path: Path) -> None:
    root = dataset(tmp_path, [f"{number:02d}" for number in range(8)])
    names = segreg.dataset("folder", root=str(root)).splits["valid"].names
    for name in names:
        (root / "masks" / f"{name}.png").write_bytes(b"nonsense")
    status, _, err = train(root, "--on-bad-image", "skip")
    assert status == 2
    assert err.startswith("segreg: no image of valid can be used")
    assert len(err.splitlines()) == 1 + len(names)


def test_a_study_reports_what_it_left_out(damaged: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, _ = damaged
    words = ["compare", "--models", "trial/dot", "--losses", "bce", "--data", f"folder:root={root}", "--size", "8"]
    out = tmp_path / "study"
    status, _, err = call(*words, "--epochs", "1", "--device", "cpu", "--on-bad-image", "skip", "-q", "--out", str(out))
    assert status == 0, err
    assert "5 images left out" in err
    for report in ("report.html", "results.md"):
        assert "; 5 unusable left out)" in (out / report).read_text(encoding="utf-8")


def test_valid_files_leave_no_record_of_bad_ones(tmp_path: Path) -> None:
    root = dataset(tmp_path, ["a", "b", "c", "d"])
    status, _, err = train(root, "--on-bad-image", "skip")
    assert status == 0
    assert "left out" not in err
    assert not (root.parent / "run" / "skipped.csv").exists()
