"""Makes a study: plans it, trains every run that is missing, and writes the report."""

import gc
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import torch

from segreg.data.split import Data
from segreg.errors import RunError
from segreg.plugins import one_line
from segreg.recipe import Recipe
from segreg.studies.labels import as_text
from segreg.studies.own_size import is_scored, score_at_own_size
from segreg.studies.page import write_page
from segreg.studies.plan import make_plan
from segreg.studies.study import Study
from segreg.studies.summary import write_report
from segreg.studies.table import check_same_images
from segreg.studies.tries import TRIES, forget_tries, may_try, write_failure
from segreg.support.device import detect
from segreg.support.files import is_empty, refuse_links, write_text
from segreg.support.lock import locked
from segreg.support.progress import Display
from segreg.training.checkpoint import remove_checkpoint
from segreg.training.first_call import check_without_data
from segreg.training.fit import open_data, train
from segreg.training.initial_weights import check_initial_weights, read_initial_weights
from segreg.training.parts import check_parts
from segreg.training.tracking import check_trackers

QUICK = "quick"
EXPERIMENT = "experiment"


def compare(
    study: str | Path | None = None,
    *,
    models: Sequence[str] | str | None = None,
    losses: Sequence[str] | str | None = None,
    optimizers: Sequence[str] | str | None = None,
    schedules: Sequence[str] | str | None = None,
    augments: Sequence[str | Sequence[str]] | None = None,
    lrs: Sequence[float | str] | str | None = None,
    sizes: Sequence[int | str | tuple[int, int]] | str | None = None,
    seeds: Sequence[int | str] | int | str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Study:
    """Train every combination of what is compared, with every seed, and write a table, plots and `report.html`.

    Finished runs are kept and interrupted ones resumed. A run that fails is reported in the table, and the others
    continue. The same command retries it, up to three times in total. What is given for an axis replaces that axis in
    the study.

    Args:
        study: A study file, or the name of one that comes with segreg. By default `quick`, seven configurations on
            synthetic lesions in a few minutes, or `experiment`, the same at full length, if `data` is given.
        models: Architectures, as expressions.
        losses: Losses, as expressions.
        optimizers: Optimizers, as expressions.
        schedules: Schedules, as expressions.
        augments: Lists of augmentations, such as `["hflip vflip affine", ["hflip", "gamma"], "none"]`.
        lrs: Learning rates, each used with every optimizer.
        sizes: Sizes of training. If they differ, all are scored at the size of the masks.
        seeds: One run of each configuration per seed.
        out: The study's directory; by default `studies/NAME-DATASET`. It may hold an earlier version of this study.
        force: Resume an interrupted run even if a plugin, torch or the device has changed since, and
            retry runs that failed three times.
        quiet: Show no progress.
        settings: Any field of `Recipe` except `model`, `loss` and `seed`, the same for all runs.

    Raises:
        DataError, OptionError, ExpressionError, UnknownNameError, PluginError: the study or its data are invalid.
        RunError: the directory holds something else, is in use by another process, or cannot be written to, or what an
            interrupted run depends on has changed.
    """
    axes = {
        "models": models,
        "losses": losses,
        "optimizers": optimizers,
        "schedules": schedules,
        "augments": augments,
        "lrs": lrs,
        "sizes": sizes,
        "seeds": seeds,
    }
    made = planned(study, out, **axes, **settings)
    carry_out(made, force=force, quiet=quiet)
    return made


def planned(study: str | Path | None, out: str | Path | None, **given: Any) -> Study:
    """Return a study whose plan and directory are checked, without reading an image or writing anything.

    Args, Raises: as for `compare`, with axes and settings as `given`.
    """
    if study is None:
        study = EXPERIMENT if "data" in given else QUICK
    plan = make_plan(study, **given)
    made = Study(Path(out) if out else plan.directory, plan)
    _check_ours(made)
    missing = made.missing
    # A missing package is reported before any image is read.
    if missing:
        check_trackers(missing[0])
    # Of many runs, only a few differ in what is checked.
    for recipe in {(each.optimizer, each.schedule, each.augment, each.size): each for each in missing}.values():
        check_without_data(recipe)
    for recipe in {(recipe.model, recipe.init): recipe for recipe in missing}.values():
        check_initial_weights(recipe, made.run(recipe))
    check_parts(missing)
    _check_same_beginning(made)
    return made


def _check_same_beginning(study: Study) -> None:
    """Raise `RunError` if runs begin with weights of one name that are not the same."""
    for init in {recipe.init for recipe in study.missing if recipe.init}:
        named = [recipe for recipe in study.plan.recipes if recipe.init == init]
        begun = [study.run(recipe) for recipe in named if (study.run(recipe).path / "recipe.toml").exists()]
        digests = {run.initial_weights.get("digest", "") for run in begun}
        fresh = [recipe for recipe in named if study.run(recipe) not in begun]
        if fresh and digests and (weights := read_initial_weights(fresh[0], study.run(fresh[0]))):
            digests.add(weights.record["digest"])
        if len(digests) > 1:
            raise RunError(
                f"{init} has changed since {begun[0].path} began with its weights, so that runs could not be compared: "
                "choose another --out, or delete the runs that have begun"
            )


def carry_out(study: Study, *, force: bool = False, quiet: bool = False) -> None:
    """Train the runs that are missing, and write the report.

    Args, Raises: as for `compare`.
    """
    plan, missing = study.plan, study.missing
    with Display(quiet) as display:
        try:
            for note in plan.notes:
                display.note(note)
            if len(missing) < len(plan.recipes):
                finished = len(plan.recipes) - len(missing)
                display.line(f"{finished} of {len(plan.recipes)} runs are already finished, in {study.path}")
            # A study that is finished may be on another machine, without its device and its data.
            work = [*missing, *_not_scored(study)]
            opened = _Opened(detect(work[0].device), display) if work else None
            if opened:
                _check_data(study, work[0], opened)
            with locked(study.path):
                refuse_links(study.path, "runs", nested=False)
                if missing:
                    write_text(study.path / "study.toml", plan.to_toml())
                if opened:
                    _make_runs(study, missing, opened, force)
                    _score_at_own_size(study, opened)
                display.progress("writing the report", 0, 1)
                write_report(study.path, plan.name, study.configurations, plan.recipes[0])
                write_page(study.path, plan.name, study.configurations, plan.recipes[0])
        # Ctrl-C, and the signals that the command line turns into SystemExit.
        except (KeyboardInterrupt, SystemExit):
            display.note("interrupted; rerun the same command to resume")
            raise
        except RunError as error:
            if isinstance(error.__cause__, OSError):
                raise RunError(f"{error}; fix that and rerun the same command to resume") from error.__cause__
            raise
        display.line(f"report: {study.path / 'report.html'}")


def _check_ours(study: Study) -> None:
    """Raise `RunError` unless the directory is empty, or holds the same study or a part of it."""
    path = study.path / "study.toml"
    if path.exists():
        try:
            earlier = Study.read(study.path).plan.recipes
        except RunError as error:
            raise RunError(f"{error}: choose another --out") from error
        recipes = study.plan.recipes
        for recipe in earlier:
            if recipe not in recipes:
                raise RunError(
                    f"{study.path} holds another study, which has a run with {_difference(recipe, recipes)}: choose "
                    "another --out, or include all of its runs in this one"
                )
    elif study.path.exists() and (not study.path.is_dir() or not is_empty(study.path)):
        raise RunError(f"{study.path} already holds files that are not a study: choose another --out")


def _difference(recipe: Recipe, others: Sequence[Recipe]) -> str:
    """Say in which settings a recipe differs from the most similar one of others."""
    mine = recipe.fields_that_affect_results()
    theirs = [other.fields_that_affect_results() for other in others]
    differing = [[name for name in {**mine, **each} if mine.get(name) != each.get(name)] for each in theirs]
    nearest = min(differing, key=len)
    return ", ".join(f"{name} {as_text(name, mine.get(name))}" for name in nearest)


@attrs.define
class _Opened:
    """The device, and the images of the study at one size, of which memory may hold no more.

    Args:
        device: Device to train on.
        display: Shows the progress.
    """

    device: torch.device
    display: Display
    _size: tuple[int, int] | None = attrs.field(init=False, default=None)
    _data: Data | None = attrs.field(init=False, default=None)

    def at_size_of(self, recipe: Recipe) -> Data:
        """Return the images at the size of a recipe."""
        if self._data is None or self._size != recipe.size:
            self._data = None
            self._data, self._size = open_data(recipe, self.display), recipe.size
        return self._data


def _check_data(study: Study, next_one: Recipe, opened: _Opened) -> None:
    """Raise `RunError` if a finished run was trained on other images than those that are there now.

    Args:
        study: The study.
        next_one: What is trained next: the images at its size are left open.
        opened: Opens the images.
    """
    finished = [recipe for recipe in study.plan.recipes if study.run(recipe).finished]
    one_of_each_size = {recipe.size: recipe for recipe in finished if recipe.size != next_one.size}
    for recipe in (*one_of_each_size.values(), next_one):
        runs = [study.run(each) for each in finished if each.size == recipe.size]
        check_same_images(runs, opened.at_size_of(recipe).digests)


def _not_scored(study: Study) -> list[Recipe]:
    """Return the recipes whose finished runs lack the scores at the size of the masks, if the study needs them."""
    if len(study.plan.sizes) == 1:
        return []
    return [recipe for recipe in study.plan.recipes if study.run(recipe).finished and not is_scored(study.run(recipe))]


def _score_at_own_size(study: Study, opened: _Opened) -> None:
    for recipe in _not_scored(study):
        [dataset] = recipe.components["dataset"]
        label = f"{study.plan.label(recipe)} at the size of the masks"
        score_at_own_size(study.run(recipe), dataset.build(), opened.device, partial(opened.display.progress, label))


def _make_runs(study: Study, missing: Sequence[Recipe], opened: _Opened, force: bool) -> None:
    display, total = opened.display, len(study.plan.recipes)
    for number, recipe in enumerate(missing, 1 + total - len(missing)):
        run, label = study.run(recipe), study.plan.label(recipe)
        display.line(f"run {number} of {total}: {label}, seed {recipe.seed}")
        if not may_try(run, force):
            display.note(f"failed {TRIES} times, retry with --force: {label}: {study.failure(recipe)}")
            continue
        # Reading fails for all runs alike.
        data = opened.at_size_of(recipe)
        try:
            train(recipe, data, opened.device, run, display, force=force)
            remove_checkpoint(run)
        # The directory is the problem, and would fail the other runs too.
        except RunError:
            forget_tries(run)
            raise
        # Whatever a plugin's model or loss raises must not cost the other runs.
        except Exception as error:
            write_failure(run, " ".join(one_line(error).split()), traceback.format_exc())
            display.note(f"failed: {label}: {study.failure(recipe)}")
        except BaseException:
            forget_tries(run)
            raise
        else:
            forget_tries(run)
        gc.collect()
