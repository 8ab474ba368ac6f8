"""Recipes: what they accept, how they are spelled, and their error messages."""

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.errors import DataError, ExpressionError, OptionError, SegregError, UnknownNameError
from segreg.recipe import Recipe, make_recipe, read_recipe
from segreg.registry import registry
from segreg.support.files import read_toml
from tests.trial import trial as trial


def read_back(recipe: Recipe) -> Recipe:
    return make_recipe(**tomllib.loads(recipe.to_toml()))


RATES = {"lr", "weight_decay"}
recipes = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["segnet", "unet:width=3,pool=conv", "trial/dot"]),
        "loss": st.sampled_from(["dice", "bce+0.5*dice:smooth=0.1", "trial/nan:after=3"]),
        "metrics": st.lists(st.sampled_from(["iou", "dice:average=dataset", "trial/mistakes"]), min_size=1),
        "data": st.sampled_from(["lesions", 'folder:root="a, b",classes=[sky,"the road"]']),
        "size": st.tuples(st.integers(32, 500), st.integers(32, 500)),
        "epochs": st.integers(1, 10**6),
        "batch": st.integers(1, 10**6),
        "lr": st.floats(1e-30, 1e30),
        "weight_decay": st.floats(0, 1e30),
        "optimizer": st.sampled_from(["adamw", "sgd", "adam:betas=[0.8,0.9]"]),
        "schedule": st.sampled_from(["onecycle", "constant", "step:milestones=[0.2,0.5]"]),
        "ema": st.booleans(),
        "augment": st.lists(st.sampled_from(["gamma", "hflip", "affine:degrees=180"]), unique=True),
        "normalize": st.sampled_from(["image", "none"]),
        "precision": st.sampled_from(["auto", "bf16", "fp32"]),
        "device": st.sampled_from(["auto", "cpu", "cuda:3"]),
        "seed": st.integers(0, 2**32 - 1),
    },
)


@settings(max_examples=40, deadline=None)
@given(recipes)
def test_a_recipe_is_the_same_after_a_round_trip_through_toml(chosen: dict[str, Any]) -> None:
    recipe = make_recipe(**chosen)
    assert read_back(recipe) == recipe
    for name in chosen.keys() - {"metrics", "loss", "model", "data", "size", "augment", "optimizer"} - RATES:
        assert getattr(recipe, name) == chosen[name]
    [optimizer] = recipe.components["optimizer"]
    assert all(optimizer.options[name] == chosen[name] for name in chosen.keys() & RATES)


def test_the_defaults_are_those_of_the_experiment() -> None:
    recipe = make_recipe()
    assert (recipe.model, recipe.loss, recipe.metrics, recipe.epochs, recipe.size) == (
        "unet",
        "bce",
        ("iou",),
        40,
        (256, 256),
    )


def test_original_is_the_plain_protocol_and_settings_override_it() -> None:
    recipe = make_recipe("original", epochs=3)
    assert attrs.asdict(recipe) == attrs.asdict(
        Recipe(epochs=3, batch=25, schedule="constant", ema=False, augment=(), normalize="none", precision="fp32")
    )


@pytest.mark.parametrize("size", [96, "96", "96x96", "96X96", " 96 ", (96, 96), [96, "96"], [96]])
def test_a_square_size_can_be_written_in_many_ways(size: Any) -> None:
    assert make_recipe(size=size).size == (96, 96)


def test_height_comes_before_width() -> None:
    assert make_recipe(size="96x128").size == make_recipe(size="96×128").size == (96, 128)


def test_text_from_the_command_line_means_what_values_mean() -> None:
    given = make_recipe(epochs="3", lr="1e-2", metrics="iou dice", augment="hflip affine", seed="7")
    meant = make_recipe(epochs=3, lr=0.01, metrics=["iou", "dice"], augment=["hflip", "affine"], seed=7)
    assert given == meant


@pytest.mark.parametrize("nothing", ["none", ["none"], [], ()])
def test_none_disables_augmentation(nothing: Any) -> None:
    assert make_recipe(augment=nothing).augment == ()


