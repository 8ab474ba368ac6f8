"""Study files, and what overrides them."""

from pathlib import Path
from typing import Any

import pytest

from segreg.errors import DataError, OptionError, SegregError, UnknownNameError
from segreg.recipe import make_recipe, recipe_options
from segreg.studies.labels import labels_of
from segreg.studies.plan import directory_name, make_plan, shipped
from segreg.studies.study import Study

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


def labels(**given: Any) -> list[str]:
    return make_plan("quick", models="trial/dot", losses="bce", **given).labels


def test_axes_are_crossed_and_a_label_says_what_differs_and_nothing_else() -> None:
    given = {"optimizers": ["adamw", "sgd:lr=0.05,momentum=0.9"], "schedules": "onecycle poly"}
    assert labels(**given) == [
        "adamw · onecycle",
        "adamw · poly",
        "sgd:lr=0.05,momentum=0.9 · onecycle",
        "sgd:lr=0.05,momentum=0.9 · poly",
    ]
    assert labels(**given, augments=[["gamma", "hflip"], "none"], seeds="0 1")[:2] == [
        "adamw · onecycle · hflip gamma",
        "adamw · onecycle · augment=none",
    ]
    assert labels(sizes=[64, "96x128", (32, 48)]) == ["64x64", "96x128", "32x48"]
    assert labels(optimizers="sgd") == ["trial/dot · bce"]


def test_labels_that_would_be_equal_are_told_apart() -> None:
    rows = [{"model": "a · b", "loss": "c"}, {"model": "a", "loss": "b · c"}, {"model": "a", "loss": "c"}]
    assert labels_of(rows) == ["a · b · c (1)", "a · b · c (2)", "a · c"]


def test_learning_rates_are_crossed_with_every_optimizer() -> None:
    assert labels(optimizers="adamw sgd:momentum=0.5", lrs=["0.1", 0.01]) == [
        "adamw:lr=0.1",
        "adamw:lr=0.01",
        "sgd:momentum=0.5,lr=0.1",
        "sgd:momentum=0.5,lr=0.01",
    ]


def test_blocks_pair_settings_and_are_added(tmp_path: Path) -> None:
    path = study(
        tmp_path,
        """
        [recipe]
        data = "trial/bands"
        size = 32
        epochs = 2
        lr = 0.5
        optimizer = "adam"
        schedule = "poly"
        [[grid]]
        models = ["segnet"]
        losses = ["bce", "dice"]
        optimizer = "sgd:momentum=0.5"
        epochs = 60
        [[grid]]
        models = ["unet"]
        losses = ["bce"]
        lr = 0.2
        schedules = ["constant", "onecycle"]
        """,
    )
    plan = make_plan(path)
    # The optimizer of the first block comes with a rate of its own; the second has that of [recipe].
    assert plan.labels == [
        "segnet · bce · sgd:momentum=0.5 · poly · epochs=60",
        "segnet · dice · sgd:momentum=0.5 · poly · epochs=60",
        "unet · bce · adam:lr=0.2 · constant · epochs=2",
        "unet · bce · adam:lr=0.2 · onecycle · epochs=2",
    ]
    assert plan.notes == ()
    # What is given replaces an axis, or its setting, in every block.
    given = {"losses": "bce", "schedule": "cosine", "epochs": 3}
    assert make_plan(path, optimizers=["adamw"], models="segnet unet", **given).labels == ["segnet", "unet"]
    assert make_plan(path, lrs=[1, 2], models="segnet", **given).labels == [
        "sgd:momentum=0.5,lr=1.0",
        "sgd:momentum=0.5,lr=2.0",
        "adam:lr=1.0",
        "adam:lr=2.0",
    ]


def test_a_study_on_disk_has_the_configurations_of_its_plan(tmp_path: Path) -> None:
    given = {"augments": [["hflip", "affine:degrees=90"], []], "sizes": ["8x12", 16], "optimizers": "adamw sgd"}
    plan = make_plan("quick", models="trial/dot", losses="bce", data="trial/bands", seeds=[3, 4], **given)
    (tmp_path / "study.toml").write_text(plan.to_toml(), encoding="utf-8")
    read = Study.read(tmp_path).plan
    assert read == plan
    assert read.labels == plan.labels
    assert len({directory_name(recipe) for recipe in plan.recipes}) == len(plan.recipes) == 16


