"""Error bars for a table of results: intervals over images, spreads over seeds, paired differences.

The state of a metric is the sum of its states for single images (see `contracts.SegmentationMetric`). So these states,
kept once, give the value over any resample of the images without reading an image again.

The two kinds of error bar answer different questions. An interval over images is how much the value would vary if other
images had been drawn from the same source, with the same trained weights. A spread over seeds is how much it varies if
training is repeated, with the same images. Neither covers another source of images, another annotator, or the
optimistic bias of a value on images that were used to choose the weights.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from segreg.contracts import SegmentationMetric
from segreg.scoring.metric_states import States, class_values, fill, holding_all, values_of_images

_LEVEL = 0.05
_TAILS = (_LEVEL / 2, 1 - _LEVEL / 2)


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """How two configurations differ on the same images.

    Attributes:
        difference: The first value minus the second, with its 95 % bootstrap interval over images.
        p_value: Two-sided p-value of Wilcoxon's signed-rank test on the values of single images.
        direction: Direction of the signed ranks: 1 if they favour a higher first value, -1 if a lower one, else 0. A
            few images can pull the difference the other way.
    """

    difference: Interval
    p_value: float
    direction: int

    @property
    def by_interval(self) -> bool:
        """Whether the interval excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def by_test(self) -> bool:
        """Whether Wilcoxon's test is significant, p < 0.05."""
        return self.p_value < _LEVEL

    @property
    def same_direction(self) -> bool:
        """Whether the signed ranks have the direction of the difference."""
        return bool(np.sign(self.difference.value) == self.direction)

    @property
    def beyond_chance(self) -> bool:
        """Whether the choice of images does not explain the difference: interval and test agree, also in direction."""
        return self.by_interval and self.by_test and self.same_direction

    @property
    def p_text(self) -> str:
        """The p-value as written after a `p`: `= 0.012`, or `< 0.001`."""
        return "< 0.001" if self.p_value < 0.001 else f"= {self.p_value:.3f}"


class Spread(NamedTuple):
    """A mean with the sample standard deviation, which is `nan` for a single value."""

    mean: float
    deviation: float


