"""What a study compares: a grid of settings, crossed or paired, with shared settings and seeds."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import tomli_w

from segreg.errors import DataError, OptionError, counted, did_you_mean, shown
from segreg.expression import parse
from segreg.kinds import KINDS
from segreg.options import check_names
from segreg.recipe import Recipe, make_recipe, recipe_options
from segreg.studies.labels import as_text, columns_of, differing, labels_of
from segreg.support.files import read_toml, slug

AXES: Mapping[str, str] = {
    "models": "model",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "augments": "augment",
    "lrs": "lr",
    "sizes": "size",
    "seeds": "seed",
}
"""The axes of a grid, in the order in which they are crossed, and the setting that each one varies."""

_TYPES = {"text": str, "a list": list, "a table": dict}
_KEYS = {"name": "text", "seeds": "a list", "preset": "text", "recipe": "a table", "grid": "a list"}
# Axes of every study, which are therefore no settings of one.
_ALWAYS = ("models", "losses", "seeds")
# Scores on other images or by other metrics could not be compared, and the others do not change a result.
_SHARED = frozenset(("data", "on_bad_image", "metrics", "device", "track", "checkpoint_every"))
# Part of a directory's name unless they have their default value; the digest has the others.
_IN_DIRECTORIES = ("optimizer", "schedule", "size")
# Windows treats these as devices, whatever follows a dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


@attrs.frozen(kw_only=True)
class Plan:
    """The runs of a study, by configuration: the settings that differ within the study, with one run per seed.

    Args:
        name: Name of the study.
        configurations: The recipes of each configuration, which differ only in their seed.
        notes: What to know before it is started, a line each.
    """

    name: str
    configurations: tuple[tuple[Recipe, ...], ...]
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)

    @classmethod
    def of(cls, name: str, recipes: Iterable[Recipe]) -> "Plan":
        """Return a plan of recipes, each of which counts once, however it is spelled."""
        configurations: dict[Recipe, dict[Recipe, None]] = {}
        for recipe in recipes:
            configurations.setdefault(attrs.evolve(recipe, seed=0), {})[recipe] = None
        return cls(name=name, configurations=tuple(map(tuple, configurations.values())))

    @property
    def recipes(self) -> list[Recipe]:
        """The recipes of all runs, in order."""
        return [recipe for configuration in self.configurations for recipe in configuration]

    @cached_property
    def columns(self) -> list[dict[str, str]]:
        """What tells each configuration from the others: its settings that differ in the study, as text."""
        first = [configuration[0] for configuration in self.configurations]
        settings = differing(first)
        return [columns_of(recipe, settings) for recipe in first]

    @cached_property
    def labels(self) -> list[str]:
        """A short name for each configuration."""
        return labels_of(self.columns)

    def label(self, recipe: Recipe) -> str:
        """Return the label of the configuration that a recipe belongs to."""
        return next(label for label, recipes in zip(self.labels, self.configurations, strict=True) if recipe in recipes)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The sizes of training."""
        return list(dict.fromkeys(recipe.size for recipe in self.recipes))

    @property
    def directory(self) -> Path:
        """The default directory of the study."""
        name = slug(f"{self.name}-{parse(self.recipes[0].data).name}")
        return Path("studies") / (f"study-{name}" if _RESERVED.match(name) else name)

    def to_toml(self) -> str:
        """Return the runs of the study as TOML."""
        return tomli_w.dumps({"name": self.name, "run": [recipe.to_dict() for recipe in self.recipes]})


def shipped() -> dict[str, Path]:
    """Return the study files that come with segreg, by name."""
    return {path.stem: path for path in sorted(Path(str(files("segreg.studies"))).glob("*.toml"))}


