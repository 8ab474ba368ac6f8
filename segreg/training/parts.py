"""Parts of a model, by prefixes of parameter names: what is frozen, and the learning rate of the rest."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from torch import nn
from torch.optim import Optimizer

from segreg.errors import OptionError, did_you_mean, shown
from segreg.nn.meta import without_values
from segreg.recipe import Recipe
from segreg.resolved import Resolved
from segreg.specs import Architecture


def freeze(model: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """Exclude parts of a model from training.

    Args:
        model: The model.
        prefixes: Prefixes of parameter names, which end where the name of a module or parameter does.

    Returns:
        The modules that stay in evaluation mode, so that batch normalisation keeps its statistics and dropout is off.
    """
    for name, parameter in model.named_parameters():
        if _prefix_of(name, prefixes):
            parameter.requires_grad_(False)
    return [module for name, module in model.named_modules() if _prefix_of(name, prefixes)]


def build_optimizer(optimizer: Resolved, model: nn.Module, recipe: Recipe) -> Optimizer:
    """Build the optimizer of the parameters that are not frozen, in one group for each learning rate.

    Raises:
        OptionError: learning rates are scaled, but the optimizer has none.
    """
    groups = _groups(model, recipe)
    lr: Any = optimizer.every_option().get("lr")
    if recipe.lr_scale and not isinstance(lr, float):
        raise OptionError(f"lr_scale needs a learning rate to scale: {optimizer.entry.key} has none")
    scaled = [{"params": group, "lr": lr * scale} for scale, group in groups.items() if scale != 1]
    rest = groups.get(1.0, [])
    built: Optimizer = optimizer.build([{"params": rest}, *scaled] if rest and scaled else scaled or rest)
    return built


def check_parts(recipes: Iterable[Recipe]) -> None:
    """Check that the models have the parts that recipes name, before any image is read.

    A model that cannot be built without the data is left to the trainer, which checks it too.

    Raises:
        OptionError: models lack a part, or nothing is left to train. The message names all of them.
    """
    faults: dict[str, str] = {}
    for recipe in recipes:
        if (recipe.freeze or recipe.lr_scale) and recipe.model not in faults:
            model = shapes_of(recipe)
            if model and (fault := fault_of(model, recipe)):
                faults[recipe.model] = fault
    if len(faults) > 1:
        raise OptionError(f"{len(faults)} models do not have the parts that are named", *faults.values())
    for fault in faults.values():
        raise OptionError(fault)


def fault_of(model: nn.Module, recipe: Recipe) -> str:
    """Return what is wrong with the parts that a recipe names, given its model; empty if nothing is."""
    names = [name for name, _ in model.named_parameters()]
    for setting, prefixes in (("freeze", recipe.freeze), ("lr_scale", _scales(recipe))):
        for prefix in prefixes:
            if not any(_prefix_of(name, [prefix]) for name in names):
                parts = dict.fromkeys(name.partition(".")[0] for name in names)
                near = did_you_mean(prefix.rstrip("."), _all_prefixes(names))
                return (
                    f"{setting} is {shown(prefix)}, which is not a part of {recipe.model}{near}; "
                    f"available: {', '.join(parts)}, and parts of these"
                )
    trained = [name for name in names if not _prefix_of(name, recipe.freeze)]
    if not trained:
        return f"freeze is {shown(' '.join(recipe.freeze))}, which leaves nothing of {recipe.model} to train"
    for prefix in _scales(recipe):
        if not any(_prefix_of(name, [prefix]) for name in trained):
            return f"lr_scale is {shown(prefix)}, all of which is frozen in {recipe.model}: leave out one of the two"
    return ""


def shapes_of(recipe: Recipe) -> nn.Module | None:
    """Build the model of a recipe without values, for three channels and one class; None where that is impossible."""
    [architecture] = recipe.components["architecture"]
    record = architecture.entry.record
    # Nothing is fetched for weights that have no values.
    initial = record.pretrained_options if isinstance(record, Architecture) else ()
    try:
        with without_values():
            options = {name: value for name, value in architecture.options.items() if name not in initial}
            built: nn.Module = attrs.evolve(architecture, options=options).build(in_channels=3, num_classes=1)
    # Whatever a plugin raises: it may read values, or be meant for other data.
    except Exception:
        return None
    return built


def _groups(model: nn.Module, recipe: Recipe) -> Mapping[float, list[nn.Parameter]]:
    """Return the parameters that are not frozen by the factor of their learning rate, the unscaled ones first."""
    scales = _scales(recipe)
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in model.named_parameters():
        if not _prefix_of(name, recipe.freeze):
            groups.setdefault(scales.get(_prefix_of(name, scales), 1.0), []).append(parameter)
    return {scale: group for scale, group in groups.items() if group}


def _scales(recipe: Recipe) -> dict[str, float]:
    split = (each.rpartition("=") for each in recipe.lr_scale)
    return {prefix: float(factor) for prefix, _, factor in split}


def _prefix_of(name: str, prefixes: Iterable[str]) -> str:
    """Return the longest of the prefixes that a name has, up to the end of one of its parts; empty if it has none."""
    return max((each for each in prefixes if f"{name}.".startswith(f"{each}.")), key=len, default="")


def _all_prefixes(names: Iterable[str]) -> list[str]:
    parts = (name.split(".") for name in names)
    return list(dict.fromkeys(".".join(each[:end]) for each in parts for end in range(1, len(each) + 1)))
