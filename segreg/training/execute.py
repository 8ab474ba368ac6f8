"""A recipe is carried out: from the state on disk, or from the beginning, to the results."""

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from segreg.contracts import SegmentationMetric
from segreg.errors import OptionError, RunError, SegregError
from segreg.registry import build_sum, higher_is_better
from segreg.training import device as devices
from segreg.training.checkpoint import Checkpoints, State, best_epoch_on_disk, load_state
from segreg.training.evaluation import evaluation_batch, predict, states_of_images
from segreg.training.files import writing
from segreg.training.lock import locked
from segreg.training.loop import Parts, start, train
from segreg.training.memory import out_of_memory
from segreg.training.metric_states import States, holding_all, value, values_of_images
from segreg.training.normalized import Normalized
from segreg.training.pictures import Data, Pictures
from segreg.training.plots import plot_curves, plot_samples, shown_picture
from segreg.training.progress import Display
from segreg.training.provenance import differences, made_with, resolved
from segreg.training.randomness import seed_all
from segreg.training.recipe import Recipe
from segreg.training.run import Run
from segreg.training.saved import About
from segreg.training.tracking import Tracking, build_trackers
from segreg.training.worst import Case, worst_positions, write_cases

_SAMPLES = 4


def execute(
    recipe: Recipe, run: Run, data: Data, device: torch.device, display: Display, *, force: bool = False
) -> None:
    """Do what a recipe says, from the state that the run left on disk or else from the beginning.

    Whatever ends the training early, the best weights so far are written.

    Args:
        recipe: What to do.
        run: Where to.
        data: The pictures.
        device: What to compute on.
        display: Where to show it.
        force: Go on from the state though what it was made with has changed.

    Raises:
        RunError, TrainingError, OptionError: as for `fit` and `resume`.
    """
    devices.keep_freed_memory()
    seed_all(recipe.seed)
    parts = _build(recipe, data, device)
    with locked(run.path), Tracking(build_trackers(recipe), display) as tracking:
        _execute(recipe, run, data, parts, display, tracking, force)


def _build(recipe: Recipe, data: Data, device: torch.device) -> Parts:
    [architecture] = recipe.components["architecture"]
    network = architecture.build(**data.facts("architecture"))
    model = Normalized(network.to(memory_format=torch.channels_last), recipe.normalize).to(device)
    return Parts(
        model=model,
        loss=build_sum(recipe.components["loss"]).to(device),
        metrics={
            name: metric.build(**data.facts("metric")).to(device)
            for name, metric in zip(recipe.metrics, recipe.components["metric"], strict=True)
        },
        higher_is_better=higher_is_better(recipe.metrics[0]),
        device=device,
        clip_grad=recipe.clip_grad,
    )


def _execute(
    recipe: Recipe, run: Run, data: Data, parts: Parts, display: Display, tracking: Tracking, force: bool
) -> None:
    pictures = len(data.splits["train"])
    tables = resolved(recipe, data, parts.device)
    made = made_with(recipe, tables, data)
    state = start(recipe, parts, pictures)
    taken_up = _take_up(run, recipe, state, made, math.ceil(pictures / recipe.batch), force)
    display.line(f"{recipe.label} on {devices.describe(parts.device)}, into {run.path}")
    if recipe.batch > pictures:
        display.note(
            f"batch {recipe.batch} is more than the {pictures} training pictures: every step takes all of them"
        )
    if taken_up:
        display.line(f"going on after {state.position}")
    with writing(run.path):
        # Before the recipe: a run that is finished and gets more epochs is finished no more.
        (run.path / "results.json").unlink(missing_ok=True)
        # Before anything else: it is by its recipe that a directory is known as a run.
        run.write_recipe(recipe, tables)
        (run.path / "state").mkdir(exist_ok=True)
    run.write_splits({split: pictures.names for split, pictures in data.splits.items()})
    run.write_skipped(data.skipped)
    tracking.begin(run, recipe, state.rows)
    about = attrs.asdict(_about(recipe, data))
    ahead = best_epoch_on_disk(run) if taken_up == "unchanged" else 0
    checkpoints = Checkpoints(run, about, made, ahead, state.position if taken_up else "")
    fits = True
    try:
        train(recipe, parts, data.splits, state, run, checkpoints, display, tracking)
    except Exception as error:
        # What did not fit is referred to from the error, and is freed with it.
        fits = not devices.is_out_of_memory(error)
        if fits:
            raise
    finally:
        checkpoints.write_best(state)
    if not fits:
        raise out_of_memory(recipe, parts, data.splits, state, run)
    if checkpoints.last != state.position:
        checkpoints.write(state)
    _conclude(recipe, run, data, parts, state, display, tracking)


def _about(recipe: Recipe, data: Data) -> About:
    """Return what it takes to rebuild the model."""
    [architecture] = recipe.components["architecture"]
    entry = architecture.entry
    return About(
        segreg=version("segreg"),
        architecture=entry.key,
        options=architecture.every_option(**data.facts("architecture")),
        plugin=entry.plugin.origin,
        classes=tuple(data.classes),
        size=recipe.size,
        normalize=recipe.normalize,
    )


