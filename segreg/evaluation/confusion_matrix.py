"""Which class is confused with which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from segreg.support.files import write_csv
from segreg.support.render import write_figure

# With more classes, numbers in the cells would be unreadable.
_MAX_CLASSES_WITH_NUMBERS = 20

# With more classes, the cells shrink instead of the plot growing.
_MAX_CLASSES_AT_FULL_SIZE = 40


def confusion_matrix(
    ground_truth: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8], classes: int
) -> npt.NDArray[np.int64]:
    """Count pixels by class: rows are true classes, columns predicted ones.

    Shapes:
        ground_truth, predicted: uint8 [N];  returns: int64 [classes, classes].
    """
    cells = ground_truth.astype(np.intp) * classes + predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def write_confusions(path: Path, matrix: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    """Write the counts, one row per true class."""
    write_csv(path, ["true class", *names], [[name, *row] for name, row in zip(names, matrix.tolist(), strict=True)])


def plot_confusions(path: Path, label: str, matrix: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    """Draw the matrix: each cell's share of its row, and the number of pixels below it."""
    totals = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    side = 2.6 + 0.62 * min(len(names), _MAX_CLASSES_AT_FULL_SIZE)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, fraction=0.046, label="share of the row")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(names)), names, fontsize=min(9, 50 * side / len(names)), parse_math=False)
    axes.tick_params(axis="x", rotation=45 if len(names) > 2 else 0)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(label, fontsize=10, parse_math=False)
    if len(names) <= _MAX_CLASSES_WITH_NUMBERS:
        for row, column in np.argwhere(matrix):
            share = shares[row, column]
            text = f"{share:.1%}\n{_short(int(matrix[row, column]))}"
            color = "white" if share > 0.5 else "0.2"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    write_figure(path, figure)


def _short(count: int) -> str:
    """Write 1234567 as 1.2M."""
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return str(count)
