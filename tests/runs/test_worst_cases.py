"""The images on which a run does worst, against the predictions of its own model."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segreg
from segreg.errors import RunError
from segreg.recipe import make_recipe
from segreg.runs.run import Run
from segreg.runs.worst_cases import WorstCase, read_cases, worst_positions, write_cases
from segreg.task import task_of
from tests.hostile.runs import SOUND_RESULTS

DATA = 'trial/bands:train=6,valid=7,ignored=true,noise=90,classes=["sky","road","sea"],channels=2'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("worst") / "run"
    settings: dict[str, Any] = {"size": (12, 8), "epochs": 1, "batch": 3, "lr": 0.1, "precision": "fp32"}
    metrics = ["trial/mistakes", "iou"]
    return segreg.fit("trial/dot", data=DATA, metrics=metrics, device="cpu", quiet=True, out=out, **settings)


def test_the_worst_images_are_those_with_most_mistakes(run: Run) -> None:
    images, masks = zip(*segreg.dataset(DATA).splits["valid"], strict=True)
    model = run.model()
    shares = {}
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        with torch.no_grad():
            predicted = model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].argmax(0).numpy()
        shares[str(number)] = (predicted != mask)[mask != 255].mean()
    cases = read_cases(run)
    assert len(cases) == 4
    assert [case.name for case in cases] == sorted(shares, key=lambda name: -shares[name])[:4]
    for case in cases:
        assert case.value == pytest.approx(shares[case.name], abs=0.02)
        assert np.array_equal(case.ground_truth, masks[int(case.name)])
        assert (case.prediction != case.ground_truth)[case.ground_truth != 255].mean() == pytest.approx(case.value)
        # Of an image without three channels the first channel is shown.
        assert np.abs(case.image[..., 0].astype(int) - images[int(case.name)][..., 0]).mean() < 20


def test_the_files_are_ordinary_images(run: Run) -> None:
    assert sorted(path.name for path in (run.path / "worst").iterdir()) == sorted(
        f"{number}{end}" for number in (1, 2, 3, 4) for end in (".jpg", "-ground-truth.png", "-prediction.png")
    )
    with Image.open(run.path / "worst" / "1-ground-truth.png") as ground_truth:
        assert (ground_truth.mode, ground_truth.size) == ("P", (8, 12))
        # The classes can be told apart by eye.
        assert len(ground_truth.convert("RGB").getcolors()) == len(ground_truth.getcolors())


def test_a_binary_case_of_any_content_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [
        np.zeros((40, 33), np.uint8),
        np.ones((40, 33), np.uint8),
        rng.choice([0, 1, 255], (40, 33)).astype(np.uint8),
    ]
    image = np.zeros((40, 33, 3), np.uint8)
    cases = [WorstCase(f"</script>{number}", 0.5, image, mask, masks[0]) for number, mask in enumerate(masks)]
    run = Run(tmp_path)
    run.write_recipe(make_recipe(size=(40, 33), metrics="iou"), {})
    run.write_results({**SOUND_RESULTS, "worst": write_cases(run, cases, task_of(1))})
    again = read_cases(run)
    assert [case.name for case in again] == [case.name for case in cases]
    assert all(np.array_equal(case.ground_truth, mask) for case, mask in zip(again, masks, strict=True))


def test_at_256_pixels_they_take_a_few_hundred_kilobytes(tmp_path: Path) -> None:
    """Noise is the worst case for the file size: camera images take a fifth of it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    write_cases(Run(tmp_path), [WorstCase("x", 0.0, noise, noise[..., 0] // 128, noise[..., 1] // 128)] * 4, task_of(1))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*")) < 500_000


def test_a_file_in_the_way_is_named_in_one_line_and_left_alone(tmp_path: Path) -> None:
    worst = tmp_path / "worst"
    worst.write_bytes(b"mine")
    mask = np.zeros((9, 7), np.uint8)
    with pytest.raises(RunError, match=r"worst cannot be written: ") as error:
        write_cases(Run(tmp_path), [WorstCase("x", 0.5, np.zeros((9, 7, 3), np.uint8), mask, mask)], task_of(1))
    assert "\n" not in str(error.value)
    assert worst.read_bytes() == b"mine"


def test_values_that_are_not_finite_are_not_the_worst() -> None:
    values = np.array([0.3, np.nan, 0.1, np.inf, 0.2, 0.1, 0.9])
    assert worst_positions(values, higher_is_better=True) == [2, 5, 4, 0]
    assert worst_positions(values, higher_is_better=False) == [6, 0, 4, 2]
    assert worst_positions(np.array([np.nan]), higher_is_better=True) == []


def test_deleted_files_mean_fewer_cases(run: Run, tmp_path: Path) -> None:
    other = Run(shutil.copytree(run.path, tmp_path / "run"))
    (other.path / "worst" / "2.jpg").unlink()
    assert [case.name for case in read_cases(other)] == [read_cases(run)[index].name for index in (0, 2, 3)]
    shutil.rmtree(other.path / "worst")
    assert read_cases(other) == []
