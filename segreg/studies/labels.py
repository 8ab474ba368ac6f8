"""What tells the configurations of a study apart, as columns of a table and as labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from segreg.recipe import Recipe

# The others follow in the order of the recipe, and with their names, since a number alone says little.
_WITHOUT_NAME = ("model", "loss", "optimizer", "schedule", "augment", "size")


def differing(recipes: Sequence[Recipe]) -> list[str]:
    """Return the settings in which recipes differ, in the order of labels; model and loss if they differ in none."""
    names = [field.name for field in attrs.fields(Recipe) if field.init and field.eq is True and field.name != "seed"]
    ordered = [*_WITHOUT_NAME, *(name for name in names if name not in _WITHOUT_NAME)]
    return [name for name in ordered if len({getattr(recipe, name) for recipe in recipes}) > 1] or ["model", "loss"]


def as_text(setting: str, value: Any) -> str:
    """Return the value of a setting as it is written on the command line."""
    if setting == "size":
        height, width = value
        return f"{height}x{width}"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def columns_of(recipe: Recipe, settings: Iterable[str]) -> dict[str, str]:
    """Return the settings of a recipe as text, by name."""
    return {name: as_text(name, getattr(recipe, name)) for name in settings}


def labels_of(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a label for each row of such columns: `unet · sgd:lr=0.1 · epochs=60`. No two are equal."""
    labels = [
        " · ".join(text if name in _WITHOUT_NAME and text != "none" else f"{name}={text}" for name, text in row.items())
        for row in rows
    ]
    # The value of an option may contain anything, a separator too.
    return [
        label if labels.count(label) == 1 else f"{label} ({labels[:place].count(label) + 1})"
        for place, label in enumerate(labels)
    ]