def test_one_rate_for_several_optimizers_is_noted() -> None:
    few = {"models": "trial/dot", "losses": "bce"}
    [note] = make_plan("quick", **few, optimizers="adamw sgd", lr="0.1").notes
    assert note.startswith("lr 0.1 is used for adamw and sgd alike: ")
    assert note.endswith("adamw:lr=0.1")
    assert not make_plan("quick", **few, optimizers="adamw adamw:weight_decay=0", lr="0.1").notes
    assert not make_plan("quick", **few, optimizers="adamw sgd", lrs="0.1 0.01").notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimiser = 'sgd'", ["'optimiser'", "did you mean 'optimizer"]),
        ("optimizer = 'sgd'\noptimizers = ['sgd']", ["both optimizers and optimizer: keep one"]),
        ("lrs = []", ["lrs is []: expected one value or more"]),
        ("lrs = ['fast']", ["lr is 'fast': expected float"]),
        ("schedules = 'poly'", ["schedules = 'poly': expected a list"]),
        ("data = 'lesions'", ["data = 'lesions': all runs of a study share it"]),
        ("metrics = 'dice'", ["metrics = 'dice': all runs of a study share it"]),
        ("preset = 'original'", ["preset = 'original': all runs of a study share it"]),
        ("seed = 3", ["'seed'", "did you mean 'seeds'?"]),
        ("epochs = 0", ["epochs is 0"]),
        ("sizes = [64, 1]", ["size is 1x1", "unet"]),
    ],
)
def test_a_mistake_in_a_block_is_named(tmp_path: Path, text: str, message: list[str]) -> None:
    with pytest.raises(OptionError) as error:
        make_plan(study(tmp_path, f'[[grid]]\nmodels = ["unet"]\nlosses = ["bce"]\n{text}\n'))
    assert "\n" not in str(error.value)
    for part in message:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[recipe]\nmodels = ["unet"]\n', ["axis 'models'", "[[grid]]"]),
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
        ({"study": "quick", "models": 3}, OptionError, "models is 3: write a list"),
        ({"study": "quick", "seeds": 1.5}, OptionError, "seeds is 1.5: write a list"),
        ({"study": "quick", "loss": "bce"}, OptionError, "a study varies 'loss': use losses instead"),
        ({"study": "quick", "epoch": 3}, OptionError, "did you mean 'epochs'?"),
        ({"study": "quick", "lr": 1, "lrs": [1]}, OptionError, "the study has both lrs and lr: keep one"),
        ({"study": "quick", "augments": "hflip vflip"}, OptionError, "write a list of lists"),
        ({"study": "quick", "augments": [["hflp"]]}, UnknownNameError, "did you mean 'hflip'?"),
        ({"study": "quick", "optimizers": ["trial/rateless"], "lrs": [1]}, OptionError, "rateless has no option 'lr'"),
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
        "init": "runs/a",
        "freeze": ("encoder",),
        "lr_scale": ("encoder=0.1",),
        "data": "lesions:size=64",
        "on_bad_image": "skip",
        "size": (256, 257),
        "epochs": 41,
        "patience": 3,
        "batch": 9,
        "accumulate": 2,
        "optimizer": "sgd",
        "lr": 1.1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "ema": True,
        "augment": (),
        "oversample": 0.33,
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


def test_configurations_that_a_given_rate_makes_equal_are_pointed_out() -> None:
    given = {"models": ["trial/dot"], "losses": ["bce"], "optimizers": ["adamw:lr=0.01", "adamw:lr=0.02"]}
    assert make_plan("quick", **given).notes == ()
    [note] = make_plan("quick", **given, lr=0.1).notes
    assert note == "1 run fewer: the rates that were given replace those by which optimizers differed"


def test_a_rate_of_a_study_can_be_unset() -> None:
    plans = [make_plan("quick", optimizers=["sgd"], **rates) for rates in ({}, {"lr": "none", "weight_decay": None})]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("axes", "notes"),
    [
        ({"optimizers": ["adamw", "adamw:lr=0.001"]}, ["adamw and adamw:lr=0.001 are the same, with a default"]),
        ({"models": ["unet", "unet:pool=max", "unet:pool=conv"]}, ["unet and unet:pool=max are the same, with a"]),
        ({"optimizers": ["sgd:lr=0.1", "sgd:lr=0.2"], "lrs": [0.3, 0.4]}, ["2 runs fewer: the rates that were given"]),
        ({"optimizers": ["adamw", "sgd"], "lrs": [0.3, 0.4]}, []),
        ({"optimizers": ["adamw", "sgd"], "lr": "none"}, []),
        ({"optimizers": ["adamw", "adamw:lr=0.002"]}, []),
    ],
)
def test_what_makes_configurations_equal_is_pointed_out(axes: dict[str, Any], notes: list[str]) -> None:
    given = {"models": ["trial/dot"], "losses": ["bce"], **axes}
    found = make_plan("quick", **given).notes
    assert len(found) == len(notes)
    assert all(note.startswith(expected) for note, expected in zip(found, notes, strict=True))
