"""The table of a study: the scores of each configuration, and how far it is behind the best one."""

from collections.abc import Mapping, Sequence

import attrs

from segreg.errors import RunError
from segreg.recipe import Recipe, configuration_label
from segreg.registry import higher_is_better
from segreg.runs.run import Run
from segreg.scoring.estimates import Estimate, estimates, metric_of, states_of_run
from segreg.scoring.evaluator import is_better
from segreg.scoring.statistics import Comparison, paired_comparison


@attrs.frozen(kw_only=True)
class Configuration:
    """A configuration: one model with one loss, and what its runs scored.

    Args:
        model: The architecture, as an expression.
        loss: The loss, as an expression.
        runs: The finished runs, one per seed.
        failure: Why a run failed, or an empty string.
        scores: Each metric on each split, by `(metric, split)`; empty without finished runs.
        behind_best: How the first metric on the validation split differs from that of the best configuration;
            None for the best one itself, and without finished runs.
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
        return configuration_label(self.model, self.loss)

    def on_valid(self, metric: str) -> float:
        """Return the value of a metric on the validation split."""
        return self.scores[metric, "valid"].interval.value

    @property
    def parameters(self) -> int:
        """Number of learnable parameters."""
        return int(self.runs[0].results["parameters"])

    @property
    def seconds(self) -> float:
        """Training time of one seed, averaged over seeds."""
        return sum(float(run.results["seconds"]) for run in self.runs) / len(self.runs)

    @property
    def images_per_second(self) -> float:
        """Training images per second, averaged over seeds."""
        return sum(float(run.results["images_per_second"]) for run in self.runs) / len(self.runs)


def summarize(grid: Sequence[Sequence[tuple[Recipe, Run, str]]]) -> list[Configuration]:
    """Compute the table.

    Args:
        grid: For each configuration its runs: the recipe, the run, and why it failed or an empty string.

    Raises:
        RunError: a run is damaged, or was trained on other images than the first one.
    """
    configurations = []
    for runs in grid:
        recipe = runs[0][0]
        finished = [run for _, run, _ in runs if run.finished]
        failure = next((failure for _, _, failure in runs if failure), "")
        configurations.append(
            Configuration(
                model=recipe.model, loss=recipe.loss, runs=finished, failure=failure, scores=estimates(recipe, finished)
            )
        )
    check_same_images([run for configuration in configurations for run in configuration.runs])
    return _compared_with_best(configurations, grid[0][0][0].metrics[0])


def check_same_images(runs: Sequence[Run], digests: Mapping[str, str] | None = None) -> None:
    """Raise `RunError` for a run on other images than the others: it cannot be compared with them.

    Args:
        runs: Finished runs.
        digests: The digests of the images that are there now; by default those of the first run.
    """
    for run in runs:
        digests = digests or run.results["digests"]
        changed = [split for split in digests if run.results["digests"].get(split) != digests[split]]
        if changed or run.results["digests"].keys() != digests.keys():
            raise RunError(
                f"{run.path} ({run.recipe.label}) was trained on other images than those of this study now: "
                f"{' and '.join(changed) or 'the splits'} changed; delete it to train it again, or choose another --out"
            )


def best_configuration(configurations: Sequence[Configuration]) -> Configuration | None:
    """Return the configuration that the others are compared with; None if no run is finished."""
    return next(
        (configuration for configuration in configurations if configuration.runs and configuration.behind_best is None),
        None,
    )


def score_columns(configurations: Sequence[Configuration], recipe: Recipe) -> list[tuple[str, str]]:
    """Return the metric and the split of each column of scores."""
    splits = next(
        ([split for _, split in configuration.scores] for configuration in configurations if configuration.scores),
        ["train", "valid"],
    )
    return [(metric, split) for metric in recipe.metrics for split in dict.fromkeys(splits)]


def _compared_with_best(configurations: Sequence[Configuration], name: str) -> list[Configuration]:
    finished = [configuration for configuration in configurations if configuration.runs]
    if not finished:
        return list(configurations)
    best = finished[0]
    for configuration in finished[1:]:
        if is_better(configuration.on_valid(name), best.on_valid(name), higher_is_better(name)):
            best = configuration
    metric = metric_of(name, best.runs[0])
    best_states = [states_of_run(run)["valid", name] for run in best.runs]
    compared = []
    for configuration in configurations:
        if configuration.runs and configuration is not best:
            states = [states_of_run(run)["valid", name] for run in configuration.runs]
            configuration = attrs.evolve(configuration, behind_best=paired_comparison(metric, states, best_states))
        compared.append(configuration)
    return compared
