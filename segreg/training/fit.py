"""From a recipe to a finished run."""

import math
import platform
import shlex
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segreg.contracts import SegmentationMetric
from segreg.errors import RunError
from segreg.expression import parse, parse_sum
from segreg.losses.weighted_sum import loss as build_loss
from segreg.metrics.states import States, holding_all, value
from segreg.plugins import Entry, Kind
from segreg.registry import higher_is_better, registry
from segreg.training import device as devices
from segreg.training.checkpoint import Checkpoints, State, load_state, remove_state
from segreg.training.evaluation import evaluation_batch, predict, states_of_images
from segreg.training.files import slug
from segreg.training.loop import Parts, start, train
from segreg.training.normalized import Normalized
from segreg.training.pictures import Data, load
from segreg.training.plots import plot_curves, plot_samples
from segreg.training.progress import Display
from segreg.training.recipe import Recipe, make_recipe
from segreg.training.run import Run

_SAMPLES = 4


def fit(
    model: str = "unet",
    *,
    out: str | Path | None = None,
    preset: str = "default",
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a model: `fit("unet", loss="dice", data="lesions", epochs=40)`.

    Args:
        model: Architecture, as an expression.
        out: Directory of the run, which must not hold anything yet; by default a new one under `runs/`.
        preset: Settings to begin with: `default`, or `original` for the protocol of the experiment.
        quiet: Show no progress.
        settings: Any field of `Recipe`.

    Raises:
        OptionError, ExpressionError, UnknownNameError, PluginError: a setting or a component is wrong.
        DataError: the data are missing, or not what they should be.
        RunError: the directory holds something already.
        TrainingError: the loss is no longer a finite number.
    """
    recipe = make_recipe(preset, model=model, **settings)
    run = Run(Path(out) if out else new_directory(recipe))
    check_empty(run)
    with Display(quiet) as display:
        _carry_out(recipe, run, display)
    return run


def resume(directory: str | Path, *, quiet: bool = False) -> Run:
    """Go on with a run that was interrupted, from the last epoch whose state it wrote.

    Raises:
        RunError: the directory holds no run.
        DataError, TrainingError, OptionError, ExpressionError, UnknownNameError, PluginError: as for `fit`.
    """
    run = Run(Path(directory))
    recipe = run.recipe
    with Display(quiet) as display:
        if run.finished:
            display.note(f"{run.path} is finished already")
        else:
            _carry_out(recipe, run, display)
    return run


def new_directory(recipe: Recipe) -> Path:
    """Return a directory under `runs/` that does not exist yet, named after the time, the model and the loss."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{slug(recipe.label)}"
    tries = (Path("runs") / (f"{name}-{number}" if number else name) for number in count())
    return next(path for path in tries if not path.exists())


def check_empty(run: Run) -> None:
    """Raise `RunError` if there is anything in the directory already."""
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"{run.path} is a file: choose another --out")
    if run.path.exists() and any(run.path.iterdir()):
        is_run = (run.path / "recipe.toml").exists()
        way_on = f", or go on with --resume {run.path}" if is_run and not run.finished else ""
        what = "another run" if is_run else "something else"
        raise RunError(f"{run.path} already holds {what}: choose another --out{way_on}")


def open_data(recipe: Recipe, display: Display) -> Data:
    """Read all pictures of a recipe's data set, at its size."""
    data = load(registry().build("dataset", recipe.data), recipe.size, display.progress, recipe.bad_files)
    if data.skipped:
        display.note(f"{len(data.skipped)} picture(s) left out, see skipped.csv; the first: {data.skipped[0].reason}")
    return data