def make_plan(study: str | Path, **given: Any) -> Plan:
    """Read a study file, replace its axes and settings by those given, and check every run of it.

    What is more specific replaces what is less: a block of the grid the settings of `[recipe]`, and what is given both.
    An axis replaces its setting and the other way round, and an optimizer comes with rates of its own.

    Args:
        study: The name of a study that comes with segreg, or a path.
        given: Axes, as in `AXES`, which replace those of each block of the file's grid, and fields of `Recipe`.

    Raises:
        DataError: the file does not exist, or is not a study.
        OptionError, ExpressionError, UnknownNameError, PluginError: a setting or a component is invalid.
    """
    path = _found(study)
    table = read_toml(path)
    _check_keys(str(path), table, _KEYS)
    shared = {"seeds": table.get("seeds", [0]), "preset": table.get("preset", "default"), **table.get("recipe", {})}
    given = {name: value for name, value in given.items() if name not in AXES or value is not None}
    _check_settings(f"[recipe] of {path}", shared)
    _check_settings("the study", given)
    made: list[_Made] = []
    for block in table.get("grid") or [{}]:
        _check_block(f"a grid of {path}", block)
        settings = _over(_over(shared, block), given)
        axes = {axis: _values(axis, settings.pop(axis)) for axis in AXES if axis in settings}
        if not all(axes.get(axis) for axis in _ALWAYS):
            raise OptionError(f"{path} compares nothing: it needs at least one model, one loss and one seed")
        for values in product(*axes.values()):
            varied = {AXES[axis]: value for axis, value in zip(axes, values, strict=True)}
            made.append(_Made(settings, varied, make_recipe(**settings, **varied)))
    plan = Plan.of(table.get("name", path.stem), [each.recipe for each in made])
    notes = (*_rates_of_several(made), *_replaced_rates(made), *_equal_configurations(plan))
    return attrs.evolve(plan, notes=notes)


def directory_name(recipe: Recipe) -> str:
    """Return a readable name for a run's directory, which differs if the results of the recipe do.

    It depends on nothing but the recipe, so that a study that grows finds its runs.
    """
    settings = recipe.fields_that_affect_results()
    digest = hashlib.sha256(tomli_w.dumps(settings).encode()).hexdigest()[:8]
    defaults = {name: as_text(name, getattr(attrs.fields(Recipe), name).default) for name in _IN_DIRECTORIES}
    chosen = columns_of(recipe, _IN_DIRECTORIES)
    readable = [recipe.label, *(text for name, text in chosen.items() if text != defaults[name])]
    return f"{slug(' '.join(readable))}-s{recipe.seed}-{digest}"