def _take_up(
    run: Run, recipe: Recipe, state: State, made: Mapping[str, str], steps: int, force: bool
) -> Literal["", "unchanged", "changed"]:
    """Bring a new state to where the run on disk is, and say whether there was one, and whether it was made alike."""
    saved = load_state(run)
    if saved is None:
        return ""
    try:
        # Earlier versions did not write what a state was made with.
        before = dict(saved.get("made_with", made))
        if recipe.epochs > int(before["epochs"]):
            before["epochs"] = made["epochs"]
        changed = differences(before, made)
        done = max(len(saved["rows"]), best_epoch_on_disk(run))
        if changed and not force:
            raise RunError(
                f"{run.path} cannot go on as it began: {'; '.join(changed)}: go on all the same with --force"
            )
        if recipe.epochs < done:
            raise OptionError(f"epochs is {recipe.epochs}: {run.path} has done {done} already")
        state.restore({**saved, "epoch": None} if changed else saved, steps)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, SegregError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"the state of {run.path} is not one of this model and recipe: {reason}") from error
    return "changed" if changed else "unchanged"


def _conclude(
    recipe: Recipe, run: Run, data: Data, parts: Parts, state: State, display: Display, tracking: Tracking
) -> None:
    """Score the best weights on every split, draw the pictures, and write the results last."""
    model = state.evaluated
    model.model.load_state_dict(state.best_weights)
    device, precision = parts.device, recipe.precision
    states: dict[str, Mapping[str, States]] = {}
    for split, pictures in data.splits.items():
        display.progress(f"scoring {split}", 0, len(pictures))
        states[split] = states_of_images(
            model, pictures, parts.metrics, batch=evaluation_batch(recipe.batch), device=device, precision=precision
        )
    run.write_tensors(
        "scores",
        {
            f"{split}/{metric}/{buffer}": torch.from_numpy(array)
            for split, metrics in states.items()
            for metric, buffers in metrics.items()
            for buffer, array in buffers.items()
        },
    )
    display.progress("drawing pictures", 0, 1)
    valid = data.splits["valid"]
    chosen = torch.linspace(0, len(valid) - 1, min(_SAMPLES, len(valid))).round().long().tolist()
    samples = _predicted(recipe, parts, model, valid, chosen)
    run.write_tensors("samples", samples)
    plot_curves(run.path / "curves.png", {recipe.label: [state.rows]}, recipe.metrics[0])
    plot_samples(run.path / "samples.png", samples, {recipe.label: samples["predictions"]}, data.num_classes)
    results = {
        "epoch": state.best_epoch,
        "metrics": {
            split: {name: _or_none(value(parts.metrics[name], each)) for name, each in metrics.items()}
            for split, metrics in states.items()
        },
        "per_class": {
            split: {name: _per_class(parts.metrics[name], each) for name, each in metrics.items()}
            for split, metrics in states.items()
        },
        "worst": _write_worst(recipe, run, parts, model, valid, states["valid"]),
        "classes": list(data.classes),
        "pictures": {split: len(pictures) for split, pictures in data.splits.items()},
        "skipped": len(data.skipped),
        "parameters": sum(parameter.numel() for parameter in parts.model.parameters()),
        "seconds": sum(row["seconds"] for row in state.rows),
        "images_per_second": float(np.median([row["images_per_second"] for row in state.rows])),
        "device": devices.describe(parts.device),
    }
    run.write_results(results)
    tracking.finish(results, samples, [valid.names[index] for index in chosen], data.num_classes)


def _predicted(
    recipe: Recipe, parts: Parts, model: nn.Module, pictures: Pictures, positions: Sequence[int]
) -> dict[str, Tensor]:
    """Return some of the pictures with truth and prediction."""
    chosen = torch.as_tensor(positions)
    return {
        "images": pictures.images[chosen],
        "masks": pictures.masks[chosen],
        "predictions": predict(model, pictures.images[chosen], device=parts.device, precision=recipe.precision),
    }


def _write_worst(
    recipe: Recipe, run: Run, parts: Parts, model: nn.Module, pictures: Pictures, states: Mapping[str, States]
) -> list[dict[str, Any]]:
    """Write the pictures that the first metric is worst on, and return what the results say of them."""
    first = recipe.metrics[0]
    values = values_of_images(parts.metrics[first], states[first])
    positions = worst_positions(values, parts.higher_is_better)
    if not positions:
        return []
    shown = _predicted(recipe, parts, model, pictures, positions)
    cases = [
        Case(pictures.names[position], float(values[position]), shown_picture(image), truth, prediction)
        for position, image, truth, prediction in zip(
            positions, *(shown[name].numpy() for name in ("images", "masks", "predictions")), strict=True
        )
    ]
    return write_cases(run, cases)


def _per_class(metric: SegmentationMetric, states: States) -> list[float | None]:
    """Return the value of each class, where a metric keeps them."""
    per_class = getattr(holding_all(metric, states), "per_class", None)
    return [_or_none(each) for each in per_class().tolist()] if per_class else []


def _or_none(number: float) -> float | None:
    """Put None in the place of what JSON has no word for."""
    return number if math.isfinite(number) else None
