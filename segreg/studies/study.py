"""A study: every run of a plan, trained once, and the report of all of them."""

import gc
import json
import math
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch

from segreg.data.split import Data
from segreg.errors import RunError, SegregError
from segreg.plugins import one_line
from segreg.recipe import Recipe, written_recipe
from segreg.registry import higher_is_better
from segreg.runs.run import Run
from segreg.studies.page import write_page
from segreg.studies.plan import Plan, directory_name, make_plan
from segreg.studies.summary import write_report
from segreg.studies.table import Configuration, best_configuration, check_same_images, summarize
from segreg.support.device import detect
from segreg.support.files import is_empty, read_json, read_text, read_toml, reading, refuse_links, write_text, writing
from segreg.support.lock import locked
from segreg.support.progress import Display
from segreg.training.checkpoint import checkpoint_path, remove_checkpoint
from segreg.training.first_call import check_without_data
from segreg.training.fit import open_data, train
from segreg.training.initial_weights import check_initial_weights
from segreg.training.parts import check_parts
from segreg.training.tracking import check_trackers

QUICK = "quick"
EXPERIMENT = "experiment"

# How often a run that fails, or kills its process, is tried before it needs attention.
_TRIES = 3


@attrs.frozen
class Study:
    """A study on disk.

    Args:
        path: Its directory: `study.toml`, `runs/`, and the report.
        plan: Its runs.
    """

    path: Path
    plan: Plan

    @classmethod
    def read(cls, path: str | Path) -> "Study":
        """Return the study in a directory, as it was written.

        Raises:
            DataError: the directory holds no study, or its file is not TOML.
            RunError: the file was not written by a study, or names a component that is not installed.
        """
        file = Path(path) / "study.toml"
        written = read_toml(file)
        runs = written.get("run")
        if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
            raise RunError(f"{file} was not written by a study")
        configurations: dict[Recipe, list[Recipe]] = {}
        try:
            for recipe in map(written_recipe, runs):
                configurations.setdefault(attrs.evolve(recipe, seed=0), []).append(recipe)
        # It was written by another version, or with a plugin that is no longer installed.
        except SegregError as error:
            raise RunError(f"{file} cannot be resumed here ({error})") from error
        plan = Plan(name=str(written.get("name")), configurations=tuple(map(tuple, configurations.values())))
        return cls(Path(path), plan)

    def run(self, recipe: Recipe) -> Run:
        """Return the run of a recipe, whether or not it exists."""
        return Run(self.path / "runs" / directory_name(recipe))

    def failure(self, recipe: Recipe) -> str:
        """Why the run of a recipe failed, in one line; an empty text if it did not."""
        run = self.run(recipe)
        path = run.path / "failed.txt"
        if run.finished or not path.exists():
            return ""
        try:
            with reading(path, "the reason of a failure"):
                return read_text(path).splitlines()[0]
        except RunError:
            return "reason unknown: failed.txt is damaged"

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The table: each configuration, with the runs that are finished when it is first read.

        Raises:
            RunError: runs are damaged, or were trained on different images.
        """
        return summarize(
            [
                [(recipe, self.run(recipe), self.failure(recipe)) for recipe in configuration]
                for configuration in self.plan.configurations
            ]
        )

    @property
    def best(self) -> Run | None:
        """The best run: the best seed on valid of the best configuration; None if none is finished."""
        configuration, metric = best_configuration(self.configurations), self.plan.recipes[0].metrics[0]
        if configuration is None:
            return None
        sign = 1 if higher_is_better(metric) else -1

        def rank(run: Run) -> float:
            value = run.results["metrics"]["valid"][metric]
            return -math.inf if value is None else sign * value

        return max(configuration.runs, key=rank)


def compare(
    study: str | Path | None = None,
    *,
    models: Sequence[str] | str | None = None,
    losses: Sequence[str] | str | None = None,
    seeds: Sequence[int | str] | int | str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Study:
    """Train every model with every loss and every seed, and write a table, plots and `report.html`.

    Finished runs are kept and interrupted ones resumed. A run that fails is reported in the table, and the others
    continue. The same command retries it, up to three times in total.

    Args:
        study: A study file, or the name of one that comes with segreg. By default `quick`, seven configurations on
            synthetic lesions in a few minutes, or `experiment`, the same at full length, if `data` is given.
        models: Architectures, as expressions, instead of the study's.
        losses: Losses, as expressions, instead of the study's.
        seeds: Seeds, instead of the study's.
        out: The study's directory; by default `studies/NAME-DATASET`. It may hold an earlier version of this study.
        force: Resume an interrupted run even if a plugin, torch or the device has changed since, and
            retry runs that failed three times.
        quiet: Show no progress.
        settings: Any field of `Recipe` except `model`, `loss` and `seed`.

    Raises:
        DataError, OptionError, ExpressionError, UnknownNameError, PluginError: the study or its data are invalid.
        RunError: the directory holds something else, is in use by another process, or cannot be written to, or what an
            interrupted run depends on has changed.
    """
    if study is None:
        study = EXPERIMENT if "data" in settings else QUICK
    plan = make_plan(study, models=models, losses=losses, seeds=seeds, **settings)
    made = Study(Path(out) if out else plan.directory, plan)
    _check_ours(made)
    with Display(quiet) as display:
        try:
            recipes = plan.recipes
            missing = [recipe for recipe in recipes if not made.run(recipe).finished]
            if len(missing) < len(recipes):
                finished = len(recipes) - len(missing)
                display.line(f"{finished} of {len(recipes)} runs are already finished, in {made.path}")
            # A missing package is reported before any image is read.
            if missing:
                check_trackers(recipes[0])
            for recipe in missing:
                check_without_data(recipe)
                check_initial_weights(recipe, made.run(recipe))
            check_parts(missing)
            # All runs of a plan share one device, and one dataset at one size.
            shared = (detect(recipes[0].device), open_data(recipes[0], display)) if missing else None
            if shared:
                trained = [run for run in map(made.run, recipes) if run.finished]
                check_same_images(trained, shared[1].digests)
            with locked(made.path):
                refuse_links(made.path, "runs", nested=False)
                if shared:
                    write_text(made.path / "study.toml", plan.to_toml())
                    _make_runs(made, missing, *shared, display, force)
                display.progress("writing the report", 0, 1)
                write_report(made.path, plan.name, made.configurations, plan.recipes[0])
                write_page(made.path, plan.name, made.configurations, plan.recipes[0])
        # Ctrl-C, and the signals that the command line turns into SystemExit.
        except (KeyboardInterrupt, SystemExit):
            display.note("interrupted; rerun the same command to resume")
            raise
        except RunError as error:
            if isinstance(error.__cause__, OSError):
                raise RunError(f"{error}; fix that and rerun the same command to resume") from error.__cause__
            raise
        display.line(f"report: {made.path / 'report.html'}")
    return made


def _check_ours(study: Study) -> None:
    """Raise `RunError` unless the directory is empty, or holds the same study or a part of it."""
    path = study.path / "study.toml"
    if path.exists():
        try:
            earlier = set(Study.read(study.path).plan.recipes)
        except RunError as error:
            raise RunError(f"{error}: choose another --out") from error
        if not earlier <= set(study.plan.recipes):
            raise RunError(
                f"{study.path} holds another study: choose another --out, or include all of its runs in this one"
            )
    elif study.path.exists() and (not study.path.is_dir() or not is_empty(study.path)):
        raise RunError(f"{study.path} already holds files that are not a study: choose another --out")


def _make_runs(
    study: Study, missing: Sequence[Recipe], device: torch.device, data: Data, display: Display, force: bool
) -> None:
    for number, recipe in enumerate(missing, 1 + len(study.plan.recipes) - len(missing)):
        run = study.run(recipe)
        display.line(f"run {number} of {len(study.plan.recipes)}")
        if not _may_try(run, force):
            display.note(f"failed {_TRIES} times, retry with --force: {recipe.label}: {study.failure(recipe)}")
            continue
        try:
            train(recipe, data, device, run, display, force=force)
            remove_checkpoint(run)
        # The directory is the problem, and would fail the other runs too.
        except RunError:
            _forget_tries(run)
            raise
        # Whatever a plugin's model or loss raises must not cost the other runs.
        except Exception as error:
            _write_failure(run, " ".join(one_line(error).split()), traceback.format_exc())
            display.note(f"failed: {recipe.label}: {study.failure(recipe)}")
        except BaseException:
            _forget_tries(run)
            raise
        else:
            _forget_tries(run)
        gc.collect()


def _may_try(run: Run, force: bool) -> bool:
    """Whether a run has been tried fewer than three times since its last checkpoint; if so, count this try.

    It is counted before it starts, since it may kill the process.
    """
    path, checkpoint = run.path / "tries.json", checkpoint_path(run)
    written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    tries = 0
    if path.exists() and not force:
        # Anything that was not written below is ignored.
        with suppress(RunError), reading(path, "a number of tries"):
            earlier = read_json(path, "a number of tries")
            tries = int(earlier["tries"]) if earlier["checkpoint"] == written else 0
    if tries >= _TRIES:
        if not (run.path / "failed.txt").exists():
            when = "since its last checkpoint" if written else "before its first checkpoint"
            by = "by the system if memory ran out, else by a time limit or by hand"
            _write_failure(run, f"its process was killed {tries} times {when}, {by}", "")
        return False
    with writing(run.path):
        run.path.mkdir(parents=True, exist_ok=True)
        (run.path / "failed.txt").unlink(missing_ok=True)
    write_text(path, json.dumps({"tries": tries + 1, "checkpoint": written}))
    return True


def _forget_tries(run: Run) -> None:
    (run.path / "tries.json").unlink(missing_ok=True)


def _write_failure(run: Run, reason: str, details: str) -> None:
    write_text(run.path / "failed.txt", f"{reason}\n\n{details}")
