"""Weights of classes that follow from the training images."""

import json
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

import segreg
from segreg.builtins.losses.balance import weights_of_classes
from segreg.errors import OptionError
from segreg.runs.run import Run
from segreg.support.files import read_toml
from tests.builtins.losses.cases import draw_case, sigmoid, tensors
from tests.trial import call, without_times
from tests.trial import trial as trial

DATA = "trial/bands:classes=[a,b,c,d],train=5"
SETTINGS: dict[str, Any] = {
    "data": DATA,
    "size": "12x8",
    "epochs": 2,
    "device": "cpu",
    "quiet": True,
    "augment": "none",
}
PIXELS, IMAGE_PIXELS = (60, 30, 0, 6, 4), (100, 50, 0, 25, 100)


def test_median_frequency_is_the_median_over_the_frequency_of_a_class() -> None:
    frequencies = [Fraction(p, of) for p, of in zip(PIXELS, IMAGE_PIXELS, strict=True) if p]
    expected = [
        float(median(frequencies) / Fraction(p, of)) if p else 0 for p, of in zip(PIXELS, IMAGE_PIXELS, strict=True)
    ]
    assert weights_of_classes("median-frequency", PIXELS, IMAGE_PIXELS) == pytest.approx(expected)
    # SegNet's own weights for CamVid have the same property: the class in the middle has weight 1.
    assert weights_of_classes("median-frequency", (10, 20, 70), (100,) * 3) == pytest.approx([2, 1, 2 / 7])


def test_balanced_gives_every_class_the_same_sum_of_weights() -> None:
    weights = weights_of_classes("balanced", PIXELS, IMAGE_PIXELS)
    sums = [weight * count for weight, count in zip(weights, PIXELS, strict=True)]
    assert sums == pytest.approx([25, 25, 0, 25, 25])


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_balanced_bce_weighs_the_inside_of_each_class_as_much_as_the_outside(classes: int) -> None:
    pixels = (75, 25, 100)[: max(classes, 2)]
    logits, target = case = draw_case(5, classes=classes)
    loss = segreg.loss("bce", pos_weight="balanced", class_pixels=pixels)
    costs = []
    for image, row, column in np.argwhere(target != 255):
        for index in range(classes):
            label = 1 if classes == 1 else index
            p = sigmoid(logits[image, index, row, column])
            weight = (sum(pixels) - pixels[label]) / pixels[label]
            costs.append(-weight * np.log(p) if target[image, row, column] == label else -np.log(1 - p))
    assert float(loss(*tensors(case)).detach()) == pytest.approx(np.mean(costs), rel=1e-6)


def test_balanced_focal_has_the_share_of_the_background_as_alpha() -> None:
    case = tensors(draw_case(6))
    balanced = segreg.loss("focal", alpha="balanced", class_pixels=(75, 25))
    assert torch.equal(balanced(*case), segreg.loss("focal", alpha=0.75)(*case))


