"""A study: every run of a plan, made once, and the report of all of them."""

import gc
import traceback
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from segreg.errors import RunError, SegregError
from segreg.studies.plan import Plan, directory_name, make_plan
from segreg.studies.report import Row, summarize, write_report
from segreg.training.device import detect
from segreg.training.files import write_text
from segreg.training.fit import execute, open_data
from segreg.training.progress import Display
from segreg.training.recipe import Recipe, make_recipe, read_toml
from segreg.training.run import Run

QUICK = "quick"
EXPERIMENT = "experiment"


@attrs.frozen
class Study:
    """A study on disk.

    Args:
        path: Its directory: `study.toml`, `runs/`, and the report.
        plan: What it compares.
    """

    path: Path
    plan: Plan

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


def compare(
    study: str | Path | None = None,
    *,
    models: Sequence[str] | str | None = None,
    losses: Sequence[str] | str | None = None,
    seeds: Sequence[int | str] | str | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Study:
    """Train every model with every loss and every seed, and write a table, curves, pictures and `report.html`.

    A run that is finished is not made again, one that was interrupted goes on, and one that fails leaves its row
    saying so while the others go on.

    Args:
        study: A study file, or the name of one that comes with segreg. By default `quick`, seven rows on synthetic
            lesions in a few minutes, or `experiment`, the same rows at full length, if `data` is given.
        models: Architectures, as expressions, in the place of the study's.
        losses: Losses, as expressions, in the place of the study's.
        seeds: Seeds, in the place of the study's.
        out: The study's directory; by default `studies/NAME-DATASET`. It may hold an earlier state of the same study.
        quiet: Show no progress.
        settings: Any field of `Recipe` but `model`, `loss` and `seed`.

    Raises:
        DataError, OptionError, ExpressionError, UnknownNameError, PluginError: the study or its data are wrong.
        RunError: the directory holds something else.
    """
    if study is None:
        study = EXPERIMENT if "data" in settings else QUICK
    plan = make_plan(study, models=models, losses=losses, seeds=seeds, **settings)
    made = Study(Path(out) if out else plan.directory, plan)
    _check_ours(made)
    with Display(quiet) as display:
        try:
            _make_runs(made, display)
        except KeyboardInterrupt:
            display.note("interrupted; the same command goes on with what is missing")
            raise
        display.progress("writing the report", 0, 1)
        write_report(made.path, plan.name, made.rows, plan.recipes[0])
        display.line(f"report: {made.path / 'report.html'}")
    return made


def _check_ours(study: Study) -> None:
    """Raise `RunError` unless the directory is empty, or holds the same study or a part of it."""
    path = study.path / "study.toml"
    if path.exists():
        runs = read_toml(path).get("run")
        if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
            raise RunError(f"{path} is not what a study writes there: choose another --out")
        try:
            earlier = {make_recipe(**run) for run in runs}
        # It was written by another version, or with a plugin that is no longer installed.
        except SegregError as error:
            raise RunError(f"{path} cannot be gone on with here ({error}): choose another --out") from error
        if not earlier <= set(study.plan.recipes):
            raise RunError(
                f"{study.path} holds another study: choose another --out, or keep all of its runs in this one"
            )
    elif study.path.exists() and (not study.path.is_dir() or any(study.path.iterdir())):
        raise RunError(f"{study.path} already holds something that is not a study: choose another --out")


def _make_runs(study: Study, display: Display) -> None:
    recipes = study.plan.recipes
    missing = [recipe for recipe in recipes if not study.run(recipe).finished]
    if len(missing) < len(recipes):
        display.line(f"{len(recipes) - len(missing)} of {len(recipes)} runs are there already, in {study.path}")
    if not missing:
        return
    # All runs of a plan share one device, and one data set at one size.
    device, data = detect(recipes[0].device), open_data(recipes[0], display)
    study.path.mkdir(parents=True, exist_ok=True)
    write_text(study.path / "study.toml", study.plan.to_toml())
    for number, recipe in enumerate(missing, 1 + len(recipes) - len(missing)):
        run = study.run(recipe)
        (run.path / "failed.txt").unlink(missing_ok=True)
        display.line(f"run {number} of {len(recipes)}")
        try:
            execute(recipe, run, data, device, display)
        # Whatever a plugin's model or loss raises must not cost the other runs.
        except Exception as error:
            reason = str(error) if isinstance(error, SegregError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())
            run.path.mkdir(parents=True, exist_ok=True)
            write_text(run.path / "failed.txt", f"{reason}\n\n{traceback.format_exc()}")
            display.note(f"failed: {recipe.label}: {reason}")
        gc.collect()
