"""Calibration: whether 80 % of the pixels are correct that a model predicts with 80 % confidence."""

from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from segreg.support.files import write_csv
from segreg.support.render import without_frame, write_figure

# As in the paper.
_BINS = 15


@attrs.frozen(eq=False)
class Calibration:
    """Pixels in bins of equal width by confidence, the probability of the predicted class.

    Bin m of M holds the confidences in ((m - 1) / M, m / M].

    Args:
        pixels: Number of pixels, int64 [M].
        confidence: Sum of their confidences, float64 [M].
        correct: Number of them that are correct, int64 [M].

    Reference: Guo et al., On Calibration of Modern Neural Networks, 2017, arXiv:1706.04599.
    """

    pixels: npt.NDArray[np.int64] = attrs.field(factory=lambda: np.zeros(_BINS, dtype=np.int64))
    confidence: npt.NDArray[np.float64] = attrs.field(factory=lambda: np.zeros(_BINS))
    correct: npt.NDArray[np.int64] = attrs.field(factory=lambda: np.zeros(_BINS, dtype=np.int64))

    def add(self, confidence: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_]) -> None:
        """Add pixels.

        Shapes:
            confidence: float32 [N] in [0, 1];  correct: bool [N].
        """
        places = np.clip(np.ceil(confidence.astype(np.float64) * _BINS).astype(np.intp) - 1, 0, _BINS - 1)
        self.pixels[:] += np.bincount(places, minlength=_BINS)
        self.confidence[:] += np.bincount(places, weights=confidence, minlength=_BINS)
        self.correct[:] += np.bincount(places[correct], minlength=_BINS)

    @property
    def error(self) -> float:
        """The expected calibration error, eq. 3: the mean gap between confidence and accuracy; `nan` without pixels."""
        total = self.pixels.sum()
        return float(np.abs(self.correct - self.confidence).sum() / total) if total else float("nan")

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """The edges of the bins, [M + 1]."""
        return np.linspace(0, 1, _BINS + 1)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write one row per non-empty bin: its edges, number of pixels, mean confidence and accuracy."""
    rows = [
        (f"{low:.4f}", f"{high:.4f}", pixels, f"{confidence / pixels:.6g}", f"{correct / pixels:.6g}")
        for low, high, pixels, confidence, correct in zip(
            calibration.edges[:-1],
            calibration.edges[1:],
            calibration.pixels,
            calibration.confidence,
            calibration.correct,
            strict=True,
        )
        if pixels
    ]
    write_csv(path, ("above", "up_to", "pixels", "confidence", "accuracy"), rows)


def plot_calibration(path: Path, label: str, calibration: Calibration, lowest: float) -> None:
    """Draw a reliability diagram: the accuracy of each bin over its confidence, and its share of the pixels.

    Args:
        path: The file to write.
        label: The model.
        calibration: What to draw.
        lowest: The lowest possible confidence: 1 / number of classes.
    """
    filled = calibration.pixels > 0
    pixels = calibration.pixels[filled]
    confidence, accuracy = calibration.confidence[filled] / pixels, calibration.correct[filled] / pixels
    figure = Figure(figsize=(5.2, 6.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1, label="perfect calibration")
    above.vlines(confidence, accuracy, confidence, color="tab:red", alpha=0.5, linewidth=5, label="gap")
    above.plot(confidence, accuracy, "o-", color="tab:blue", markersize=5, label="model")
    above.set(ylabel="accuracy", ylim=(0, 1.02))
    above.set_title(f"{label}\nexpected calibration error {calibration.error:.3f}", fontsize=10, parse_math=False)
    above.legend(frameon=False, fontsize=8, loc="lower right")
    share = calibration.pixels / pixels.sum()
    below.bar(calibration.edges[:-1], share, width=1 / _BINS, align="edge", color="0.7", edgecolor="white")
    below.yaxis.set_major_formatter(PercentFormatter(1, 0))
    below.set(xlabel="confidence: probability of the predicted class", ylabel="share of pixels", xlim=(lowest, 1))
    for axes in (above, below):
        axes.grid(alpha=0.25)
        without_frame(axes)
    write_figure(path, figure)
