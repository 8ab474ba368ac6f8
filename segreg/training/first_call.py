"""Builds and calls the components of a recipe once, before the images are read: some options fit only some data."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from segreg.contracts import DisplacementAugmentation, ImageAugmentation, MatrixAugmentation, SegmentationDataset
from segreg.data.decode import Skipped, decode
from segreg.data.image_files import pillow_warnings_ignored
from segreg.errors import OptionError, SegregError, counted
from segreg.nn.meta import without_values
from segreg.plugins import one_line
from segreg.recipe import Recipe
from segreg.resolved import Resolved
from segreg.runs.model_file import check_normalization
from segreg.specs import Architecture
from segreg.support.randomness import random_state, restore_random_state
from segreg.task import task_of
from segreg.training.learning_rate import check_factor

_SIDE = 32
_STEPS = 1000


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
    if "in_channels" in facts:
        check_normalization(recipe.normalize, facts["in_channels"])
    before = random_state(device)
    try:
        for kind in ("architecture", "loss", "metric"):
            for component in recipe.components[kind]:
                if facts.keys() >= set(component.undecided):
                    _check(component, facts, _attempts(component, facts, recipe.size, device))
    finally:
        restore_random_state(before, device)


def check_without_data(recipe: Recipe) -> None:
    """Build and call what depends on no data: optimizer, schedule and augmentations.

    Raises:
        OptionError: one cannot be built, or does not keep its contract. The message names it.
    """
    calls = {"optimizer": _take_a_step, "schedule": _check_schedule, "augmentation": _check_augmentation}
    for kind, call in calls.items():
        for component in recipe.components[kind]:
            try:
                call(component, recipe.size)
            except SegregError:
                raise
            # Whatever a plugin raises.
            except Exception as error:
                reason = one_line(error).removeprefix("ValueError: ")
                raise OptionError(f"{kind} {component.expression} cannot be used: {reason}") from error


def _take_a_step(component: Resolved, size: tuple[int, int]) -> None:
    parameter = nn.Parameter(torch.ones(2, 3))
    optimizer = component.build([parameter])
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"it is of type {type(optimizer).__name__}, not a torch.optim.Optimizer")
    if not all("lr" in group for group in optimizer.param_groups):
        raise ValueError("its groups have no lr, which a schedule scales")
    parameter.square().sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if not parameter.isfinite().all():
        raise ValueError("a step makes weights that are not finite")


def _check_schedule(component: Resolved, size: tuple[int, int]) -> None:
    schedule = component.build()
    for step in range(_STEPS):
        check_factor(schedule(step, _STEPS), step, _STEPS)


def _check_augmentation(component: Resolved, size: tuple[int, int]) -> None:
    augmentation = component.build()
    images = torch.linspace(0, 1, 4 * 3 * size[0] * size[1]).view(4, 3, *size)
    # The extremes of the uniform numbers, and two between them.
    u = torch.tensor([0.0, 0.3, 0.7, 1 - 2**-24])[:, None].repeat(1, augmentation.draws)
    results = {}
    if isinstance(augmentation, MatrixAugmentation):
        results["matrix"] = augmentation.matrix(u, size), [4, 3, 3]
    if isinstance(augmentation, DisplacementAugmentation):
        results["displacement"] = augmentation.displacement(u, size), [4, *size, 2]
    if isinstance(augmentation, ImageAugmentation):
        results["change"] = augmentation.change(images, u), [*images.shape]
    if not results:
        raise TypeError("it has none of the methods matrix, displacement and change")
    for name, (result, shape) in results.items():
        if list(result.shape) != shape or not result.isfinite().all():
            fault = f"{list(result.shape)}" if list(result.shape) != shape else "numbers that are not finite"
            raise ValueError(f"{name} returns {fault}: expected finite numbers of shape {shape}")


def _facts(dataset: SegmentationDataset) -> dict[str, Any]:
    """Return what is known about the data from one image; nothing if it is wrong, which is reported with the others."""
    facts: dict[str, Any] = {"num_classes": len(dataset.classes)}
    try:
        limit = task_of(len(dataset.classes)).num_values
    except ValueError:
        return {}
    # How often each class occurs is not known yet.
    facts |= dict.fromkeys(("class_pixels", "class_image_pixels"), (1,) * limit)
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