@pytest.mark.parametrize(
    ("expression", "options", "message"),
    [
        ("cross-entropy:class_weights=balanced", {}, "'balanced' follows from the training images"),
        ("cross-entropy:class_weights=balancd", {}, "did you mean 'balanced'"),
        ("bce:pos_weight=balanced", {}, "'balanced' follows from the training images"),
        ("bce:pos_weight=balanced", {"class_pixels": [0, 0]}, "there are none"),
        ("focal:alpha=balanced", {"class_pixels": [1, 1, 1]}, "expected None with 3 classes"),
    ],
)
def test_what_cannot_be_computed_is_an_error(expression: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        segreg.loss(expression, **options)
    assert "\n" not in str(caught.value)


def test_the_kit_certifies_losses_with_weights_from_the_data() -> None:
    status, out, _ = call("check", "cross-entropy:class_weights=median-frequency", "bce:pos_weight=balanced")
    assert status == 0, out


def test_show_lists_the_words_and_the_facts() -> None:
    _, out, _ = call("show", "cross-entropy", "--json")
    [shown] = json.loads(out)
    assert shown["options"]["class_weights"]["type"] == "tuple[float, ...] | 'balanced' | 'median-frequency' | None"
    assert shown["options"]["class_pixels"]["type"] == "tuple[int, ...]"


def expected_weights() -> list[float]:
    masks = np.stack([mask for _, mask in segreg.dataset(DATA).splits["train"]])
    frequencies = [(masks == label).sum() / (masks == label).any((1, 2)).sum() / masks[0].size for label in range(4)]
    return [np.median(frequencies) / each for each in frequencies]


def test_a_run_uses_and_writes_the_weights_of_its_training_images(tmp_path: Path) -> None:
    expression = "cross-entropy:class_weights=median-frequency"
    run = segreg.fit("trial/dot", loss=expression, out=tmp_path / "run", **SETTINGS)
    weights = run.results["class_weights"][expression]["class_weights"]
    assert weights == pytest.approx(expected_weights())
    tables = read_toml(run.path / "recipe.toml")["component"]
    [loss] = [table["options"] for table in tables if table["kind"] == "loss"]
    assert loss["class_weights"] == weights
    assert len(loss["class_pixels"]) == len(loss["class_image_pixels"]) == 4
    assert run.recipe.loss == expression
    written = ",".join(map(repr, weights))
    same = segreg.fit("trial/dot", loss=f"cross-entropy:class_weights=[{written}]", out=tmp_path / "same", **SETTINGS)
    assert without_times(same.history) == without_times(run.history)
    plain = segreg.fit("trial/dot", loss="cross-entropy", out=tmp_path / "plain", **SETTINGS)
    assert without_times(plain.history) != without_times(run.history)


def test_in_a_sum_each_term_has_its_own(tmp_path: Path) -> None:
    loss = "dice+0.5*cross-entropy:class_weights=balanced+bce:pos_weight=balanced"
    run = segreg.fit("trial/dot", loss=loss, out=tmp_path / "run", **SETTINGS)
    assert list(run.results["class_weights"]) == ["cross-entropy:class_weights=balanced", "bce:pos_weight=balanced"]
    kinds = [table for table in read_toml(run.path / "recipe.toml")["component"] if table["kind"] == "loss"]
    assert [len(table["options"].get("class_weights", [])) for table in kinds] == [0, 4, 0]


def test_a_class_that_no_training_image_shows_is_named(tmp_path: Path) -> None:
    words = [
        "train",
        "trial/dot",
        "--data",
        "trial/bands:classes=[a,b,c],empty=true",
        "--size",
        "12x8",
        "--epochs",
        "1",
    ]
    words += ["--out", str(tmp_path / "run"), "--device", "cpu", "--metrics", "accuracy"]
    status, out, err = call(*words, "--loss", "cross-entropy:class_weights=balanced")
    assert status == 0, err
    assert "no training image shows b, c: cross-entropy:class_weights=balanced cannot balance that" in out + err
    assert Run(tmp_path / "run").results["class_weights"]["cross-entropy:class_weights=balanced"] == {
        "class_weights": [1, 0, 0]
    }


def test_training_images_without_a_pixel_that_counts_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cross-entropy: 'balanced' needs training pixels that are not ignored"):
        segreg.fit(
            "trial/dot",
            loss="cross-entropy:class_weights=balanced",
            out=tmp_path / "run",
            **{**SETTINGS, "data": "trial/bands:ignored_train=true"},
        )


@pytest.mark.parametrize("fact", ["class_pixels", "class_image_pixels"])
def test_a_recipe_cannot_set_what_the_data_decide(fact: str) -> None:
    status, _, err = call("train", "--loss", f"cross-entropy:{fact}=[1,2]")
    assert status == 2
    assert f"sets '{fact}', which the data decide: leave it out" in err
