"""How images and masks look, wherever they are drawn: colours, overlays, borders, and their files."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from segreg.support.files import replacing
from segreg.task import IGNORE_INDEX, Task

Pixels = npt.NDArray[np.uint8]

TINT = np.array((0, 190, 120), np.uint8)
"""The colour laid over the single class in an image."""

_CLASS_COLORS = (np.array(colormaps["tab20"].colors) * 255).astype(np.uint8)  # type: ignore[attr-defined]
_GREY = 128


def palette(task: Task) -> Pixels:
    """Return the colour of each value of a mask, uint8 [256, 3].

    A single class is white on black, and ignored pixels are grey. Several classes have one colour each, and ignored
    pixels are black.
    """
    colors = np.resize(_CLASS_COLORS, (256, 3))
    colors[IGNORE_INDEX] = 0
    if task.black_and_white:
        colors[:] = 0
        colors[1], colors[IGNORE_INDEX] = 255, _GREY
    return colors


def rgb_view(image: Pixels) -> Pixels:
    """Return an image for display; if it does not have three channels, its first one is shown.

    Shapes:
        image: uint8 [H, W, C];  returns: uint8 [H, W, 3].
    """
    return image if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2)


def overlay(image: Pixels, classes: Pixels, task: Task) -> Pixels:
    """Lay classes over an image: a single one as a tint, several in one colour each.

    Shapes:
        image: uint8 [H, W, 3];  classes: uint8 [H, W];  returns: uint8 [H, W, 3].
    """
    if task.single_class:
        return np.where((classes == 1)[..., None], 0.55 * image + 0.45 * TINT, image).astype(np.uint8)
    return (0.35 * image + 0.65 * palette(task)[classes]).astype(np.uint8)


def borders(classes: npt.NDArray[np.uint8 | np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels that have a neighbour of another class above, below, left or right, bool [H, W]."""
    found = np.zeros(classes.shape, dtype=bool)
    for axis in (0, 1):
        one, other = (np.moveaxis(each, axis, 0) for each in (found, classes))
        changes = other[1:] != other[:-1]
        one[1:] |= changes
        one[:-1] |= changes
    return found


def draw_border(axes: Axes, region: npt.NDArray[np.bool_], width: float = 1.2) -> None:
    """Draw the border of a region as a white line."""
    # A line of pixels has no contour.
    if min(region.shape) > 1 and region.any() and not region.all():
        axes.contour(region, levels=[0.5], colors="white", linewidths=width)


def write_mask(path: Path, classes: Pixels, task: Task) -> None:
    """Write classes as a PNG of indices, uint8 [H, W], in the colours of the palette.

    Raises:
        RunError: it cannot be written.
    """
    mask = Image.fromarray(classes, "P")
    mask.putpalette(palette(task).tobytes())
    with replacing(path) as aside:
        mask.save(aside)


def write_figure(path: Path, figure: Figure, dpi: int = 110) -> None:
    """Write a figure, completely or not at all.

    Raises:
        RunError: it cannot be written.
    """
    with replacing(path) as aside:
        figure.savefig(aside, dpi=dpi)


def without_frame(axes: Axes) -> None:
    """Leave out the lines above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)
