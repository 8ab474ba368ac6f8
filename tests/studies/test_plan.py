"""Study files, and what overrides them."""

from pathlib import Path
from typing import Any

import pytest

from segreg.errors import DataError, OptionError, SegregError, UnknownNameError
from segreg.recipe import make_recipe, recipe_options
from segreg.studies.plan import directory_name, make_plan, shipped

SEVEN = [
    ("segnet", "bce"),
    ("segnet", "dice"),
    ("segnet", "focal"),
    ("segnet", "wsr"),
    ("unet", "bce"),
    ("unet-upsample", "bce"),
    ("unet-convpool", "bce"),
]


def pairs(rows: Any) -> list[tuple[str, str]]:
    return [(row[0].model, row[0].loss) for row in rows]


def study(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["quick", "experiment"])
def test_the_shipped_studies_have_the_seven_configurations_of_the_experiment(name: str) -> None:
    plan = make_plan(name)
    assert pairs(plan.configurations) == SEVEN
    assert all(len(row) == 1 for row in plan.configurations)
    assert plan.directory == Path("studies") / f"{name}-lesions"


def test_no_other_studies_are_shipped_than_these_and_the_protocols_of_two_papers() -> None:
    assert list(shipped()) == ["camvid-segnet-basic", "experiment", "quick", "unet-paper"]


def test_segnet_basic_is_trained_as_in_its_paper() -> None:
    recipe = make_plan("camvid-segnet-basic").recipes[0]
    [optimizer] = recipe.components["optimizer"]
    assert (recipe.size, recipe.batch, recipe.schedule, recipe.augment) == ((360, 480), 12, "constant", ())
    assert (optimizer.entry.key, optimizer.options) == ("sgd", {"lr": 0.1, "momentum": 0.9})
    assert recipe.loss == "cross-entropy:class_weights=median-frequency"


def test_unet_is_trained_as_in_its_paper() -> None:
    recipe = make_plan("unet-paper").recipes[0]
    [optimizer], [architecture] = recipe.components["optimizer"], recipe.components["architecture"]
    assert (recipe.batch, optimizer.options["momentum"], architecture.options["norm"]) == (1, 0.99, "none")
    [elastic] = [each for each in recipe.components["augmentation"] if each.entry.key == "elastic"]
    assert elastic.options == {"sigma": 0.0175, "grid": 3, "p": 1}


def test_the_experiment_has_the_default_recipe() -> None:
    assert make_plan("experiment").configurations[4][0] == make_recipe()


def test_a_file_is_a_grid_with_shared_settings(tmp_path: Path) -> None:
    path = study(
        tmp_path,
        """
        name = "Mine & yours"
        seeds = [3, 5]
        preset = "original"
        [recipe]
        epochs = 2
        data = "trial/bands:train=4"
        [[grid]]
        models = ["unet", "segnet"]
        losses = ["bce", "BCE + dice"]
        [[grid]]
        models = ["unet"]
        losses = ["focal"]
        """,
    )
    plan = make_plan(path)
    assert pairs(plan.configurations) == [
        ("unet", "bce"),
        ("unet", "bce+dice"),
        ("segnet", "bce"),
        ("segnet", "bce+dice"),
        ("unet", "focal"),
    ]
    assert {(recipe.epochs, recipe.batch, recipe.data) for recipe in plan.recipes} == {(2, 25, "trial/bands:train=4")}
    assert [recipe.seed for recipe in plan.configurations[0]] == [3, 5]
    assert len(plan.recipes) == 10
    assert plan.directory == Path("studies/mine-yours-trial-bands")


def test_models_losses_seeds_and_settings_replace_those_of_the_file() -> None:
    plan = make_plan("quick", models="unet segnet-basic", losses=["lovasz"], seeds=["1", 2], epochs="3", size=32)
    assert pairs(plan.configurations) == [("unet", "lovasz"), ("segnet-basic", "lovasz")]
    assert [recipe.seed for recipe in plan.configurations[0]] == [1, 2]
    assert {(recipe.epochs, recipe.size) for recipe in plan.recipes} == {(3, (32, 32))}
    assert plan.configurations[0][0].data == make_plan("quick").configurations[0][0].data


def test_models_alone_are_crossed_with_the_losses_of_the_file() -> None:
    losses = ("bce", "dice", "focal", "wsr")
    assert pairs(make_plan("quick", models=["unet"]).configurations) == [("unet", loss) for loss in losses]


