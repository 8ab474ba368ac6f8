"""The plots of one run, or of several side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from segreg.runs.history import EpochRecord, column_name
from segreg.support.render import draw_border, overlay, rgb_view, without_frame, write_figure
from segreg.task import Task

_COLORS = colormaps["tab10"].colors  # type: ignore[attr-defined]


def plot_curves(path: Path, histories: Mapping[str, Sequence[Sequence[EpochRecord]]], metric: str) -> None:
    """Plot loss and metric over the epochs: validation as a solid line, training as a dotted one.

    Args:
        path: The file to write.
        histories: The histories of the runs by label; the runs of a label, one per seed, have one colour.
        metric: The metric to plot.
    """
    figure = Figure(figsize=(11, 4.2 + 0.12 * len(histories)), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        for index, (label, runs) in enumerate(histories.items()):
            color = _COLORS[index % len(_COLORS)]
            dash = "-" if index < len(_COLORS) else "-."
            axes.plot([], [], dash, color=color, label=_plain(label))
            for history in runs:
                epochs = [record["epoch"] for record in history]
                marker = "o" if len(history) == 1 else None
                for split, style, width in (("valid", dash, 1.6), ("train", ":", 1.1)):
                    values = [record[column_name(split, quantity)] for record in history]
                    axes.plot(epochs, values, style, color=color, linewidth=width, marker=marker)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", title=_plain(quantity))
        axes.grid(alpha=0.25)
        without_frame(axes)
    losses = [
        record[column_name(split, "loss")]
        for runs in histories.values()
        for history in runs
        for record in history
        for split in ("train", "valid")
    ]
    # Some losses reach 0 or less.
    if min(losses, default=1) > 0:
        figure.axes[0].set_yscale("log")
    figure.axes[0].plot([], [], "-", color="gray", label="validation")
    figure.axes[0].plot([], [], ":", color="gray", label="training (augmented images)")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    write_figure(path, figure)


def plot_samples(path: Path, samples: Mapping[str, Tensor], predictions: Mapping[str, Tensor], task: Task) -> None:
    """Draw a few images, each with the ground truth and the predictions of the models.

    With one class, the prediction is a tint and the border of the ground truth a white line; otherwise each class has
    its colour.

    Args:
        path: The file to write.
        samples: `images` uint8 [n, H, W, C] and `masks` uint8 [n, H, W].
        predictions: uint8 [n, H, W] per model, by its label.
        task: The meaning of the classes.
    """
    images, masks = samples["images"].numpy(), samples["masks"].numpy()
    columns = {"image": None, "ground truth": masks, **{label: each.numpy() for label, each in predictions.items()}}
    height, width = images.shape[1:3]
    figure = Figure(
        figsize=(1.7 * len(columns), (1.7 * height / width) * len(images) + 0.6), layout="constrained", dpi=110
    )
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for row, image in enumerate(images):
        view = rgb_view(image)
        for axes, (label, classes) in zip(grid[row], columns.items(), strict=True):
            shown = view if classes is None else overlay(view, classes[row], task)
            axes.imshow(shown, interpolation="nearest")
            axes.set_axis_off()
            if classes is not None and task.single_class:
                draw_border(axes, masks[row] == 1)
            if row == 0:
                axes.set_title(_plain(label).replace(" · ", "\n"), fontsize=8, wrap=True)
    write_figure(path, figure)


def _plain(text: str) -> str:
    """Keep dollar signs in an option's value from being read as math text."""
    return text.replace("$", r"\$")