def bootstrap_interval(
    metric: SegmentationMetric, states_by_seed: Sequence[States], *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return the mean of the value over seeds, with its 95 % percentile bootstrap interval over images.

    The images are resampled with replacement, and every seed's model is scored on the same resample. The interval
    covers only the choice of images, for these trained models. It does not cover what another seed would change.

    Args:
        metric: The metric that the states belong to.
        states_by_seed: For each seed the states of the same images in the same order; one element for a single run.
        resamples: Number of resamples. They are the rows of `default_rng(seed).integers(N, size=(resamples, N))`.
        seed: Seed of the resamples, unrelated to the training seeds.

    Raises:
        ValueError: there is no image, or the seeds differ in their number of images.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    return _interval(_values(metric, states_by_seed, _value, resamples=resamples, seed=seed))


def bootstrap_intervals_of_classes(
    metric: SegmentationMetric, states: States, *, resamples: int = 1000, seed: int = 0
) -> list[Interval]:
    """Return the value of each class, with its interval as from `bootstrap_interval`, for a single run.

    Args, Raises: as for `bootstrap_interval`. The list is empty if the metric has no values of classes.
    """
    values = _values(metric, [states], class_values, resamples=resamples, seed=seed)
    return [_interval(column) for column in values.T]


def paired_difference(
    metric: SegmentationMetric,
    states_by_seed: Sequence[States],
    other_states_by_seed: Sequence[States],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the first value minus the second, with its 95 % percentile bootstrap interval over images.

    Both are scored on the same resamples, so what makes an image hard for both cancels out, and the interval is often
    far narrower than those of the two values suggest. If it excludes 0, the two sets of trained models differ by more
    than the choice of images explains. It is an interval for one comparison: of twenty configurations that are in fact
    equal, one is expected to appear different.

    Args:
        metric: The metric that all states belong to.
        states_by_seed: For each seed the states of the first configuration, as in `bootstrap_interval`.
        other_states_by_seed: Those of the second configuration, on the same images in the same order. The number of
            seeds may differ.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Raises:
        ValueError: there is no image, or the states differ in their number of images.
    """
    _number_of_images([*states_by_seed, *other_states_by_seed])
    # The same seed gives both the same resamples.
    values = _values(metric, states_by_seed, _value, resamples=resamples, seed=seed)
    other_values = _values(metric, other_states_by_seed, _value, resamples=resamples, seed=seed)
    return _interval(values - other_values)


def paired_comparison(
    metric: SegmentationMetric,
    states_by_seed: Sequence[States],
    other_states_by_seed: Sequence[States],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two configurations on the same images in two ways that fail differently.

    The bootstrap interval is of the value itself, and so sensitive to a few images that differ a lot; Wilcoxon's test
    uses only which configuration is better on each image, and how this difference ranks among the others. A difference
    that both find, in the same direction, is seldom chance. Both are for one comparison, as with `paired_difference`.

    Args, Raises: as for `paired_difference`.

    Reference: Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1(6), 1945.
    """
    difference = paired_difference(metric, states_by_seed, other_states_by_seed, resamples=resamples, seed=seed)
    values, others = (
        np.mean([values_of_images(metric, states) for states in by_seed], axis=0)
        for by_seed in (states_by_seed, other_states_by_seed)
    )
    return Comparison(difference, signed_rank(values - others), rank_direction(values - others))


def signed_rank(differences: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 if nothing differs.

    Args:
        differences: One per image, [N]; those that are 0 or `nan` are ignored.
    """
    # The import takes a third of a second, and only a comparison needs it.
    from scipy.stats import wilcoxon

    different = _different(differences)
    return float(wilcoxon(different).pvalue) if different.size else 1.0


def rank_direction(differences: npt.NDArray[np.float64]) -> int:
    """Return 1 if the ranks of the positive differences sum to more than those of the negative, -1 if to less, else 0.

    Args:
        differences: As for `signed_rank`.
    """
    from scipy.stats import rankdata

    different = _different(differences)
    return int(np.sign(np.sum(np.sign(different) * rankdata(np.abs(different)))))


def _different(differences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    kept: npt.NDArray[np.float64] = differences[~np.isnan(differences) & (differences != 0)]
    return kept


def mean_and_spread(values: Sequence[float]) -> Spread:
    """Return the mean and the sample standard deviation (with n - 1) of the values of several seeds.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("no values: expected at least one")
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))


def _values(
    metric: SegmentationMetric,
    states_by_seed: Sequence[States],
    read: Callable[[SegmentationMetric], npt.NDArray[np.float64]],
    *,
    resamples: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Return the mean over seeds of what is read: first over the images themselves, then over each resample."""
    number = _number_of_images(states_by_seed)
    metric = holding_all(metric, states_by_seed[0])
    generator = np.random.default_rng(seed)
    means = []
    times_drawn = np.ones(number, dtype=np.int64)
    for _ in range(1 + resamples):
        values = []
        for states in states_by_seed:
            fill(metric, {name: np.tensordot(times_drawn, s, axes=1) for name, s in states.items()})
            values.append(read(metric))
        means.append(np.mean(values, axis=0))
        times_drawn = np.bincount(generator.integers(number, size=number), minlength=number)
    return np.array(means)


def _value(metric: SegmentationMetric) -> npt.NDArray[np.float64]:
    return np.array(metric.compute())


def _interval(values: npt.NDArray[np.float64]) -> Interval:
    # A resample of only images that are not counted has no value.
    resampled = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(resampled, _TAILS) if resampled.size else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def _number_of_images(states_by_seed: Sequence[States]) -> int:
    numbers = {len(state) for states in states_by_seed for state in states.values()}
    if len(numbers) != 1 or numbers == {0}:
        raise ValueError(f"the states have {sorted(numbers)} images: expected the same number, 1 or more")
    return numbers.pop()
