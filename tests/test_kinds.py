"""A kind of component is one table entry, and everything it refers to is where the entry says."""

import inspect
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import segreg
from segreg import hooks
from segreg.kinds import KINDS, Kind
from segreg.recipe import Recipe, make_recipe, recipe_options
from segreg.specs import Component

COMPONENTS = Path(__file__).parents[1] / "docs" / "reference" / "components.md"

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def test_there_is_a_hook_a_record_and_a_folder_for_each_kind_and_no_other() -> None:
    functions = inspect.getmembers(hooks, inspect.isfunction)
    assert {name for name, _ in functions if name.startswith("segreg_")} == {kind.hook for kind in KINDS.values()}
    records = {value for value in vars(import_module("segreg.specs")).values() if isinstance(value, type)}
    assert {each for each in records if issubclass(each, Component)} - {Component} == {
        kind.record for kind in KINDS.values()
    }
    folders = {each.name for each in files("segreg.builtins").iterdir() if each.is_dir()} - {"__pycache__"}
    assert folders == {kind.plural for kind in KINDS.values()}


@every_kind
def test_its_record_is_public_its_checks_have_a_file_and_the_reference_has_its_table(kind: Kind) -> None:
    assert getattr(segreg, kind.record.__name__) is kind.record
    assert import_module(f"segreg.testing.{kind.plural}").CHECKS
    assert f"<!-- table: {kind.name} -->" in COMPONENTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.field], ids=lambda kind: kind.name)
def test_its_field_names_components_of_a_recipe(kind: Kind) -> None:
    assert kind.field in recipe_options()
    recipe = make_recipe(track="tensorboard")
    written = getattr(recipe, kind.field)
    names = [written] if isinstance(written, str) else list(written)
    assert [str(each.expression) for each in recipe.components[kind.name]] == names
    assert all(each.entry.kind == kind.name for each in recipe.components[kind.name])


@every_kind
def test_options_determined_by_the_data_are_refused_in_a_recipe(kind: Kind) -> None:
    entry = segreg.components(kind.name)[0]
    for fact in kind.facts or ():
        with pytest.raises(segreg.OptionError, match=f"sets '{fact}', which the data decide: leave it out"):
            make_recipe(**{kind.field: f"{entry.key}:{fact}=2"})


def test_the_terms_of_a_sum_are_resolved_with_their_weights() -> None:
    terms = make_recipe(loss="BCE+0.5*dice:smooth=2").components["loss"]
    assert [(each.weight, str(each.expression)) for each in terms] == [(1.0, "bce"), (0.5, "dice:smooth=2.0")]
    assert terms[1].every_option() == {"smooth": 2.0}


def test_a_recipe_has_its_components_however_it_is_created() -> None:
    assert Recipe(model="UNET:width=4").model == "unet:width=4"
    written = Recipe(metrics="iou DICE iou", size=64, augment="none", track=["tensorboard"])
    assert (written.metrics, written.size, written.augment) == (("iou", "dice"), (64, 64), ())
    assert written == make_recipe(metrics=("iou", "dice"), size="64x64", augment=[])
    with pytest.raises(segreg.UnknownNameError, match="did you mean 'unet'"):
        Recipe(model="unett")
