"""What a study compares: a grid of models and losses, with shared settings and seeds."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import tomli_w

from segreg.errors import DataError, OptionError, did_you_mean, shown
from segreg.expression import parse
from segreg.recipe import Recipe, make_recipe, read_names
from segreg.support.files import read_toml, slug

_TYPES = {"text": str, "a list": list, "a table": dict}
_KEYS = {"name": "text", "seeds": "a list", "preset": "text", "recipe": "a table", "grid": "a list"}
_GRID_KEYS = {"models": "a list", "losses": "a list"}
# Windows treats these as devices, whatever follows a dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
# Settings that vary over the grid are not among those that all runs share.
_OF_THE_GRID = {"model": "models", "loss": "losses", "seed": "seeds"}


@attrs.frozen(kw_only=True)
class Plan:
    """The runs of a study, by configuration: a model with a loss, which has one run per seed.

    Args:
        name: Name of the study.
        configurations: The recipes of each configuration, which differ only in their seed.
    """

    name: str
    configurations: tuple[tuple[Recipe, ...], ...]

    @property
    def recipes(self) -> list[Recipe]:
        """The recipes of all runs, in order."""
        return [recipe for configuration in self.configurations for recipe in configuration]

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


def make_plan(
    study: str | Path,
    *,
    models: Sequence[str] | str | None = None,
    losses: Sequence[str] | str | None = None,
    seeds: Sequence[int | str] | int | str | None = None,
    **settings: Any,
) -> Plan:
    """Read a study file, replace its settings by those given, and check every run of it.

    Args:
        study: The name of a study that comes with segreg, or a path.
        models: Architectures, as expressions; crossed with the losses instead of the file's grid.
        losses: Losses, as expressions.
        seeds: One run of each configuration per seed.
        settings: Fields of `Recipe`.

    Raises:
        DataError: the file does not exist, or is not a study.
        OptionError, ExpressionError, UnknownNameError, PluginError: a setting or a component is invalid.
    """
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
    table = read_toml(path)
    _check_keys(str(path), table, _KEYS)
    grid = table.get("grid", [])
    for block in grid:
        _check_keys(f"a grid of {path}", block, _GRID_KEYS)
    if models is not None or losses is not None:
        file_models = [model for block in grid for model in block.get("models", [])]
        file_losses = [loss for block in grid for loss in block.get("losses", [])]
        grid = [
            {
                "models": read_names("models", models) if models is not None else file_models,
                "losses": read_names("losses", losses) if losses is not None else file_losses,
            }
        ]
    pairs = [(m, loss) for block in grid for m in block.get("models", []) for loss in block.get("losses", [])]
    given = [seeds] if isinstance(seeds, int) else seeds
    chosen = read_names("seeds", given) if given is not None else table.get("seeds", [0])
    if not pairs or not chosen:
        raise OptionError(f"{path} compares nothing: it needs at least one model, one loss and one seed")
    shared = {"preset": table.get("preset", "default"), **table.get("recipe", {}), **settings}
    for setting, instead in _OF_THE_GRID.items():
        if setting in shared:
            raise OptionError(f"a study varies {setting!r}: use {instead} instead")
    # Two spellings of the same run count once.
    configurations = dict.fromkeys(
        tuple(dict.fromkeys(make_recipe(**shared, model=model, loss=loss, seed=seed) for seed in chosen))
        for model, loss in pairs
    )
    return Plan(name=table.get("name", path.stem), configurations=tuple(configurations))


def directory_name(recipe: Recipe) -> str:
    """Return a readable name for a run's directory, which differs if the results of the recipe do."""
    settings = recipe.fields_that_affect_results()
    digest = hashlib.sha256(tomli_w.dumps(settings).encode()).hexdigest()[:8]
    return f"{slug(recipe.label)}-s{recipe.seed}-{digest}"


def _check_keys(where: str, table: Any, allowed: Mapping[str, str]) -> None:
    if not isinstance(table, dict):
        raise OptionError(f"{where} is {shown(table)}: expected a table with {', '.join(allowed)}")
    for key, value in table.items():
        if key not in allowed:
            raise OptionError(f"{where} has the key {key!r}{did_you_mean(key, allowed)}: expected {', '.join(allowed)}")
        if not isinstance(value, _TYPES[allowed[key]]):
            raise OptionError(f"{where} has {key} = {shown(value)}: expected {allowed[key]}")
