"""The images on which a model is worst."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from segreg.data.decode import resized
from segreg.data.image_files import Pixels
from segreg.errors import printable
from segreg.runs.worst_cases import WorstCase
from segreg.support.render import draw_border, overlay, palette, rgb_view, write_figure
from segreg.task import task_of

_MAX_CASES = 10
_COLUMNS = 5
_LONGEST_SIDE = 360


class Worst:
    """The ten worst of the images seen so far, worst first, shrunk to be kept in memory.

    Args:
        higher_is_better: Whether of two values the higher one is better.
    """

    def __init__(self, higher_is_better: bool) -> None:
        self.cases: list[WorstCase] = []
        self._sign = 1 if higher_is_better else -1

    def add(self, name: str, value: float, image: Pixels, ground_truth: Pixels, predicted: Pixels) -> None:
        """Add an image; one without a value is ignored."""
        if math.isnan(value):
            return
        if len(self.cases) == _MAX_CASES and self._sign * value >= self._sign * self.cases[-1].value:
            return
        size = _small(image.shape[0], image.shape[1])
        self.cases.append(
            WorstCase(
                name,
                value,
                resized(image, size, Image.Resampling.BILINEAR),
                *(
                    resized(each[..., None], size, Image.Resampling.NEAREST)[..., 0]
                    for each in (ground_truth, predicted)
                ),
            )
        )
        self.cases.sort(key=lambda case: self._sign * case.value)
        del self.cases[_MAX_CASES:]


def plot_worst(path: Path, title: str, cases: Sequence[WorstCase], classes: Sequence[str]) -> None:
    """Draw each case: the prediction as a tint, the borders of the ground truth as lines, its name and value.

    Args:
        path: The file to write.
        title: Title of the plot.
        cases: The images.
        classes: One name for a binary task, else one per class.
    """
    task = task_of(len(classes))
    columns = min(_COLUMNS, len(cases))
    rows = math.ceil(len(cases) / columns)
    tallest = max(case.image.shape[0] / case.image.shape[1] for case in cases)
    legend = 0 if task.single_class else 0.4
    height = (2.6 * min(tallest, 1.5) + 0.45) * rows + 0.5 + legend
    figure = Figure(figsize=(2.6 * columns, height), layout="constrained")
    for axes, case in zip(figure.subplots(rows, columns, squeeze=False).flat, cases, strict=False):
        image = rgb_view(case.image)
        axes.imshow(overlay(image, case.prediction, task), interpolation="nearest")
        for label in task.class_indices:
            draw_border(axes, case.ground_truth == label, width=1.2 if task.single_class else 0.7)
        axes.set_title(f"{_shortened(case.name)}\n{case.value:.3f}", fontsize=8, parse_math=False)
    for axes in figure.axes:
        axes.set_axis_off()
    figure.suptitle(f"{title}\ntint: prediction; lines: borders of the ground truth", fontsize=10, parse_math=False)
    if not task.single_class:
        seen = sorted({int(label) for case in cases for label in np.unique(case.prediction)})
        patches = [Patch(color=palette(task)[label] / 255, label=_shortened(classes[label])) for label in seen]
        figure.legend(handles=patches, loc="outside lower center", ncols=8, frameon=False, fontsize=8)
    write_figure(path, figure)


def _small(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shortened(name: str) -> str:
    """Keep the end of a long name, which distinguishes images."""
    name = printable(name)
    return name if len(name) <= 28 else f"…{name[-27:]}"
