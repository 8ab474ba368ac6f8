"""Intervals against a bootstrap in loops over the images themselves, closed forms, and their coverage."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segreg.builtins.metrics.accuracy import Accuracy
from segreg.builtins.metrics.iou import IoU
from segreg.scoring.metric_states import image_states
from segreg.scoring.statistics import (
    Interval,
    bootstrap_interval,
    bootstrap_intervals_of_classes,
    mean_and_spread,
    paired_comparison,
    paired_difference,
    signed_rank,
)

each_metric = pytest.mark.parametrize(
    "metric",
    [
        IoU(num_classes=1, average="image"),
        IoU(num_classes=1, average="dataset"),
        IoU(num_classes=3, average="image"),
        Accuracy(num_classes=3, average="dataset"),
    ],
    ids=["image", "dataset", "classes", "accuracy"],
)


def random_images(num_classes: int, images: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, num_classes, 6, 6, generator=generator)
    logits += torch.randn(images, num_classes, 1, 1, generator=generator)
    return logits, torch.randint(0, max(num_classes, 2), (images, 6, 6), generator=generator)


def states_of_scores(scores) -> dict[str, np.ndarray]:
    """The state of a per-image binary IoU for images with these scores."""
    fixed_point = np.round(np.asarray(scores) * 2**30).astype(np.int64)[:, None]
    return {"score": fixed_point, "images": np.ones_like(fixed_point)}


def value_in_one_go(metric, logits: Tensor, target: Tensor) -> float:
    fresh = type(metric)(num_classes=metric.num_classes, average=metric.average)
    fresh.update(logits, target)
    return fresh.compute()


def test_the_interval_of_a_class_is_that_of_its_values() -> None:
    logits, target = random_images(3, 9, seed=2)
    metric = IoU(num_classes=3)
    states = image_states(metric, logits, target)
    values = np.array([value_of_classes(logits[i : i + 1], target[i : i + 1]) for i in range(9)])
    draws = [values, *(values[row] for row in np.random.default_rng(5).integers(9, size=(200, 9)))]
    means = np.array([np.nanmean(draw, axis=0) for draw in draws])
    found = bootstrap_intervals_of_classes(metric, states, resamples=200, seed=5)
    for interval, column in zip(found, means.T, strict=True):
        assert interval == pytest.approx((column[0], *np.quantile(column[1:], [0.025, 0.975])))
    for other in (IoU(num_classes=1), Accuracy(num_classes=3)):
        logits, target = random_images(other.num_classes, 9, seed=2)
        assert bootstrap_intervals_of_classes(other, image_states(other, logits, target), resamples=3) == []


def value_of_classes(logits: Tensor, target: Tensor) -> list[float]:
    metric = IoU(num_classes=3)
    metric.update(logits, target)
    return metric.per_class().tolist()


def test_the_metric_is_unchanged() -> None:
    logits, target = random_images(1, 5, seed=1)
    metric = IoU(num_classes=1)
    metric.update(logits[:2], target[:2])
    before = metric.compute()
    bootstrap_interval(metric, [image_states(metric, logits[2:], target[2:])], resamples=3)
    assert metric.compute() == before


@each_metric
def test_interval_matches_a_bootstrap_in_loops(metric) -> None:
    images, resamples = 9, 40
    runs = [random_images(metric.num_classes, images, seed=s) for s in (2, 3)]
    target = runs[0][1]
    states_by_seed = [image_states(metric, logits, target) for logits, _ in runs]

    resampled = []
    for drawn in np.random.default_rng(11).integers(images, size=(resamples, images)):
        resampled.append(np.mean([value_in_one_go(metric, logits[drawn], target[drawn]) for logits, _ in runs]))

    interval = bootstrap_interval(metric, states_by_seed, resamples=resamples, seed=11)
    assert interval.value == np.mean([value_in_one_go(metric, logits, target) for logits, _ in runs])
    np.testing.assert_allclose(interval[1:], np.quantile(resampled, [0.025, 0.975]), rtol=1e-12)
    assert interval.low < interval.value < interval.high


def test_difference_matches_a_paired_bootstrap_in_loops() -> None:
    metric, images, resamples = IoU(num_classes=3, average="dataset"), 8, 30
    target = random_images(3, images, seed=4)[1]
    row, other = ([random_images(3, images, seed=s)[0] for s in seeds] for seeds in ((5, 6, 7), (8, 9)))

    def difference(drawn) -> float:
        ours, theirs = (
            np.mean([value_in_one_go(metric, logits[drawn], target[drawn]) for logits in runs]) for runs in (row, other)
        )
        return ours - theirs

    draws = np.random.default_rng(12).integers(images, size=(resamples, images))
    states, other_states = ([image_states(metric, logits, target) for logits in runs] for runs in (row, other))
    interval = paired_difference(metric, states, other_states, resamples=resamples, seed=12)
    assert interval.value == pytest.approx(difference(np.arange(images)), rel=1e-12)
    np.testing.assert_allclose(interval[1:], np.quantile([difference(d) for d in draws], [0.025, 0.975]), rtol=1e-9)


def test_identical_images_give_an_interval_of_width_zero() -> None:
    states = states_of_scores([0.75] * 10)
    assert bootstrap_interval(IoU(num_classes=1), [states], resamples=50) == Interval(0.75, 0.75, 0.75)


def test_a_constant_difference_gives_an_interval_of_width_zero_though_the_images_differ() -> None:
    scores = np.arange(8) / 16
    metric, low, high = IoU(num_classes=1), states_of_scores(scores), states_of_scores(scores + 0.25)
    assert paired_difference(metric, [high], [low], resamples=50) == Interval(0.25, 0.25, 0.25)
    assert paired_difference(metric, [low], [high], resamples=50) == Interval(-0.25, -0.25, -0.25)
    interval = bootstrap_interval(metric, [low], resamples=50)
    assert interval.high - interval.low > 0.1


def test_width_matches_the_normal_approximation_for_a_mean() -> None:
    scores = np.random.default_rng(0).beta(5, 2, size=300)
    interval = bootstrap_interval(IoU(num_classes=1), [states_of_scores(scores)])
    expected = 1.96 * scores.std() / math.sqrt(300)
    assert interval.value == pytest.approx(scores.mean(), abs=1e-8)
    assert interval.high - interval.value == pytest.approx(expected, rel=0.15)
    assert interval.value - interval.low == pytest.approx(expected, rel=0.15)


def test_interval_covers_the_true_mean_about_as_often_as_its_level_states() -> None:
    rng = np.random.default_rng(1)
    metric, covered, repeats = IoU(num_classes=1), 0, 200
    for _ in range(repeats):
        interval = bootstrap_interval(metric, [states_of_scores(rng.beta(5, 2, size=50))], resamples=200)
        covered += interval.low <= 5 / 7 <= interval.high
    # 95 %, minus the error of 200 repeats and of a percentile interval with so few images and resamples.
    assert 0.87 <= covered / repeats <= 0.99


def test_several_seeds_narrow_the_interval_only_by_what_is_not_shared() -> None:
    rng = np.random.default_rng(2)
    difficulty = rng.uniform(0.2, 0.8, size=100)
    shared = [states_of_scores(difficulty)] * 4
    separate = [states_of_scores(rng.permutation(difficulty)) for _ in range(4)]
    width = {}
    for name, states in {"one": shared[:1], "shared": shared, "separate": separate}.items():
        interval = bootstrap_interval(IoU(num_classes=1), states)
        width[name] = interval.high - interval.low
    assert width["shared"] == pytest.approx(width["one"], rel=1e-9)
    assert width["separate"] == pytest.approx(width["one"] / 2, rel=0.25)


def test_the_seed_determines_the_interval() -> None:
    metric, states = IoU(num_classes=1), states_of_scores(np.linspace(0, 1, 20))
    assert bootstrap_interval(metric, [states], seed=1) == bootstrap_interval(metric, [states], seed=1)
    assert bootstrap_interval(metric, [states], seed=1) != bootstrap_interval(metric, [states], seed=2)


def test_images_without_a_value_are_not_counted() -> None:
    metric = IoU(num_classes=1)
    logits, target = random_images(1, 2, seed=3)
    target[1] = 255
    one_counts = bootstrap_interval(metric, [image_states(metric, logits, target)], resamples=50)
    assert one_counts == Interval(*[value_in_one_go(metric, logits[:1], target[:1])] * 3)
    none_counts = bootstrap_interval(metric, [image_states(metric, logits[1:], target[1:])], resamples=5)
    assert all(math.isnan(v) for v in none_counts)


@pytest.mark.parametrize(
    "states_by_seed",
    [[], [states_of_scores([])], [states_of_scores([0.5, 0.5]), states_of_scores([0.5])]],
    ids=["no seed", "no image", "other images"],
)
def test_states_that_cannot_be_resampled_are_refused(states_by_seed) -> None:
    metric = IoU(num_classes=1)
    with pytest.raises(ValueError, match="expected the same number, 1 or more"):
        bootstrap_interval(metric, states_by_seed)
    with pytest.raises(ValueError, match="expected the same number, 1 or more"):
        paired_difference(metric, [states_of_scores([0.5, 0.5])], states_by_seed)


def test_rows_of_different_images_are_not_compared() -> None:
    two, one = states_of_scores([0.5, 0.5]), states_of_scores([0.5])
    with pytest.raises(ValueError, match=r"have \[1, 2\] images"):
        paired_difference(IoU(num_classes=1), [two], [one])


@pytest.mark.filterwarnings("error")
def test_mean_and_spread() -> None:
    mean, deviation = mean_and_spread([0.8, 0.9, 0.7])
    assert mean == pytest.approx(0.8)
    assert deviation == pytest.approx(0.1)
    one = mean_and_spread([0.8])
    assert one.mean == 0.8
    assert math.isnan(one.deviation)
    with pytest.raises(ValueError, match="no values"):
        mean_and_spread([])


def test_signed_rank_is_the_share_of_signs_at_least_as_extreme() -> None:
    """Under the null hypothesis every sign is a coin toss: for few images all outcomes can be enumerated."""
    differences = np.array([0.3, -0.1, 0.25, 0.7, -0.05, 0.4, 0.6])
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    tosses = np.array(np.meshgrid(*[[0, 1]] * len(ranks))).reshape(len(ranks), -1)
    sums = ranks @ tosses
    seen = ranks[differences > 0].sum()
    extreme = np.abs(sums - ranks.sum() / 2) >= abs(seen - ranks.sum() / 2)
    assert signed_rank(differences) == pytest.approx(extreme.mean(), rel=1e-12)
    # Images without a value, and ties, change nothing.
    assert signed_rank(np.append(differences, [0.0, np.nan])) == signed_rank(differences)


def test_signed_rank_counts_all_signs_where_differences_tie() -> None:
    ranks = np.array([1, 2.5, 2.5, 4, 5.5, 5.5, 7])
    tosses = np.array(np.meshgrid(*[[0, 1]] * 7)).reshape(7, -1)
    extreme = np.abs(ranks @ tosses - 14) >= abs(ranks[1:].sum() - 14)
    assert signed_rank(np.array([-0.1, 0.2, 0.2, 0.3, 0.4, 0.4, 0.5])) == pytest.approx(extreme.mean(), rel=1e-12)
    # With five images it cannot be significant, as the guide states.
    assert signed_rank(np.full(5, 0.5)) == signed_rank(np.arange(1.0, 6.0)) == 2 / 2**5


def test_identical_rows_do_not_differ() -> None:
    metric = IoU(num_classes=1)
    states = states_of_scores([0.2, 0.5, 0.9])
    compared = paired_comparison(metric, [states], [states])
    assert compared.p_value == 1
    assert compared.direction == 0
    assert not compared.beyond_chance


def test_beyond_chance_requires_both_the_interval_and_the_test() -> None:
    metric, draw = IoU(num_classes=1), np.random.default_rng(0)
    other = draw.uniform(0.3, 0.7, 30)
    little = draw.normal(0.02, 0.01, 30)
    everywhere = paired_comparison(metric, [states_of_scores(other + little)], [states_of_scores(other)])
    assert everywhere.beyond_chance
    # A few images dominate the mean, and the others are as often ahead as behind.
    flips = np.where(np.arange(30) % 2, 0.001, -0.001) * np.linspace(1, 2, 30)
    flips[:5] = 0.25
    flips[5:12] = -0.002
    swayed = paired_comparison(metric, [states_of_scores(other + flips)], [states_of_scores(other)])
    assert swayed.difference.low > 0
    assert swayed.p_value > 0.05
    assert not swayed.beyond_chance


def test_an_interval_and_a_test_that_point_in_opposite_directions_do_not_agree() -> None:
    """Ahead by little on thirty images, and far behind on six, which dominate the mean."""
    metric, draw = IoU(num_classes=1), np.random.default_rng(0)
    other = draw.uniform(0.76, 0.9, 36)
    differences = np.append(draw.uniform(0.01, 0.02, 30), -draw.uniform(0.5, 0.75, 6))
    row, best = states_of_scores(other + differences), states_of_scores(other)
    for compared, sign in (
        (paired_comparison(metric, [row], [best]), 1),
        (paired_comparison(metric, [best], [row]), -1),
    ):
        assert compared.by_interval
        assert compared.by_test
        assert sign * compared.difference.high < 0 or sign * compared.difference.low < 0
        assert compared.direction == sign
        assert not compared.beyond_chance
