"""A study: every run of a plan, made once, and the report of all of them."""

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
from segreg.studies.table import Row, best_row, summarize
from segreg.support.device import detect
from segreg.support.files import is_empty, read_toml, write_text, writing
from segreg.support.lock import locked
from segreg.support.progress import Display
from segreg.training.checkpoint import checkpoint_path, remove_checkpoint
from segreg.training.fit import open_data, train
from segreg.training.tracking import check_trackers

QUICK = "quick"
EXPERIMENT = "experiment"

# How often a run is tried that fails, or that ends its process, before somebody has to look at it.
_TRIES = 3


@attrs.frozen
class Study:
    """A study on disk.

    Args:
        path: Its directory: `study.toml`, `runs/`, and the report.
        plan: What it compares.
    """

    path: Path
    plan: Plan

    @classmethod
    def read(cls, path: str | Path) -> "Study":
        """Return the study that a directory holds, as it was made.

        Raises:
            DataError: there is no study, or its file is not TOML.
            RunError: the file is not what a study writes, or names what is not here.
        """
        file = Path(path) / "study.toml"
        written = read_toml(file)
        runs = written.get("run")
        if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
            raise RunError(f"{file} is not what a study writes there")
        rows: dict[Recipe, list[Recipe]] = {}
        try:
            for recipe in map(written_recipe, runs):
                rows.setdefault(attrs.evolve(recipe, seed=0), []).append(recipe)
        # It was written by another version, or with a plugin that is no longer installed.
        except SegregError as error:
            raise RunError(f"{file} cannot be gone on with here ({error})") from error
        plan = Plan(name=str(written.get("name")), rows=tuple(map(tuple, rows.values())))
        return cls(Path(path), plan)

    def run(self, recipe: Recipe) -> Run:
        """Return the run of a recipe, whether made or not."""
        return Run(self.path / "runs" / directory_name(recipe))

    def failure(self, recipe: Recipe) -> str:
        """Why the run of a recipe failed, in one line; an empty text if it did not."""
        run = self.run(recipe)
        path = run.path / "failed.txt"
        return "" if run.finished or not path.exists() else path.read_text(encoding="utf-8").splitlines()[0]

    @cached_property
    def rows(self) -> list[Row]:
        """The table: a row for each model with a loss, as far as its runs are finished at the first look."""
        return summarize(
            [[(recipe, self.run(recipe), self.failure(recipe)) for recipe in row] for row in self.plan.rows]
        )

    @property
    def best(self) -> Run | None:
        """The run to take: of the row that is best on valid the seed that is best there; None if none is finished."""
        row, metric = best_row(self.rows), self.plan.recipes[0].metrics[0]
        if row is None:
            return None
        sign = 1 if higher_is_better(metric) else -1

        def rank(run: Run) -> float:
            value = run.results["metrics"]["valid"][metric]
            return -math.inf if value is None else sign * value

        return max(row.runs, key=rank)


def compare(
    study: str | Path | None = None,
    *,
    models: Sequence[str] | str | None = None,
    losses: Sequence[str] | str | None = None,
    seeds: Sequence[int | str] | str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Study:
    """Train every model with every loss and every seed, and write a table, curves, images and `report.html`.

    A run that is finished is not made again, one that was interrupted goes on, and one that fails leaves its row
    saying so while the others go on. The same command tries that one again, up to three times in all.

    Args:
        study: A study file, or the name of one that comes with segreg. By default `quick`, seven rows on synthetic
            lesions in a few minutes, or `experiment`, the same rows at full length, if `data` is given.
        models: Architectures, as expressions, in the place of the study's.
        losses: Losses, as expressions, in the place of the study's.
        seeds: Seeds, in the place of the study's.
        out: The study's directory; by default `studies/NAME-DATASET`. It may hold an earlier state of the same study.
        force: Go on with an interrupted run though a plugin, torch, the device or the images have changed since, and
            try runs again that failed three times.
        quiet: Show no progress.
        settings: Any field of `Recipe` but `model`, `loss` and `seed`.

    Raises:
        DataError, OptionError, ExpressionError, UnknownNameError, PluginError: the study or its data are wrong.
        RunError: the directory holds something else, another process is at work there, it cannot be written to, or what
            an interrupted run was made with has changed.
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
                display.line(f"{len(recipes) - len(missing)} of {len(recipes)} runs are there already, in {made.path}")
            # What one lacks shows before an image is read.
            if missing:
                check_trackers(recipes[0])
            # All runs of a plan share one device, and one dataset at one size.
            shared = (detect(recipes[0].device), open_data(recipes[0], display)) if missing else None
            with locked(made.path):
                if shared:
                    write_text(made.path / "study.toml", plan.to_toml())
                    _make_runs(made, missing, *shared, display, force)
                display.progress("writing the report", 0, 1)
                write_report(made.path, plan.name, made.rows, plan.recipes[0])
                write_page(made.path, plan.name, made.rows, plan.recipes[0])
        # Ctrl-C, and the signals that the command line turns into SystemExit.
        except (KeyboardInterrupt, SystemExit):
            display.note("interrupted; the same command goes on with what is missing")
            raise
        except RunError as error:
            if isinstance(error.__cause__, OSError):
                raise RunError(f"{error}; when that is mended, the same command goes on") from error.__cause__
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
                f"{study.path} holds another study: choose another --out, or keep all of its runs in this one"
            )
    elif study.path.exists() and (not study.path.is_dir() or not is_empty(study.path)):
        raise RunError(f"{study.path} already holds something that is not a study: choose another --out")


def _make_runs(
    study: Study, missing: Sequence[Recipe], device: torch.device, data: Data, display: Display, force: bool
) -> None:
    for number, recipe in enumerate(missing, 1 + len(study.plan.recipes) - len(missing)):
        run = study.run(recipe)
        display.line(f"run {number} of {len(study.plan.recipes)}")
        if not _may_try(run, force):
            display.note(f"not tried again without --force: {recipe.label}: {study.failure(recipe)}")
            continue
        try:
            train(recipe, data, device, run, display, force=force)
            remove_checkpoint(run)
        # The directory is the trouble, and the other runs would meet it too.
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
    """Whether a run has had fewer than three tries since it last wrote a state; if so, count this one.

    It is counted before it begins, since it may take the process with it.
    """
    path, state = run.path / "tries.json", checkpoint_path(run)
    written = state.stat().st_mtime_ns if state.exists() else 0
    tries = 0
    if path.exists() and not force:
        # What somebody else wrote there counts for nothing.
        with suppress(ValueError, TypeError, KeyError):
            earlier = json.loads(path.read_text(encoding="utf-8"))
            tries = int(earlier["tries"]) if earlier["state"] == written else 0
    if tries >= _TRIES:
        if not (run.path / "failed.txt").exists():
            _write_failure(run, f"its process was killed, {tries} times at the same place: did memory run out?", "")
        return False
    with writing(run.path):
        run.path.mkdir(parents=True, exist_ok=True)
        (run.path / "failed.txt").unlink(missing_ok=True)
    write_text(path, json.dumps({"tries": tries + 1, "state": written}))
    return True


def _forget_tries(run: Run) -> None:
    (run.path / "tries.json").unlink(missing_ok=True)


def _write_failure(run: Run, reason: str, details: str) -> None:
    write_text(run.path / "failed.txt", f"{reason}\n\n{details}")