def test_a_component_is_spelled_in_one_way() -> None:
    given = make_recipe(
        model="UNet_Convpool: width=08", loss="0.50*BCE + Cross_Entropy", metrics="F1 dice IoU", data="Lesions:size=064"
    )
    assert given.model == "unet-convpool:width=8"
    assert given.loss == "0.5*bce+cross-entropy"
    assert given.metrics == ("dice", "iou")
    assert given.data == "lesions:size=64"


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"epoch": 3}, OptionError, ["'epoch'", "did you mean 'epochs'?", "weight_decay"]),
        ({"epochs": "many"}, OptionError, ["epochs", "'many'", "int"]),
        ({"epochs": 1.5}, OptionError, ["epochs", "1.5", "int"]),
        ({"epochs": 0}, OptionError, ["epochs", "0", "1 or more"]),
        ({"batch": -1}, OptionError, ["batch", "-1", "1 or more"]),
        ({"lr": "fast"}, OptionError, ["adamw: lr", "'fast'", "float"]),
        ({"weight_decay": "much"}, OptionError, ["adamw: weight_decay", "'much'", "float"]),
        ({"optimizer": "adamm"}, UnknownNameError, ["'adamm'", "did you mean 'adam'?"]),
        ({"optimizer": "sgd:lr=x"}, OptionError, ["sgd: lr", "'x'", "float"]),
        ({"optimizer": "sgd:momentun=0.9"}, OptionError, ["'momentun'", "did you mean 'momentum'?"]),
        ({"optimizer": "adamw+sgd"}, ExpressionError, ["'adamw+sgd'"]),
        ({"seed": -1}, OptionError, ["seed", "-1", "0 to 4294967295"]),
        ({"seed": 2**32}, OptionError, ["seed", "4294967296"]),
        ({"seed": True}, OptionError, ["seed", "True", "int"]),
        ({"schedule": "onecycl"}, UnknownNameError, ["schedule", "did you mean 'onecycle'?", "poly"]),
        ({"ema": "swa"}, OptionError, ["ema", "'swa'", "bool"]),
        ({"precision": "fp16"}, OptionError, ["precision", "'fp16'", "'bf16'", "'fp32'"]),
        ({"augment": "hflip vlip"}, UnknownNameError, ["augmentation", "vlip", "'vflip'"]),
        ({"normalize": "batch"}, OptionError, ["normalize", "'batch'", "'image'"]),
        ({"augment": "none hflip"}, OptionError, ["augment is 'none hflip'", "none stands alone"]),
        ({"freeze": ["none", "encoder"]}, OptionError, ["freeze", "none stands alone"]),
        ({"augment": 3}, OptionError, ["augment", "3", "list of names"]),
        ({"metrics": []}, OptionError, ["metrics", "one name or more"]),
        ({"metrics": "none"}, OptionError, ["metrics", "one name or more"]),
        ({"metrics": None}, OptionError, ["metrics", "None", "list of names"]),
        ({"metrics": [["iou"]]}, OptionError, ["metrics", "tuple[str, ...]"]),
        ({"size": 1.5}, OptionError, ["size", "1.5", "int"]),
        ({"size": None}, OptionError, ["size", "None", "int"]),
        ({"size": True}, OptionError, ["size", "True", "int"]),
        ({"size": "wide"}, OptionError, ["size", "'wide'"]),
        ({"size": "1x2x3"}, OptionError, ["size", "'1x2x3'", "HEIGHTxWIDTH"]),
        ({"size": []}, OptionError, ["size", "HEIGHTxWIDTH"]),
        ({"size": "64x16"}, OptionError, ["size", "64x16", "unet", "32x32"]),
        ({"size": -5}, OptionError, ["size", "-5"]),
        ({"size": 0, "model": "trial/dot"}, OptionError, ["size is 0", "1 or more"]),
        ({"model": "unett"}, UnknownNameError, ["'unett'", "did you mean 'unet'?"]),
        ({"model": "unet:pool=con"}, OptionError, ["unet: pool", "'con'", "did you mean 'conv'?"]),
        ({"model": "unet:widht=8"}, OptionError, ["'widht'", "did you mean 'width'?"]),
        ({"model": "unet:num_classes=3"}, OptionError, ["unet:num_classes=3", "leave it out"]),
        ({"model": "unet:in_channels=1"}, OptionError, ["unet:in_channels=1", "leave it out"]),
        ({"model": "unet pool=conv"}, ExpressionError, ["'unet pool=conv'", "name:option=value"]),
        ({"model": 3}, OptionError, ["model", "3", "str"]),
        ({"loss": "dise"}, UnknownNameError, ["'dise'", "did you mean 'dice'?"]),
        ({"loss": "bce+"}, ExpressionError, ["'bce+'", "empty term"]),
        ({"loss": "trial/nan:after=x"}, OptionError, ["after", "'x'", "int"]),
        ({"metrics": "iou:average=pixel"}, OptionError, ["average", "'pixel'", "'dataset'"]),
        ({"metrics": "iou:num_classes=2"}, OptionError, ["num_classes", "leave it out"]),
        ({"data": "lesion"}, UnknownNameError, ["'lesion'", "did you mean 'lesions'?"]),
        ({"data": "lesions:sise=64"}, OptionError, ["'sise'", "did you mean 'size'?"]),
    ],
)
def test_a_mistake_is_named_in_one_line(settings: dict[str, Any], kind: type[SegregError], message: list[str]) -> None:
    with pytest.raises(kind) as error:
        make_recipe(**settings)
    assert "\n" not in str(error.value)
    for part in message:
        assert part in str(error.value)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(OptionError, match=r"'orginal' \(did you mean 'original'\?\); available: default, original"):
        make_recipe("orginal")


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"epochs": "ten"},
        {"seed": "x"},
        {"batch": 2.5},
        {"ema": 3},
        {"size": "wide"},
        {"metrics": 3},
        {"checkpoint_every": "often"},
    ],
)
def test_a_recipe_created_directly_is_checked_in_the_same_way(settings: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as direct:
        Recipe(**settings)
    with pytest.raises(OptionError) as made:
        make_recipe(**settings)
    assert str(direct.value) == str(made.value)
    assert str(direct.value).startswith(f"{next(iter(settings))} is ")


def test_a_recipe_created_directly_reads_text() -> None:
    settings: dict[str, Any] = {
        "epochs": "3",
        "size": "32x64",
        "metrics": "iou dice",
        "clip_grad": "none",
    }
    assert Recipe(**settings) == Recipe(epochs=3, size=(32, 64), metrics=("iou", "dice"))


def test_a_model_that_accepts_less_than_32_pixels_gets_them() -> None:
    assert make_recipe(model="trial/dot", size=5).size == (5, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[recipes]\n", "no [recipe] table"),
        ("recipe = 3\n", "no [recipe] table"),
        ("[recipe\n", "cannot be read as TOML"),
    ],
)
def test_a_file_that_is_not_a_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_recipe(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.toml cannot be read as TOML"):
        read_toml(tmp_path / "missing.toml")


@pytest.mark.parametrize("disabled", ["", "trial"])
def test_a_file_whose_tracker_is_not_installed_is_read_without_it(
    tmp_path: Path, disabled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[recipe]\nepochs = 3\ntrack = ["mine/lines:file=x", "tensorboard", "trial/diary"]\n')
    monkeypatch.setenv("SEGREG_DISABLE_PLUGINS", disabled)
    registry.cache_clear()
    recipe = read_recipe(path)
    assert recipe == make_recipe(epochs=3)
    assert recipe.track == ("tensorboard",) if disabled else ("tensorboard", "trial/diary")
    # Requesting it now is an error.
    with pytest.raises(UnknownNameError, match="unknown tracker 'mine/lines'"):
        make_recipe(track="mine/lines")
    registry.cache_clear()
