"""From a recipe to a finished run."""

import shlex
from pathlib import Path
from typing import Any

import torch

from segreg.contracts import SegmentationDataset
from segreg.data.in_memory import load_data
from segreg.data.split import Data
from segreg.errors import RunError, counted
from segreg.recipe import Recipe, make_recipe
from segreg.runs.run import Run
from segreg.support.device import detect, is_out_of_memory, keep_freed_memory
from segreg.support.files import is_empty, new_directory, refuse_links
from segreg.support.lock import locked
from segreg.support.progress import Display
from segreg.training.checkpoint import checkpoint_path
from segreg.training.early_stopping import nothing_left
from segreg.training.first_call import check_first_call, check_without_data
from segreg.training.initial_weights import check_initial_weights, read_initial_weights
from segreg.training.out_of_memory import out_of_memory
from segreg.training.parts import check_parts
from segreg.training.results import write_results
from segreg.training.tracking import Tracking, build_trackers, check_trackers
from segreg.training.trainer import Trainer


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
        out: Directory of the run, which must be new or empty; by default a new one under `runs/`.
        preset: Settings to start from: `default`, or `original` for the protocol of the experiment.
        quiet: Show no progress.
        settings: Any field of `Recipe`.

    Raises:
        OptionError, ExpressionError, UnknownNameError, PluginError: a setting or a component is invalid.
        DataError: the data are missing or invalid.
        RunError: the directory is not empty, is in use by another process, or cannot be written to.
        TrainingError: the loss or the weights are no longer finite, or memory ran out.
    """
    recipe = make_recipe(preset, model=model, **settings)
    run = Run(Path(out) if out else new_directory("runs", recipe.label))
    check_empty(run)
    with Display(quiet) as display:
        _train_shown(recipe, run, display, force=False)
    return run


def resume(directory: str | Path, *, force: bool = False, quiet: bool = False, **settings: Any) -> Run:
    """Resume an interrupted run from its last checkpoint, or continue a finished one for more epochs.

    On a CPU its results are the same, bit by bit, as without the interruption.

    Args:
        directory: Directory of the run.
        force: Resume even if the recipe, a plugin, torch or the device has changed since the checkpoint
            was written. The interrupted epoch then starts over.
        quiet: Show no progress.
        settings: Fields of `Recipe` that replace the run's own: more `epochs` need no force.

    Raises:
        RunError: the directory holds no run, or one that is finished; another process is using it; something has
            changed.
        DataError, TrainingError, OptionError, ExpressionError, UnknownNameError, PluginError: as for `fit`.
    """
    run = Run(Path(directory))
    recipe = make_recipe(**{**run.recipe.to_dict(), **settings})
    with Display(quiet) as display:
        if run.finished and (why := nothing_left(run, recipe)):
            if recipe != run.recipe:
                raise RunError(f"{run.path} is finished: {why}")
            display.note(f"{run.path} is already finished")
            return run
        if run.finished and not checkpoint_path(run).exists():
            raise RunError(
                f"{run.path} is finished and has no checkpoint to resume: start a new run from its weights with --init "
                f"{shlex.quote(str(run.path))}"
            )
        _train_shown(recipe, run, display, force)
    return Run(run.path)


def train(recipe: Recipe, data: Data, device: torch.device, run: Run, display: Display, *, force: bool = False) -> None:
    """Train what a recipe names and write its results, from the checkpoint that the run has on disk if there is one.

    Args:
        recipe: What to train.
        data: The splits.
        device: Device to train on.
        run: The run to write.
        display: Shows the progress.
        force: Resume even if the recipe, a plugin, torch or the device has changed.

    Raises:
        RunError, TrainingError, OptionError: as for `fit` and `resume`.
    """
    keep_freed_memory()
    trainer = Trainer(recipe, data, device, display, read_initial_weights(recipe, run))
    with locked(run.path), Tracking(build_trackers(recipe, display), display) as tracking:
        refuse_links(run.path, "checkpoint", "worst")
        fits = True
        try:
            trainer.fit(run, tracking, force=force)
        except Exception as error:
            # The error refers to the tensors that did not fit; they are freed with it.
            fits = not is_out_of_memory(error)
            if fits:
                raise
        if not fits:
            raise out_of_memory(trainer, run)
        write_results(trainer, run, tracking)


def check_empty(run: Run) -> None:
    """Raise `RunError` unless the directory is new or empty."""
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"{run.path} is a file: choose another --out")
    if run.path.exists() and not is_empty(run.path):
        is_run = (run.path / "recipe.toml").exists()
        resume_it = f", or resume it with --resume {run.path}" if is_run and not run.finished else ""
        what = "another run" if is_run else "other files"
        raise RunError(f"{run.path} already holds {what}: choose another --out{resume_it}")


def open_data(recipe: Recipe, display: Display) -> Data:
    """Read all images of a recipe's dataset, at its size."""
    [dataset] = recipe.components["dataset"]
    return _read(recipe, dataset.build(), display)


def _read(recipe: Recipe, dataset: SegmentationDataset, display: Display) -> Data:
    data = load_data(dataset, recipe.size, display.progress, recipe.on_bad_image)
    if data.skipped:
        left_out = counted(len(data.skipped), "image")
        display.note(f"{left_out} left out, see skipped.csv; the first: {data.skipped[0].reason}")
    return data


def _train_shown(recipe: Recipe, run: Run, display: Display, force: bool) -> None:
    device = detect(recipe.device)
    check_trackers(recipe)  # a missing package is reported before any image is read
    check_without_data(recipe)
    check_parts([recipe])
    check_initial_weights(recipe, run)
    [dataset] = recipe.components["dataset"]
    opened = dataset.build()
    check_first_call(recipe, opened, device)
    data = _read(recipe, opened, display)
    way_out = f"resume with: segreg train --resume {shlex.quote(str(run.path))}"
    try:
        train(recipe, data, device, run, display, force=force)
    # Ctrl-C, and the signals that the command line turns into SystemExit.
    except (KeyboardInterrupt, SystemExit):
        # Before the recipe is written there is nothing to resume.
        if (run.path / "recipe.toml").exists():
            display.note(f"interrupted after epoch {len(run.history)} of {recipe.epochs}; {way_out}")
        raise
    except RunError as error:
        if isinstance(error.__cause__, OSError) and (run.path / "recipe.toml").exists():
            raise RunError(f"{error}; fix that and {way_out}") from error.__cause__
        raise
