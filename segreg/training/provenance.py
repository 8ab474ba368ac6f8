"""What a run is made with: every name with its options and plugin, and what it runs on; and what of it has changed."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from segreg.expression import parse, parse_sum
from segreg.plugins import Entry, Kind
from segreg.registry import registry
from segreg.training import device as devices
from segreg.training.pictures import Data
from segreg.training.recipe import Recipe


def every_option(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a component, with their defaults where none is given."""
    return {name: option.default for name, option in entry.options().items()} | dict(given)


def resolved(recipe: Recipe, data: Data, device: torch.device) -> dict[str, Any]:
    """Say what the names stood for on the day: every option, who brought the component, and what it ran on."""
    shape = {"in_channels": data.in_channels, "num_classes": data.num_classes}
    named: list[tuple[Kind, Any, dict[str, Any]]] = [
        ("architecture", parse(recipe.model), shape),
        *(("loss", term, {}) for _, term in parse_sum(recipe.loss)),
        *(("metric", parse(metric), {"num_classes": data.num_classes}) for metric in recipe.metrics),
        ("dataset", parse(recipe.data), {}),
    ]
    tables = []
    for kind, expression, given in named:
        entry, options = registry().resolve(kind, expression, **given)
        settings = every_option(entry, options).items()
        tables.append(
            {
                "kind": kind,
                "name": entry.key,
                "plugin": entry.plugin.distribution,
                "version": entry.plugin.version,
                # TOML has no null; an option that is None is one that was not given.
                "options": {name: setting for name, setting in settings if setting is not None},
            }
        )
    versions = {name: version(name) for name in ("segreg", "torch", "numpy")}
    return {
        "component": tables,
        "platform": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": devices.describe(device),
            "bf16": devices.uses_bf16(device, recipe.precision),
            **versions,
        },
    }


def made_with(recipe: Recipe, tables: Mapping[str, Any], data: Data) -> dict[str, str]:
    """Return what the numbers of a run depend on, by name, as one reads it.

    Args:
        recipe: What was asked for.
        tables: What `resolved` says of it.
        data: The pictures.
    """
    settings = recipe.deciding()
    # What `auto` or `cuda` stands for is said below.
    del settings["device"]
    return {
        **{
            name: " ".join(map(str, value if isinstance(value, tuple) else [value])) for name, value in settings.items()
        },
        **{f"plugin of {each['name']}": f"{each['plugin']} {each['version']}" for each in tables["component"]},
        **{name: tables["platform"][name] for name in ("torch", "device")},
        **{f"pictures of {split}": _counted(pictures.names) for split, pictures in data.splits.items()},
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say what `made_with` gave before and does not give now."""
    return [
        f"{name} was {before.get(name, 'none')} and is {now.get(name, 'none')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]


def _counted(names: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{len(names)} (names {digest})"
