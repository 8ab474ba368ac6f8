"""The table of a study: the scores of each configuration, and how far it is behind the best one."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from PIL import Image

from segreg.data.decode import resized
from segreg.data.image_files import Pixels
from segreg.errors import RunError
from segreg.recipe import Recipe
from segreg.registry import higher_is_better
from segreg.runs.run import Run
from segreg.scoring.estimates import Estimate, estimates, metric_of, states_of_run
from segreg.scoring.evaluator import is_better
from segreg.scoring.statistics import Comparison, paired_comparison
from segreg.studies.labels import columns_of
from segreg.studies.own_size import check_same_masks, is_scored
from segreg.studies.plan import Plan


@attrs.frozen(kw_only=True)
class Configuration:
    """A configuration: recipes that differ only in their seed, and what their runs scored.

    Args:
        label: Its name in tables and plots.
        settings: What tells it from the others of the study, by name.
        recipe: The recipe of its first seed.
        runs: The finished runs, one per seed.
        failure: Why a run failed, or an empty string.
        scores: Each metric on each split, by `(metric, split)`; empty without finished runs.
        behind_best: How the first metric on the validation split differs from that of the best configuration;
            None for the best one itself, and without finished runs.
    """

    label: str
    settings: Mapping[str, str]
    recipe: Recipe
    runs: Sequence[Run]
    failure: str
    scores: Mapping[tuple[str, str], Estimate]
    behind_best: Comparison | None = None

    @property
    def own_size(self) -> bool:
        """Whether scores are at the size of the masks: those at different training sizes cannot be compared."""
        return "size" in self.settings

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


def summarize(plan: Plan, grid: Sequence[Sequence[tuple[Run, str]]]) -> list[Configuration]:
    """Compute the table.

    Args:
        plan: The plan.
        grid: For each configuration its runs, and why each failed or an empty string.

    Raises:
        RunError: a run is damaged, or was trained on other images than the first one.
    """
    configurations = []
    for label, settings, recipes, runs in zip(plan.labels, plan.columns, plan.configurations, grid, strict=True):
        own_size = "size" in settings
        finished = [run for run, _ in runs if run.finished and (not own_size or is_scored(run))]
        configurations.append(
            Configuration(
                label=label,
                settings=settings,
                recipe=recipes[0],
                runs=finished,
                failure=next((failure for _, failure in runs if failure), ""),
                scores=estimates(recipes[0], finished, own_size=own_size),
            )
        )
    finished = [run for configuration in configurations for run in configuration.runs]
    for size in plan.sizes:
        check_same_images([run for run in finished if run.recipe.size == size])
    if len(plan.sizes) > 1:
        check_same_masks(finished)
    return _compared_with_best(configurations, plan.recipes[0].metrics[0])


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


def score_columns(configurations: Sequence[Configuration], recipe: Recipe) -> dict[tuple[str, str], str]:
    """Return the title of each column of scores, by its metric and split."""
    splits = next(
        ([split for _, split in configuration.scores] for configuration in configurations if configuration.scores),
        ["train", "valid"],
    )
    where = ", own size" if configurations[0].own_size else ""
    return {(metric, split): f"{metric} {split}{where}" for metric in recipe.metrics for split in dict.fromkeys(splits)}


def shared_settings(configurations: Sequence[Configuration]) -> dict[str, str]:
    """Return the settings that affect results and are the same for all configurations, as text."""
    first = configurations[0]
    same = [name for name in first.recipe.fields_that_affect_results() if name not in ("seed", *first.settings)]
    return columns_of(first.recipe, same)


def sample_predictions(configurations: Sequence[Configuration], size: tuple[int, int]) -> dict[str, Pixels]:
    """Return what each configuration with a finished run predicts on the samples, by label, all at one size.

    Shapes:
        returns: uint8 [n, H, W] each.
    """
    found = {}
    for configuration in configurations:
        if configuration.runs:
            predictions = np.moveaxis(configuration.runs[0].samples["predictions"].numpy(), 0, 2)
            found[configuration.label] = np.moveaxis(resized(predictions, size, Image.Resampling.NEAREST), 2, 0)
    return found


def _compared_with_best(configurations: Sequence[Configuration], name: str) -> list[Configuration]:
    finished = [configuration for configuration in configurations if configuration.runs]
    if not finished:
        return list(configurations)
    best = finished[0]
    for configuration in finished[1:]:
        if is_better(configuration.on_valid(name), best.on_valid(name), higher_is_better(name)):
            best = configuration
    metric = metric_of(name, best.runs[0])
    own_size = best.own_size
    best_states = [states_of_run(run, own_size=own_size)["valid", name] for run in best.runs]
    compared = []
    for configuration in configurations:
        if configuration.runs and configuration is not best:
            states = [states_of_run(run, own_size=own_size)["valid", name] for run in configuration.runs]
            configuration = attrs.evolve(configuration, behind_best=paired_comparison(metric, states, best_states))
        compared.append(configuration)
    return compared