def _found(study: str | Path) -> Path:
    path = shipped().get(str(study), Path(study))
    try:
        there = path.exists()
    except OSError:  # the name is too long for a path
        there = False
    if not there:
        known = ", ".join(shipped())
        raise DataError(
            f"unknown study {str(study)!r}{did_you_mean(str(study), shipped())}: expected a file, or one of {known}"
        )
    return path


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings and axes, with more specific ones in their place."""
    replaced = {name for pair in AXES.items() if not upper.keys().isdisjoint(pair) for name in pair}
    if not upper.keys().isdisjoint(("optimizer", "optimizers")):
        replaced |= _rates()
    return {**{name: value for name, value in lower.items() if name not in replaced}, **upper}


def _rates() -> set[str]:
    """Return the settings of a recipe that are options of its optimizer."""
    return recipe_options().keys() - attrs.fields_dict(Recipe).keys()


@attrs.frozen
class _Made:
    """A recipe of a plan, with the settings that its block shares and those that the axes vary."""

    shared: Mapping[str, Any]
    varied: Mapping[str, Any]
    recipe: Recipe


def _is_set(rate: Any) -> bool:
    return rate not in (None, "none")


def _rates_of_several(made: Iterable[_Made]) -> list[str]:
    """Say which rates are given once and used with several optimizers, though one rate hardly suits two of them."""
    used: dict[tuple[str, str], dict[str, None]] = {}
    for each in made:
        [optimizer] = each.recipe.components["optimizer"]
        for name in sorted(name for name in _rates() if _is_set(each.shared.get(name))):
            used.setdefault((name, str(each.shared[name])), {})[optimizer.entry.key] = None
    return [
        f"{name} {value} is used for {' and '.join(optimizers)} alike: to give each its own, leave out {name} and "
        f"write it into the optimizer, as in {next(iter(optimizers))}:{name}={value}"
        for (name, value), optimizers in used.items()
        if len(optimizers) > 1
    ]


def _replaced_rates(made: Iterable[_Made]) -> list[str]:
    """Say that rates which were given replace those by which optimizers differ, if that makes runs equal."""
    own: dict[Recipe, set[Recipe]] = {}
    for each in made:
        settings = {**each.shared, **each.varied}
        if any(_is_set(settings.get(name)) for name in _rates()):
            kept = {name: value for name, value in settings.items() if name not in _rates()}
            own.setdefault(each.recipe, set()).add(make_recipe(**kept))
    lost = sum(len(recipes) - 1 for recipes in own.values())
    replaced = f"{counted(lost, 'run')} fewer: the rates that were given replace those by which optimizers differed"
    return [replaced] if lost else []


def _equal_configurations(plan: Plan) -> list[str]:
    """Name the configurations that differ only in a default that one of them writes out."""
    labels: dict[str, list[str]] = {}
    for label, (recipe, *_) in zip(plan.labels, plan.configurations, strict=True):
        fields = {kind.field for kind in KINDS.values()}
        rest = {name: value for name, value in recipe.fields_that_affect_results().items() if name not in fields}
        built = {
            kind: [(each.weight, each.entry.key, each.known_options()) for each in components]
            for kind, components in recipe.components.items()
        }
        labels.setdefault(repr((rest, built)), []).append(label)
    return [f"{' and '.join(each)} are the same, with a default written out" for each in labels.values() if each[1:]]


def _values(axis: str, value: Any) -> Sequence[Any]:
    """Return the values of an axis.

    Raises:
        OptionError: they are not a list, or the list is empty.
    """
    if axis == "seeds" and isinstance(value, int):
        return [value]
    if axis == "augments" and isinstance(value, str):
        raise OptionError(f'{axis} is {shown(value)}: write a list of lists, such as ["hflip vflip", "none"]')
    values = value.split() if isinstance(value, str) else value
    if not isinstance(values, Sequence):
        raise OptionError(f"{axis} is {shown(value)}: write a list")
    if not values and axis not in _ALWAYS:
        raise OptionError(f"{axis} is {shown(value)}: expected one value or more")
    return values


def _check_block(where: str, block: Any) -> None:
    """Raise `OptionError` unless the keys of a block are axes with lists, or settings that may vary in a study."""
    if not isinstance(block, dict):
        raise OptionError(f"{where} is {shown(block)}: expected a table with {', '.join(AXES)}")
    settings = recipe_options().keys() - _SHARED - {AXES[axis] for axis in _ALWAYS}
    for key, value in block.items():
        if key in (*_SHARED, "preset"):
            raise OptionError(f"{where} has {key} = {shown(value)}: all runs of a study share it, so set it for all")
        if key not in AXES and key not in settings:
            near = did_you_mean(key, [*AXES, *settings])
            raise OptionError(f"{where} has the key {key!r}{near}: expected {', '.join(AXES)} or a setting of a recipe")
        if key in AXES and not isinstance(value, list):
            raise OptionError(f"{where} has {key} = {shown(value)}: expected a list")
    _check_settings(where, block)


def _check_settings(where: str, settings: Mapping[str, Any]) -> None:
    """Raise `OptionError` for an unknown one, one that every study varies, and one that is given with its axis."""
    for axis, setting in AXES.items():
        if setting in settings and axis in _ALWAYS:
            raise OptionError(f"a study varies {setting!r}: use {axis} instead")
    always = [AXES[axis] for axis in _ALWAYS]
    check_names(where, [*AXES, *(name for name in recipe_options() if name not in always), "preset"], settings)
    for axis, setting in AXES.items():
        if setting in settings and axis in settings:
            raise OptionError(f"{where} has both {axis} and {setting}: keep one")


def _check_keys(where: str, table: Mapping[str, Any], allowed: Mapping[str, str]) -> None:
    for key, value in table.items():
        if key not in allowed:
            raise OptionError(f"{where} has the key {key!r}{did_you_mean(key, allowed)}: expected {', '.join(allowed)}")
        if not isinstance(value, _TYPES[allowed[key]]):
            raise OptionError(f"{where} has {key} = {shown(value)}: expected {allowed[key]}")
    for axis in AXES:
        if axis in table.get("recipe", {}):
            raise OptionError(f"[recipe] of {where} has the axis {axis!r}: it belongs in [[grid]]")