def execute(recipe: Recipe, run: Run, data: Data, device: torch.device, display: Display) -> None:
    """Do what a recipe says, from the state that the run left on disk or else from the beginning.

    Whatever ends the training early, the best weights so far are written.

    Raises:
        RunError, TrainingError, OptionError: as for `fit`.
    """
    devices.keep_freed_memory()
    torch.manual_seed(recipe.seed)
    shape = {"in_channels": data.in_channels, "num_classes": data.num_classes}
    entry, options = registry().resolve("architecture", recipe.model, **shape)
    network = registry().build("architecture", recipe.model, **shape)
    model = Normalized(network, recipe.normalize).to(device)
    parts = Parts(
        model=model,
        loss=build_loss(recipe.loss).to(device),
        metrics={
            name: registry().build("metric", name, num_classes=data.num_classes).to(device) for name in recipe.metrics
        },
        higher_is_better=higher_is_better(recipe.metrics[0]),
        device=device,
    )
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_recipe(recipe, _resolved(recipe, data, device))
    run.write_splits({split: pictures.names for split, pictures in data.splits.items()})
    run.write_skipped(data.skipped)
    about = {
        "segreg": version("segreg"),
        "architecture": entry.key,
        "options": _every_option(entry, options),
        "plugin": entry.plugin.origin,
        "classes": list(data.classes),
        "size": list(recipe.size),
        "normalize": recipe.normalize,
    }
    pictures = len(data.splits["train"])
    display.line(f"{recipe.label} on {devices.describe(device)}, into {run.path}")
    if recipe.batch > pictures:
        display.note(
            f"batch {recipe.batch} is more than the {pictures} training pictures: every step takes all of them"
        )

    state = start(recipe, parts, pictures)
    saved = load_state(run)
    if saved is not None:
        state.restore(saved)
        display.line(f"going on after epoch {len(state.rows)}")
    checkpoints = Checkpoints(run, about)
    try:
        train(recipe, parts, data.splits, state, run, checkpoints, display)
    finally:
        checkpoints.write_best(state)
    _conclude(recipe, run, data, parts, state, display)
    remove_state(run)


def _carry_out(recipe: Recipe, run: Run, display: Display) -> None:
    device = devices.detect(recipe.device)
    try:
        execute(recipe, run, open_data(recipe, display), device, display)
    except KeyboardInterrupt:
        # Before the recipe is written there is nothing to go on with.
        if (run.path / "recipe.toml").exists():
            done = f"interrupted after epoch {len(run.history)} of {recipe.epochs}"
            display.note(f"{done}; go on with: segreg train --resume {shlex.quote(str(run.path))}")
        raise


def _conclude(recipe: Recipe, run: Run, data: Data, parts: Parts, state: State, display: Display) -> None:
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
    chosen = torch.linspace(0, len(valid) - 1, min(_SAMPLES, len(valid))).round().long()
    samples = {
        "images": valid.images[chosen],
        "masks": valid.masks[chosen],
        "predictions": predict(model, valid.images[chosen], device=device, precision=precision),
    }
    run.write_tensors("samples", samples)
    plot_curves(run.path / "curves.png", {recipe.label: [state.rows]}, recipe.metrics[0])
    plot_samples(run.path / "samples.png", samples, {recipe.label: samples["predictions"]}, data.num_classes)
    run.write_results(
        {
            "epoch": state.best_epoch,
            "metrics": {
                split: {name: _or_none(value(parts.metrics[name], each)) for name, each in metrics.items()}
                for split, metrics in states.items()
            },
            "per_class": {
                split: {name: _per_class(parts.metrics[name], each) for name, each in metrics.items()}
                for split, metrics in states.items()
            },
            "classes": list(data.classes),
            "pictures": {split: len(pictures) for split, pictures in data.splits.items()},
            "skipped": len(data.skipped),
            "parameters": sum(parameter.numel() for parameter in parts.model.parameters()),
            "seconds": sum(row["seconds"] for row in state.rows),
            "images_per_second": float(np.median([row["images_per_second"] for row in state.rows])),
            "device": devices.describe(parts.device),
        }
    )


def _per_class(metric: SegmentationMetric, states: States) -> list[float | None]:
    """Return the value of each class, where a metric keeps them."""
    per_class = getattr(holding_all(metric, states), "per_class", None)
    return [_or_none(each) for each in per_class().tolist()] if per_class else []


def _or_none(number: float) -> float | None:
    """Put None in the place of what JSON has no word for."""
    return number if math.isfinite(number) else None


def _every_option(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: option.default for name, option in entry.options().items()} | dict(given)


def _resolved(recipe: Recipe, data: Data, device: torch.device) -> dict[str, Any]:
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
        settings = _every_option(entry, options).items()
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
