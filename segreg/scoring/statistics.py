"""Error bars for a table of results: intervals over images, spreads over seeds, and paired differences of two rows.

A metric is the sum of what it saw of each image (see `contracts.SegmentationMetric`). So the states of single images,
kept once, give the value over any resample of the images without a second look at an image.

The two kinds of error bar answer different questions. An interval over images says how much the value would move if
other images had been drawn from the same source, with the trained weights as they are. A spread over seeds says how
much it moves if training is repeated, with the images as they are. Neither covers another source of images, another
annotator, or the optimism of a value on images by which the weights were chosen.
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
    """How two rows differ on the same images.

    Attributes:
        difference: The first value minus the second, with its 95 % bootstrap interval over images.
        p_value: Of Wilcoxon's signed-rank test on the values of single images, two-sided.
        direction: Of the signed ranks: 1 if the images lean towards a higher first value, -1 towards a lower one, else
            0. A few images can pull the difference the other way.
    """

    difference: Interval
    p_value: float
    direction: int

    @property
    def by_interval(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def by_test(self) -> bool:
        """Whether Wilcoxon's test finds more than one would by chance in twenty."""
        return self.p_value < _LEVEL

    @property
    def same_direction(self) -> bool:
        """Whether the images lean the way of the difference."""
        return bool(np.sign(self.difference.value) == self.direction)

    @property
    def beyond_chance(self) -> bool:
        """Whether the choice of images does not explain the difference: interval and test agree, in direction too."""
        return self.by_interval and self.by_test and self.same_direction

    @property
    def p_text(self) -> str:
        """The p-value as one writes it behind a `p`: `= 0.012`, or `< 0.001`."""
        return "< 0.001" if self.p_value < 0.001 else f"= {self.p_value:.3f}"


class Spread(NamedTuple):
    """A mean with the sample standard deviation, which is `nan` if there was one value."""

    mean: float
    deviation: float


def bootstrap_interval(
    metric: SegmentationMetric, states_by_seed: Sequence[States], *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return the mean of the value over seeds, with its 95 % percentile bootstrap interval over images.

    The images are resampled with replacement, and every seed's model is scored on the same resample. The interval
    covers the choice of images alone, for these trained models. What another seed would change, it does not cover.

    Args:
        metric: The metric that the states are of.
        states_by_seed: For each seed the states of the same images in the same order; one element for a single run.
        resamples: Number of resamples. They are the rows of `default_rng(seed).integers(N, size=(resamples, N))`.
        seed: Seed of the resamples, unrelated to those of the training.

    Raises:
        ValueError: there is no image, or the seeds differ in their number.

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
    far narrower than those of the two values suggest. If it leaves out 0, the two sets of trained models differ by more
    than the choice of images explains. It is an interval for one comparison: of twenty rows that are equal in
    ground truth, one is expected to seem to differ.

    Args:
        metric: The metric that all states are of.
        states_by_seed: For each seed the states of the first row, as in `bootstrap_interval`.
        other_states_by_seed: The same of the second row, on the same images in the same order. The number of seeds may
            differ.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Raises:
        ValueError: there is no image, or the states differ in their number.
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
    """Compare two rows on the same images in two ways that fail differently.

    The bootstrap interval is of the value itself, and so swayed by a few images that differ much; Wilcoxon's test asks
    of every image only which row is ahead, and how this difference ranks among the others. What both call real, in
    the same direction, seldom is chance. Both are of one comparison, as `paired_difference` says.

    Args, Raises: as for `paired_difference`.

    Reference: Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1(6), 1945.
    """
    difference = paired_difference(metric, states_by_seed, other_states_by_seed, resamples=resamples, seed=seed)
    values, others = (
        np.mean([values_of_images(metric, states) for states in rows], axis=0)
        for rows in (states_by_seed, other_states_by_seed)
    )
    return Comparison(difference, signed_rank(values - others), rank_direction(values - others))


def signed_rank(differences: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 if nothing differs.

    Args:
        differences: One an image, [N]; those that are 0 or `nan` count for nothing.
    """
    # A third of a second that only a comparison needs.
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
        raise ValueError("there is no value to take the mean of")
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))


def _values(
    metric: SegmentationMetric,
    states_by_seed: Sequence[States],
    read: Callable[[SegmentationMetric], npt.NDArray[np.float64]],
    *,
    resamples: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Return the mean over seeds of what is read: first over the images as they are, then over each resample."""
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
    # A resample of nothing but images that are not counted has no value.
    resampled = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(resampled, _TAILS) if resampled.size else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def _number_of_images(states_by_seed: Sequence[States]) -> int:
    numbers = {len(state) for states in states_by_seed for state in states.values()}
    if len(numbers) != 1 or numbers == {0}:
        raise ValueError(f"the states must be of the same images, one or more, but have {sorted(numbers)} images")
    return numbers.pop()
