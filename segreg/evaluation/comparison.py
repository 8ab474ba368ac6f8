"""Two models on the same images: what differs, whether the difference is significant, and on which images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from segreg.errors import counted, printable
from segreg.evaluation.scores import Scores
from segreg.registry import higher_is_better
from segreg.scoring.statistics import Comparison
from segreg.support.files import write_csv
from segreg.support.render import without_frame, write_figure

# Images named at either end of the plot.
_NAMED = 3


def in_words(metric: str, one: Scores, other: Scores, comparison: Comparison) -> str:
    """Say which model is better by a metric, by how much, and whether the difference is significant."""
    images = f"on the same {counted(len(one.names), 'image')}"
    difference, low, high = comparison.difference
    if np.isnan(difference):
        return f"{metric} has no value {images}"
    if difference == 0:
        return f"{one.label} and {other.label} have the same {metric} {images}"
    higher = higher_is_better(metric)
    better, worse = (one, other) if (difference > 0) == higher else (other, one)
    if difference < 0:
        difference, low, high = -difference, -high, -low
    which = "a higher" if higher else "a lower (better)"
    return (
        f"{better.label} has {which} {metric} than {worse.label} by {difference:.3f} [{low:.3f}, {high:.3f}] "
        f"{images}; Wilcoxon p {comparison.p_text}: {verdict(comparison)}"
    )


def verdict(comparison: Comparison) -> str:
    """Say what follows from the interval and the test together."""
    if comparison.beyond_chance:
        return "significant"
    if comparison.by_interval and comparison.by_test:
        return (
            "the two tests point in opposite directions: the interval excludes 0, but Wilcoxon's test favours the "
            "other model, so that a few images with large differences decide the value"
        )
    if comparison.by_interval:
        return (
            "the two tests disagree: the interval excludes 0, but Wilcoxon's test finds no trend over the images, "
            "so that a few of them may decide"
        )
    if comparison.by_test:
        model = "the same model" if comparison.same_direction else "the other model"
        return (
            f"the two tests disagree: Wilcoxon's test favours {model}, but the interval includes 0, so that the sign "
            "of the difference is uncertain"
        )
    return "not significant"


def write_comparison(path: Path, comparisons: Mapping[str, Comparison]) -> None:
    """Write one row per metric: the first model minus the second."""
    header = ("metric", "difference", "low", "high", "wilcoxon_p", "verdict")
    rows = [
        (metric, *(f"{each:.6g}" for each in (*comparison.difference, comparison.p_value)), verdict(comparison))
        for metric, comparison in comparisons.items()
    ]
    write_csv(path, header, rows)


def plot_comparison(path: Path, metric: str, one: Scores, other: Scores, comparison: Comparison) -> None:
    """Draw the first metric image by image: one model over the other, and the differences in order.

    Nothing is drawn if no image has a value for both.
    """
    values, others = one.metrics[metric].images, other.metrics[metric].images
    counted = np.flatnonzero(~np.isnan(values) & ~np.isnan(others))
    if not counted.size:
        return
    order = counted[np.argsort((values - others)[counted], kind="stable")]
    differences = (values - others)[order]
    better = differences > 0 if higher_is_better(metric) else differences < 0
    colors = np.where(differences == 0, "0.6", np.where(better, "tab:blue", "tab:red"))
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    limits = np.array([min(values[order].min(), others[order].min()), max(values[order].max(), others[order].max())])
    left.plot(limits, limits, "--", color="0.6", linewidth=1)
    left.scatter(others[order], values[order], c=colors, s=16, alpha=0.8)
    left.set_xlabel(f"{metric}, second model", parse_math=False)
    left.set_ylabel(f"{metric}, first model", parse_math=False)
    left.set_title("one dot per image", fontsize=9)
    right.scatter(range(len(order)), differences, c=colors, s=16, alpha=0.8)
    right.axhline(0, color="0.6", linewidth=1)
    mean, low, high = comparison.difference
    right.axhspan(low, high, color="0.5", alpha=0.2, label=f"difference {mean:+.3f} with 95 % interval")
    right.axhline(mean, color="0.3", linewidth=1)
    names = [printable(one.names[place])[-24:] for place in order]
    ends = f"leftmost: {', '.join(names[:_NAMED])}\nrightmost: {', '.join(names[: -_NAMED - 1 : -1])}"
    right.set_xlabel(f"images, sorted by difference\n{ends}", fontsize=8, parse_math=False)
    right.set_ylabel(f"{metric}: first minus second", parse_math=False)
    right.set_title("blue: the first is better; red: the second", fontsize=9)
    right.legend(frameon=False, fontsize=8, loc="upper left")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        without_frame(axes)
    figure.suptitle(f"{metric}: {one.label} (the first) and {other.label} (the second)", fontsize=10, parse_math=False)
    write_figure(path, figure)
