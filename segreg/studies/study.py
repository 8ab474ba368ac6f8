"""A study on disk: every run of a plan, and the table of all of them."""

import math
from functools import cached_property
from pathlib import Path

import attrs

from segreg.errors import RunError, SegregError
from segreg.recipe import Recipe, written_recipe
from segreg.registry import higher_is_better
from segreg.runs.run import Run
from segreg.studies.plan import Plan, directory_name
from segreg.studies.table import Configuration, best_configuration, summarize
from segreg.studies.tries import failure_of
from segreg.support.files import read_toml


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
        try:
            plan = Plan.of(str(written.get("name")), map(written_recipe, runs))
        # It was written by another version, or with a plugin that is no longer installed.
        except SegregError as error:
            raise RunError(f"{file} cannot be resumed here ({error})") from error
        return cls(Path(path), plan)

    def run(self, recipe: Recipe) -> Run:
        """Return the run of a recipe, whether or not it exists."""
        return Run(self.path / "runs" / directory_name(recipe))

    def failure(self, recipe: Recipe) -> str:
        """Why the run of a recipe failed, in one line; an empty text if it did not."""
        return failure_of(self.run(recipe))

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The table: each configuration, with the runs that are finished when it is first read.

        Raises:
            RunError: runs are damaged, or were trained on different images.
        """
        return summarize(
            self.plan,
            [
                [(self.run(recipe), self.failure(recipe)) for recipe in configuration]
                for configuration in self.plan.configurations
            ],
        )

    @property
    def missing(self) -> list[Recipe]:
        """The recipes whose runs are not finished, one size after the other."""
        missing = [recipe for recipe in self.plan.recipes if not self.run(recipe).finished]
        return sorted(missing, key=lambda recipe: self.plan.sizes.index(recipe.size))

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
