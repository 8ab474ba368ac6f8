"""The table of a study: what each row scores, and how far it is behind the best one."""

from collections.abc import Mapping, Sequence

import attrs

from segreg.recipe import Recipe, row_label
from segreg.registry import higher_is_better
from segreg.runs.run import Run
from segreg.scoring.estimates import Estimate, estimates, metric_of, states_of
from segreg.scoring.evaluator import is_better
from segreg.scoring.statistics import Comparison, paired_comparison


@attrs.frozen(kw_only=True)
class Row:
    """A row of the table: one model with one loss.

    Args:
        model: The architecture, as an expression.
        loss: The loss, as an expression.
        runs: The finished runs, one a seed.
        failure: Why a run failed, or an empty text.
        scores: Each metric on each split, by `(metric, split)`; empty without finished runs.
        behind_best: How the first metric on the validation split differs from the best row's; None for the best row
            itself, and without finished runs.
    """

    model: str
    loss: str
    runs: Sequence[Run]
    failure: str
    scores: Mapping[tuple[str, str], Estimate]
    behind_best: Comparison | None = None

    @property
    def label(self) -> str:
        """Model and loss."""
        return row_label(self.model, self.loss)

    def on_valid(self, metric: str) -> float:
        """Return the value of a metric on the validation split."""
        return self.scores[metric, "valid"].interval.value

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return int(self.runs[0].results["parameters"])

    @property
    def seconds(self) -> float:
        """How long the training of one seed took, on average."""
        return sum(float(run.results["seconds"]) for run in self.runs) / len(self.runs)

    @property
    def images_per_second(self) -> float:
        """How many training images a second went through, on average over seeds."""
        return sum(float(run.results["images_per_second"]) for run in self.runs) / len(self.runs)


def summarize(grid: Sequence[Sequence[tuple[Recipe, Run, str]]]) -> list[Row]:
    """Work out the table.

    Args:
        grid: For each row its runs: the recipe, the run, and why it failed or an empty text.
    """
    rows = []
    for runs in grid:
        recipe = runs[0][0]
        finished = [run for _, run, _ in runs if run.finished]
        failure = next((failure for _, _, failure in runs if failure), "")
        rows.append(
            Row(
                model=recipe.model, loss=recipe.loss, runs=finished, failure=failure, scores=estimates(recipe, finished)
            )
        )
    return _compared_with_best(rows, grid[0][0][0].metrics[0])


def best_row(rows: Sequence[Row]) -> Row | None:
    """Return the row that the others are compared with; None if no run is finished."""
    return next((row for row in rows if row.runs and row.behind_best is None), None)


def score_columns(rows: Sequence[Row], recipe: Recipe) -> list[tuple[str, str]]:
    """Return which metrics on which splits the table has."""
    splits = next(([split for _, split in row.scores] for row in rows if row.scores), ["train", "valid"])
    return [(metric, split) for metric in recipe.metrics for split in dict.fromkeys(splits)]


def _compared_with_best(rows: Sequence[Row], name: str) -> list[Row]:
    finished = [row for row in rows if row.runs]
    if not finished:
        return list(rows)
    best = finished[0]
    for row in finished[1:]:
        if is_better(row.on_valid(name), best.on_valid(name), higher_is_better(name)):
            best = row
    metric = metric_of(name, best.runs[0])
    best_states = [states_of(run.scores, "valid", name) for run in best.runs]
    compared = []
    for row in rows:
        if row.runs and row is not best:
            states = [states_of(run.scores, "valid", name) for run in row.runs]
            row = attrs.evolve(row, behind_best=paired_comparison(metric, states, best_states))
        compared.append(row)
    return compared
