"""Builds and calls the components of a recipe once, before the images are read: some options fit only some data."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from segreg.contracts import SegmentationDataset
from segreg.data.decode import Skipped, decode
from segreg.data.image_files import pillow_warnings_ignored
from segreg.errors import OptionError, SegregError, counted
from segreg.nn.meta import without_values
from segreg.plugins import one_line
from segreg.recipe import Recipe
from segreg.resolved import Resolved
from segreg.specs import Architecture
from segreg.support.randomness import random_state, restore_random_state
from segreg.task import task_of

_SIDE = 32


def check_first_call(recipe: Recipe, dataset: SegmentationDataset, device: torch.device) -> None:
    """Build the model, and call losses and metrics with random logits and every class.

    It draws no random numbers that would be missing later.

    Args:
        recipe: What will be trained.
        dataset: Its dataset, of which one image is read.
        device: Device to train on.

    Raises:
        OptionError: a component cannot be built for these data, or its first call fails. The message names it.
    """
    facts = _facts(dataset)
    if not facts:
        return
    before = random_state(device)
    try:
        for kind in ("architecture", "loss", "metric"):
            for component in recipe.components[kind]:
                if facts.keys() >= set(component.undecided):
                    _check(component, facts, _attempts(component, facts, recipe.size, device))
    finally:
        restore_random_state(before, device)


def _facts(dataset: SegmentationDataset) -> dict[str, Any]:
    """Return what is known about the data from one image; nothing if it is wrong, which is reported with the others."""
    facts = {"num_classes": len(dataset.classes)}
    try:
        limit = task_of(len(dataset.classes)).num_values
    except ValueError:
        return {}
    if len(dataset.splits.get("train", ())):
        with pillow_warnings_ignored():
            read = decode("train", dataset.splits["train"], 0, "0", limit)
        if not isinstance(read, Skipped):
            facts["in_channels"] = read[0].shape[2]
    return facts


def _check(component: Resolved, facts: dict[str, Any], attempts: Sequence[Callable[[], object]]) -> None:
    """Raise the error of the last attempt if all fail."""
    for attempt in attempts[:-1]:
        with suppress(Exception):
            attempt()
            return
    try:
        attempts[-1]()
    except SegregError:
        raise
    # Whatever a plugin raises.
    except Exception as error:
        reason = one_line(error).removeprefix("ValueError: ")
        classes = counted(facts["num_classes"], "class")
        raise OptionError(f"{component.expression} cannot be used with {classes}: {reason}") from error


def _attempts(
    component: Resolved, facts: dict[str, Any], size: tuple[int, int], device: torch.device
) -> list[Callable[[], object]]:
    """Return how to try a component: first in the cheapest way, which not every component supports."""
    if component.entry.kind != "architecture":
        small = (min(size[0], _SIDE), min(size[1], _SIDE))
        return [partial(_call, component, facts, each, device) for each in (small, size)]
    record = component.entry.record
    initial = record.pretrained_options if isinstance(record, Architecture) else ()
    build = partial(component.build, **facts)
    # Initial weights may have to be fetched.
    return [build] if any(component.options.get(option) for option in initial) else [without_values()(build), build]


def _call(component: Resolved, facts: dict[str, Any], size: tuple[int, int], device: torch.device) -> None:
    """Call a loss or a metric with two images."""
    task = task_of(facts["num_classes"])
    logits = torch.randn(2, task.num_classes, *size, device=device, requires_grad=True)
    target = torch.arange(2 * size[0] * size[1], device=device).remainder(task.num_values).view(2, *size)
    called = component.build(**facts).to(device)
    if component.entry.kind == "loss":
        called(logits, target).backward()
    else:
        called.update(logits.detach(), target)
        called.compute()
