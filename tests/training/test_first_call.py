"""Components that do not fit the data are reported before the images are read."""

from pathlib import Path

import numpy as np
import pytest
import torch

import segreg
from segreg.errors import DataError, OptionError
from segreg.recipe import make_recipe
from segreg.support.randomness import random_state
from segreg.training.first_call import check_first_call
from tests.builtins.datasets.files import colours, save
from tests.trial import call

CPU = torch.device("cpu")


@pytest.fixture
def unread(tmp_path: Path) -> Path:
    """Forty images, of which only the first of the training set can be read."""
    root = tmp_path / "data"
    for index in range(40):
        save(root / "images" / f"{index:02d}.png", colours(12, 16))
        save(root / "masks" / f"{index:02d}.png", np.arange(192, dtype=np.uint8).reshape(12, 16) % 3)
    first = segreg.dataset("folder", root=str(root)).splits["train"].names[0]
    for path in (root / "images").iterdir():
        if path.stem != first:
            path.write_bytes(b"not an image")
    return root


THREE = "classes=[a,b,c]"


@pytest.mark.parametrize(
    ("words", "classes", "message"),
    [
        (
            ["--loss", "cross-entropy:class_weights=[1,5]"],
            THREE,
            "cross-entropy:class_weights=[1.0,5.0] cannot be used with 3 classes: "
            "class_weights has 2 weights for 3 classes",
        ),
        (
            ["--loss", "cross-entropy:class_weights=[1,2,3]"],
            "",
            "cross-entropy:class_weights=[1.0,2.0,3.0] cannot be used with 1 class: "
            "class_weights has 3 weights for 2 classes",
        ),
        (
            ["--loss", "dice+0.5*focal:alpha=0.75"],
            THREE,
            "focal:alpha=0.75 cannot be used with 3 classes: alpha is 0.75: expected None with 3 classes",
        ),
        (
            ["--loss", "trial/broken"],
            "",
            "trial/broken cannot be used with 1 class: RuntimeError: a <b>broken</b> loss of two lines",
        ),
        (
            ["--loss", "trial/per-image"],
            "",
            "trial/per-image cannot be used with 1 class: RuntimeError: grad can be implicitly created only for scalar",
        ),
        (["--metrics", "surface-dice:tolerance=-1"], "", "surface-dice: tolerance is -1.0: expected a finite number"),
    ],
)
def test_a_loss_or_metric_is_named_before_the_images_are_read(
    unread: Path, tmp_path: Path, words: list[str], classes: str, message: str
) -> None:
    data = f"folder:root={unread},{classes}".rstrip(",")
    start = ["train", "trial/dot", "--size", "8", "--epochs", "1", "--device", "cpu", "-q", "--data", data]
    status, out, err = call(*start, *words, "--out", str(tmp_path / "run"))
    assert (status, out) == (2, "")
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("unet:depth=9", "unet: depth is 9: expected from 1 to 6"),
        ("trial/valued", "trial/valued cannot be used with 3 classes: RuntimeError: only one class"),
    ],
)
def test_a_model_is_named_before_the_images_are_read(unread: Path, tmp_path: Path, model: str, message: str) -> None:
    words = ["train", model, "--data", f"folder:root={unread},{THREE}", "--size", "32", "--device", "cpu", "-q"]
    status, _, err = call(*words, "--loss", "cross-entropy", "--out", str(tmp_path / "run"))
    assert status == 2
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1


def test_components_that_fit_are_not_refused(tmp_path: Path) -> None:
    """A loss for large images only, and a model that cannot be built without values."""
    for size, model, loss in ((48, "trial/dot", "trial/wide"), (8, "trial/valued", "bce")):
        data = "trial/bands:train=2,valid=1"
        settings = {"data": data, "size": size, "epochs": 1, "device": "cpu", "quiet": True}
        assert segreg.fit(model, loss=loss, out=tmp_path / loss.replace("/", "-"), **settings).finished
    with pytest.raises(OptionError, match=r"^trial/wide cannot be used with 1 class: the images are too small$"):
        segreg.fit("trial/dot", loss="trial/wide", data="trial/bands", size=8, out=tmp_path / "small", quiet=True)


@pytest.mark.parametrize("classes", [("one",), ("a", "b", "c"), tuple(map(str, range(255)))])
def test_every_component_of_segreg_fits_any_number_of_classes(classes: tuple[str, ...]) -> None:
    names = {
        kind: [entry.key for entry in segreg.components(kind) if entry.plugin.distribution == "segreg"]
        for kind in ("loss", "metric")
    }
    recipe = make_recipe(model="trial/dot", loss="+".join(names["loss"]), metrics=names["metric"], size=8)
    check_first_call(recipe, segreg.dataset("trial/bands", classes=classes, train=1, valid=1), CPU)


@pytest.mark.parametrize("number", [0, 256])
def test_a_number_of_classes_that_is_no_task_is_reported_with_the_data(tmp_path: Path, number: int) -> None:
    data = f"trial/bands:train=2,valid=1,classes=[{','.join(map(str, range(number)))}]"
    with pytest.raises(DataError, match=r"^the dataset names (no class|256 classes): expected"):
        segreg.fit("trial/dot", loss="cross-entropy", data=data, size=8, out=tmp_path / "run", quiet=True)


def test_it_draws_no_random_numbers() -> None:
    recipe = make_recipe(model="trial/dot", loss="trial/noisy", data="trial/bands", size=8)
    before = random_state(CPU)
    check_first_call(recipe, segreg.dataset("trial/bands"), CPU)
    after = random_state(CPU)
    assert torch.equal(before.pop("torch"), after.pop("torch"))
    assert before == after