def test_losses_alone_are_crossed_with_the_models_of_the_file() -> None:
    models = ("segnet", "unet", "unet-upsample", "unet-convpool")
    assert pairs(make_plan("quick", losses=["dice"]).configurations) == [(model, "dice") for model in models]


def test_a_single_seed_may_be_a_number() -> None:
    assert make_plan("quick", seeds=3) == make_plan("quick", seeds=["3"])


def test_duplicates_are_run_once() -> None:
    plan = make_plan("quick", models="unet UNET unet", losses="dice Dice", seeds="1 1 01")
    assert pairs(plan.configurations) == [("unet", "dice")]
    assert len(plan.recipes) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = [1]\n", ["'seed'", "did you mean 'seeds'?", "grid"]),
        ("seeds = 1\n", ["seeds = 1", "a list"]),
        ("name = 3\n", ["name = 3", "text"]),
        ("recipe = 3\n", ["recipe = 3", "a table"]),
        ("grid = 3\n", ["grid = 3", "a list"]),
        ("grid = [3]\n", ["a grid of", "3", "models, losses"]),
        ('[[grid]]\nmodel = ["unet"]\n', ["'model'", "did you mean 'models'?"]),
        ('[[grid]]\nmodels = "unet"\nlosses = ["bce"]\n', ["models = 'unet'", "a list"]),
        ('[[grid]]\nmodels = ["unet"]\n', ["compares nothing", "one loss"]),
        ("", ["compares nothing"]),
        ('seeds = []\n[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n', ["compares nothing", "one seed"]),
        ('seeds = [0.5]\n[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n', ["seed", "0.5", "int"]),
        ('[recipe]\nepoch = 1\n[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n', ["did you mean 'epochs'?"]),
        ('[recipe]\nseed = 1\n[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n', ["'seed'", "use seeds"]),
        ('[recipe]\nmodel = "unet"\n[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n', ["'model'", "use models"]),
        ('preset = "orig"\n[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n', ["'orig'", "did you mean 'original'?"]),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: list[str]) -> None:
    with pytest.raises(OptionError) as error:
        make_plan(study(tmp_path, text))
    assert "\n" not in str(error.value)
    for part in message:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"study": "quik"},
            DataError,
            "study 'quik' (did you mean 'quick'?): expected a file, or one of camvid-segnet-basic, experiment, quick, "
            "unet-paper",
        ),
        ({"study": "."}, DataError, "cannot be read as TOML"),
        ({"study": "quick", "models": "unett"}, UnknownNameError, "did you mean 'unet'?"),
        ({"study": "quick", "models": []}, OptionError, "compares nothing"),
        ({"study": "quick", "models": 3}, OptionError, "models is 3: write a list of names"),
        ({"study": "quick", "seeds": 1.5}, OptionError, "seeds is 1.5: write a list of names"),
        ({"study": "quick", "loss": "bce"}, OptionError, "a study varies 'loss': use losses instead"),
        ({"study": "quick", "epoch": 3}, OptionError, "did you mean 'epochs'?"),
    ],
)
def test_a_mistake_in_a_call_is_named(settings: dict[str, Any], kind: type[SegregError], message: str) -> None:
    with pytest.raises(kind) as error:
        make_plan(**settings)
    assert message in str(error.value)


def test_runs_that_differ_in_anything_have_directories_that_differ() -> None:
    other = {
        "model": "trial/dot",
        "loss": "dice",
        "metrics": ("dice",),
        "data": "lesions:size=64",
        "on_bad_image": "skip",
        "size": (256, 257),
        "epochs": 41,
        "batch": 9,
        "lr": 1.1e-3,
        "weight_decay": 0.0,
        "schedule": "none",
        "ema": True,
        "augment": (),
        "normalize": "none",
        "precision": "fp32",
        "device": "cpu",
        "seed": 1,
        "clip_grad": 1.0,
    }
    assert {*other, "checkpoint_every", "track"} == recipe_options().keys()
    recipes = [make_recipe(), *(make_recipe(**{name: value}) for name, value in other.items())]
    names = [directory_name(recipe) for recipe in recipes]
    assert len(set(names)) == len(recipes)
    assert directory_name(make_recipe(checkpoint_every=5, track="tensorboard")) == names[0]
