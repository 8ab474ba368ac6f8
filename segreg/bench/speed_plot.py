"""The plot of `segreg bench`."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from segreg.bench.timing import Timings
from segreg.support.render import without_frame, write_figure


def plot_speed(path: Path, found: Sequence[Timings]) -> None:
    """Draw images per second as bars, with what the convolutions alone would reach as an outline."""
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    for row, each in enumerate(found):
        color = "tab:blue" if each.workload.how == "segreg" else "tab:gray"
        limit = each.images_per_second / each.of_convolutions[0] if each.of_convolutions[0] else 0
        axes.barh(
            row, limit, color="none", edgecolor="0.6", linewidth=0.8, label="" if row else "its convolutions alone"
        )
        axes.barh(row, each.images_per_second, color=color)
        axes.annotate(
            f" {each.images_per_second:.3g}  (×{each.speed[0]:.2f})",
            (max(each.images_per_second, limit), row),
            va="center",
            size=8,
        )
    axes.set_yticks(range(len(found)), [f"{each.workload.model}\n{each.workload.how}" for each in found], size=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    without_frame(axes)
    axes.set_xlabel(f"images/s, {'training' if found[0].workload.training else 'prediction'}")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    write_figure(path, figure, dpi=150)
