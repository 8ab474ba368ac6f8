"""The scores of the runs of one configuration: estimates from their metric states of each image."""

import math
from collections.abc import Mapping, Sequence

import attrs
import torch
from torch import Tensor

from segreg.contracts import SegmentationMetric
from segreg.errors import RunError
from segreg.recipe import Recipe
from segreg.registry import registry
from segreg.runs.run import Run
from segreg.scoring.metric_states import States, buffers_of, value
from segreg.scoring.statistics import Interval, Spread, bootstrap_interval, mean_and_spread


@attrs.frozen(kw_only=True)
class Estimate:
    """A metric on a split: the mean and spread over seeds, and the interval over images."""

    spread: Spread
    interval: Interval

    def __str__(self) -> str:
        """Format it as in a table: `0.873 ± 0.010 [0.851, 0.893]`."""
        spread = "" if math.isnan(self.spread.deviation) else f" ± {self.spread.deviation:.3f}"
        return f"{self.interval.value:.3f}{spread} [{self.interval.low:.3f}, {self.interval.high:.3f}]"


def estimates(recipe: Recipe, runs: Sequence[Run], *, own_size: bool = False) -> dict[tuple[str, str], Estimate]:
    """Return the estimate of each metric on each split, by `(metric, split)`; none without runs.

    Args:
        recipe: The recipe of any of the runs.
        runs: Finished runs that differ only in their seed.
        own_size: Whether to use the scores at the size of the masks, instead of the training size.
    """
    if not runs:
        return {}
    stored = [states_of_run(run, own_size=own_size) for run in runs]
    scores = {}
    for name in recipe.metrics:
        metric = metric_of(name, runs[0])
        for split in runs[0].results["metrics"]:
            states = [each[split, name] for each in stored]
            values = [value(metric, each) for each in states]
            scores[name, split] = Estimate(spread=mean_and_spread(values), interval=bootstrap_interval(metric, states))
    return scores


def tensors_of(states: Mapping[str, Mapping[str, States]]) -> dict[str, Tensor]:
    """Return the states of each metric on each split, by split and metric, as a run keeps them."""
    return {
        f"{split}/{metric}/{buffer}": torch.from_numpy(array)
        for split, each in states.items()
        for metric, buffers in each.items()
        for buffer, array in buffers.items()
    }


def metric_of(name: str, run: Run) -> SegmentationMetric:
    """Build a metric of a run."""
    built: SegmentationMetric = registry().build("metric", name, num_classes=len(run.results["classes"]))
    return built


def states_of_run(run: Run, *, own_size: bool = False) -> dict[tuple[str, str], States]:
    """Return the states of each metric on each split, by `(split, metric)`.

    Args:
        run: A finished run.
        own_size: As for `estimates`.

    Raises:
        RunError: the scores on disk are not those of the run's metrics and images.
    """
    path = run.own_size_scores_path if own_size else run.scores_path
    results, scores = run.results, run.own_size_scores if own_size else run.scores
    found: dict[tuple[str, str], States] = {}
    for name in run.recipe.metrics:
        kept = buffers_of(metric_of(name, run))
        for split, images in results["images"].items():
            prefix = f"{split}/{name}/"
            states = {key.removeprefix(prefix): state for key, state in scores.items() if key.startswith(prefix)}
            expected = {key: (buffer.dtype, (images, *buffer.shape)) for key, buffer in kept.items()}
            if {key: (state.dtype, tuple(state.shape)) for key, state in states.items()} != expected:
                raise RunError(f"{path} is not the scores of this run: {name} on {split} has another form")
            found[split, name] = {key: state.numpy() for key, state in states.items()}
    return found
