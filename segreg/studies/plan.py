"""What a study compares: a grid of models and losses, with shared settings and seeds."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import tomli_w

from segreg.errors import DataError, OptionError, did_you_mean
from segreg.expression import parse
from segreg.training.recipe import Recipe, make_recipe, names, read_toml

_KEYS = ("name", "seeds", "preset", "recipe", "grid")
_GRID_KEYS = ("models", "losses")


@attrs.frozen(kw_only=True)
class Plan:
    """The runs of a study, by row: a row is a model with a loss, and has a run a seed.

    Args:
        name: What the study is called.
        rows: The recipes of each row, which differ in their seed alone.
    """

    name: str
    rows: tuple[tuple[Recipe, ...], ...]

    @property
    def recipes(self) -> list[Recipe]:
        """All runs, in the order in which they are made."""
        return [recipe for row in self.rows for recipe in row]

    @property
    def directory(self) -> Path:
        """Where the study is kept unless somebody says otherwise."""
        dataset = parse(self.recipes[0].data).name.replace("/", "-")
        return Path("studies") / f"{self.name}-{dataset}"

    def to_toml(self) -> str:
        """Write which runs the study is made of."""
        runs = [attrs.asdict(recipe, recurse=False) for recipe in self.recipes]
        return tomli_w.dumps({"name": self.name, "run": runs})


def shipped() -> dict[str, Path]:
    """Return the study files that come with segreg, by name."""
    return {path.stem: path for path in sorted(Path(str(files("segreg.studies"))).glob("*.toml"))}


def make_plan(
    study: str | Path,
    *,
    models: Sequence[str] | str | None = None,
    losses: Sequence[str] | str | None = None,
    seeds: Sequence[int | str] | None = None,
    **settings: Any,
) -> Plan:
    """Read a study file, put settings in the place of its own, and check every run of it.

    Args:
        study: The name of a study that comes with segreg, or a path.
        models: Architectures, as expressions; crossed with the losses in the place of the file's grid.
        losses: Losses, as expressions.
        seeds: One run of each row a seed.
        settings: Fields of `Recipe`.
    Raises:
        DataError: there is no such file, or it is not a study.
        OptionError, ExpressionError, UnknownNameError, PluginError: a setting or a component is wrong.
    """
    path = shipped().get(str(study), Path(study))
    if not path.exists():
        known = ", ".join(shipped())
        raise DataError(
            f"there is no study {str(study)!r}{did_you_mean(str(study), shipped())}: name a file, or {known}"
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
                "models": names(models) if models is not None else file_models,
                "losses": names(losses) if losses is not None else file_losses,
            }
        ]
    pairs = [(m, loss) for block in grid for m in block.get("models", []) for loss in block.get("losses", [])]
    pairs = list(dict.fromkeys(pairs))
    chosen = names(seeds) if seeds is not None else table.get("seeds", [0])
    if not pairs or not chosen:
        raise OptionError(f"{path} compares nothing: it needs at least one model, one loss and one seed")
    shared = {"preset": table.get("preset", "default"), **table.get("recipe", {}), **settings}
    rows = tuple(
        tuple(make_recipe(**shared, model=model, loss=loss, seed=seed) for seed in chosen) for model, loss in pairs
    )
    return Plan(name=table.get("name", path.stem), rows=rows)


def directory_name(recipe: Recipe) -> str:
    """Return a name for a run's directory that is readable, and differs if anything in the recipe does."""
    words = re.sub(r"[^a-z0-9.]+", "-", f"{recipe.model}-{recipe.loss}".lower()).strip("-")[:60]
    return f"{words}-s{recipe.seed}-{hashlib.sha256(recipe.to_toml().encode()).hexdigest()[:8]}"


def _check_keys(where: str, table: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for key in table:
        if key not in allowed:
            raise OptionError(f"{where} has the key {key!r}{did_you_mean(key, allowed)}: it takes {', '.join(allowed)}")
