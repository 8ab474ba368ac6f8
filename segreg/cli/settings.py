"""The settings of a recipe as options of the command line: names, defaults and meanings come from `Recipe`."""

import argparse
from collections.abc import Collection
from typing import Any

from segreg.recipe import PRESETS, recipe_options


def add_settings(parser: argparse.ArgumentParser, without: Collection[str]) -> None:
    """Declare an option for each field of `Recipe` except some, and `--preset`."""
    group = parser.add_argument_group("recipe")
    for option in recipe_options().values():
        if option.name in without:
            continue
        several = isinstance(option.default, tuple) and option.name != "size"
        default = "x".join(map(str, option.default)) if option.name == "size" else option.default
        shown = "none" if default in (None, ()) else " ".join(default) if several else default
        if option.type is bool:
            # None means not given.
            group.add_argument(_flag(option.name), action="store_true", default=None, help=_help(option.meaning))
            continue
        group.add_argument(
            _flag(option.name),
            # `--metric iou` reads better where one is given.
            *(["--metric"] if option.name == "metrics" else []),
            dest=option.name,
            nargs="+" if several else None,
            metavar=option.name.upper(),
            help=_help(f"{option.meaning} Default: {shown}."),
        )
    group.add_argument("--preset", help=f"settings to start from: {' or '.join(PRESETS)}")


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given on the command line."""
    names = (*recipe_options(), "preset")
    return {name: value for name, value in vars(arguments).items() if name in names and value is not None}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _help(text: str) -> str:
    return text.replace("%", "%%").replace("`", "")
