"""The normalisation of a run is the same wherever its model is used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segreg
from segreg.nn.normalized import Normalized
from segreg.runs.tensor_file import read_tensors, write_tensors
from segreg.training.fit import resume
from tests.trial import call, interrupt, without_times

DATA = "trial/bands:train=5,channels=2,test=2"
SETTINGS: dict[str, Any] = {
    "data": DATA,
    "loss": "trial/fragile",
    "size": "12x8",
    "epochs": 2,
    "batch": 2,
    "device": "cpu",
    "quiet": True,
    "normalize": "dataset",
}


def moments() -> tuple[np.ndarray, np.ndarray]:
    images = np.stack([image for image, _ in segreg.dataset(DATA).splits["train"]]) / 255
    return images.mean((0, 1, 2)), images.std((0, 1, 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> segreg.Run:
    return segreg.fit("trial/dot", out=tmp_path_factory.mktemp("runs") / "run", **SETTINGS)


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean, deviation = (torch.tensor(each).float()[:, None, None] for each in moments())
    return (images - mean) / deviation


def test_a_model_keeps_mean_and_deviation_of_its_training_images(trained: segreg.Run) -> None:
    predictor = segreg.load(trained)
    np.testing.assert_allclose(predictor.about.moments, moments(), rtol=1e-9)
    images = torch.rand(2, 2, 12, 8)
    model = trained.model()
    with torch.no_grad():
        torch.testing.assert_close(model(images), model.model(normalised(images)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ["saved", "exported"])
def test_what_is_passed_on_uses_the_same_numbers(trained: segreg.Run, tmp_path: Path, how: str) -> None:
    images = torch.rand(1, 2, 12, 8)
    with torch.no_grad():
        expected = trained.model()(images)
        if how == "saved":
            segreg.load(trained).save_pretrained(tmp_path / "model")
            got = segreg.load(tmp_path / "model" / "model.safetensors").model(images)
        else:
            made = segreg.export(trained, tmp_path / "model.pt2", format="torch-export", quiet=True)
            got = torch.export.load(made.path).module()(images)
    torch.testing.assert_close(got, expected)


def test_an_export_without_normalisation_says_how_to_normalise(trained: segreg.Run, tmp_path: Path) -> None:
    made = segreg.export(trained, tmp_path / "bare.pt2", format="torch-export", normalization=False, quiet=True)
    np.testing.assert_allclose([made.metadata["mean"], made.metadata["deviation"]], moments(), rtol=1e-9)
    assert f"mean {moments()[0][0]:.9g}, " in made.metadata["usage"]
    images = torch.rand(1, 2, 12, 8)
    with torch.no_grad():
        got = torch.export.load(made.path).module()(normalised(images))
        torch.testing.assert_close(got, trained.model()(images), rtol=1e-4, atol=1e-5)


def test_evaluation_and_tiles_use_the_same_numbers(trained: segreg.Run, tmp_path: Path) -> None:
    evaluation = segreg.evaluate(trained, split="test", out=tmp_path / "scores", device="cpu", quiet=True)
    expected = trained.results["metrics"]["test"]["iou"]
    assert evaluation.models[0].metrics["iou"].value.value == pytest.approx(expected, abs=0.01)
    image = segreg.dataset(DATA).splits["test"][0][0]
    whole, tiled = (segreg.load(trained, precision="fp32", tile=tile).probabilities(image) for tile in (None, 64))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_resumed_run_is_normalised_as_before(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = segreg.fit("trial/dot", out=tmp_path / "whole", **SETTINGS)
    interrupted = interrupt(parts, monkeypatch, 4, "trial/dot", out=tmp_path / "run", **SETTINGS)
    resumed = resume(interrupted.path, quiet=True)
    assert without_times(resumed.history) == without_times(whole.history)
    assert segreg.load(resumed).about.moments == segreg.load(whole).about.moments


def test_imagenet_is_a_constant_for_three_channels(tmp_path: Path) -> None:
    settings = {**SETTINGS, "normalize": "imagenet", "data": "trial/bands:train=5"}
    model = segreg.fit("trial/dot", out=tmp_path / "run", **settings).model()
    images = torch.rand(1, 3, 12, 8)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        torch.testing.assert_close(model(images), model.model((images - mean) / deviation))
    words = ["train", "trial/dot", "--data", DATA, "--normalize", "imagenet", "--size", "12x8"]
    status, _, err = call(*words, "--out", str(tmp_path / "other"))
    assert status == 2
    assert (
        "normalize is 'imagenet', which is for images of 3 channels, and these have 2: use image, dataset or none"
        in err
    )
    assert err.count("\n") == 1


def test_a_constant_channel_is_not_divided_by_zero(tmp_path: Path) -> None:
    settings = {**SETTINGS, "data": "trial/bands:train=5,noise=0,empty=true"}
    model = segreg.fit("trial/dot", out=tmp_path / "run", **settings).model()
    assert isinstance(model, Normalized)
    assert model.deviation.min() >= 1 / 255


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.update(mean=[0.5]),
        lambda about: about.update(deviation=[0.1, 0.0]),
        lambda about: about.update(deviation=[0.1, -1.0]),
        lambda about: about.update(mean=["nan", 0.5]),
        lambda about: about.update(mean=None),
        lambda about: about.update(normalize="image"),
        lambda about: about.pop("deviation"),
    ],
)
def test_a_file_with_other_numbers_is_refused(trained: segreg.Run, tmp_path: Path, change: Change) -> None:
    weights, about = read_tensors(trained.path / "model.safetensors", "a model")
    change(about)
    write_tensors(tmp_path / "model.safetensors", weights, about)
    with pytest.raises(segreg.errors.RunError) as caught:
        segreg.load(tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)
