"""The provenance of a run: every name with its options and plugin, the environment, and what has changed since."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import attrs
import torch
from torch import nn

from segreg.data.split import Data
from segreg.kinds import KINDS
from segreg.recipe import Recipe
from segreg.resolved import terms_of
from segreg.support import device as devices

IMAGES_OF = "images of "
_PLUGIN_OF = "plugin of "
KEPT = ("model", "normalize", "metrics", "size", "classes", "init", "freeze", "lr_scale")
"""What a resumed run keeps, besides its images: else its best weights would be compared with others, or misnamed, and
what the optimizer has kept of a parameter would be taken for another's."""
_RAISED = ("epochs", "patience")


def resolved(recipe: Recipe, data: Data, device: torch.device, loss: nn.Module) -> dict[str, Any]:
    """Return what the names resolved to: every option, the plugin of each component, and the environment.

    Args:
        recipe: What is trained.
        data: The images.
        device: Device to train on.
        loss: The loss that was built, for the options whose values it has computed from the data.
    """
    built = {"loss": terms_of(recipe.components["loss"], loss)}
    fields = attrs.fields_dict(Recipe)
    tables = [
        {
            "kind": kind,
            "name": component.entry.key,
            "plugin": component.entry.plugin.distribution,
            "version": component.entry.plugin.version,
            # TOML has no null; an option that is None is left out.
            "options": {
                name: setting
                for name, setting in {**component.every_option(**data.facts), **values_from_data(module)}.items()
                if setting is not None
            },
        }
        for kind, components in recipe.components.items()
        if fields[KINDS[kind].field].eq
        for component, module in zip(components, built.get(kind, [None] * len(components)), strict=True)
    ]
    versions = {name: version(name) for name in ("segreg", "torch", "numpy")}
    return {
        "component": tables,
        "platform": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": devices.device_name(device),
            "bf16": devices.uses_bf16(device, recipe.precision),
            **versions,
        },
    }


def values_from_data(component: object) -> Mapping[str, Any]:
    """Return those options of a component that it has computed from the data, such as class weights."""
    values = getattr(component, "from_data", {})
    return values if isinstance(values, Mapping) else {}


def provenance_of(recipe: Recipe, tables: Mapping[str, Any], data: Data) -> dict[str, str]:
    """Return what the results of a run depend on, by name, as text.

    Args:
        recipe: The recipe of the run.
        tables: The result of `resolved` for it.
        data: The images.
    """
    settings = recipe.fields_that_affect_results()
    # What `auto` or `cuda` resolved to is added below.
    del settings["device"]
    return {
        **{
            name: " ".join(map(str, value if isinstance(value, tuple) else [value])) or "none"
            for name, value in settings.items()
        },
        **{f"{_PLUGIN_OF}{each['name']}": f"{each['plugin']} {each['version']}" for each in tables["component"]},
        **{name: tables["platform"][name] for name in ("torch", "device")},
        "classes": ", ".join(data.classes),
        **{IMAGES_OF + split: f"{len(data.splits[split])} ({digest})" for split, digest in data.digests.items()},
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Describe what differs between two results of `provenance_of`, by name.

    More epochs or more patience do not count: the run is only longer.

    Raises:
        ValueError: a number of epochs is not a number.
    """
    return {
        name: f"{name} was {before.get(name, 'none')} and is {now.get(name, 'none')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
        and not (name in _RAISED and _number(before, name) < _number(now, name))
        # Of a component that only one of them has, the setting that names it says enough.
        and not (name.startswith(_PLUGIN_OF) and not (name in before and name in now))
    }


def _number(of: Mapping[str, str], name: str) -> float:
    """Return a number of epochs, which is unlimited if it is not set."""
    return float(of.get(name, math.inf))
