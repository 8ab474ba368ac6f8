"""TensorBoard."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segreg.errors import PluginError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes what TensorBoard shows into the folder `tensorboard` of the run.

    Curves are called `loss/train`, `loss/valid`, `iou/valid` and so on, with the epoch as the step. Settings and
    results are there as text, and together under HParams; sample images under Images.

    Raises:
        PluginError: the package `tensorboard` is not installed.

    Reference: https://www.tensorflow.org/tensorboard
    """

    def __init__(self) -> None:
        if not find_spec("tensorboard"):
            raise PluginError("tracker 'tensorboard' needs a package: pip install tensorboard")
        self._writer: SummaryWriter | None = None
        self._recipe: Mapping[str, Any] = {}
        self._last = 0

    def begin(self, directory: Path, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """Start a log file that replaces earlier ones, with the epochs that are already done."""
        from torch.utils.tensorboard import SummaryWriter

        self._recipe = recipe
        folder = directory / "tensorboard"
        # A link may lead to someone else's logs.
        earlier = [] if folder.is_symlink() else list(folder.glob("events.out.tfevents.*"))
        # A TensorBoard that is running drops what it has read from this step on.
        self._writer = SummaryWriter(str(folder), purge_step=0)
        self._writer.add_text("recipe", _listed(recipe), 0)
        for row in rows:
            self._add(row)
        self._writer.flush()
        for path in earlier:
            path.unlink(missing_ok=True)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Add an epoch to the curves."""
        self._add(row)
        self._open.flush()

    def finish(self, results: Mapping[str, Any], images: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Add the results and the images."""
        from torch.utils.tensorboard.summary import hparams

        values = {
            f"best/{metric}/{split}": value
            for split, metrics in results["metrics"].items()
            for metric, value in metrics.items()
            if value is not None
        }
        for tag, value in values.items():
            self._open.add_scalar(tag, value, self._last)
        settings = {
            name: value if isinstance(value, int | float) else _text(value) for name, value in self._recipe.items()
        }
        for summary in hparams(settings, values):  # type: ignore[no-untyped-call]
            self._open._get_file_writer().add_summary(summary, self._last)  # type: ignore[no-untyped-call]
        self._open.add_text("results", _listed(results), self._last)
        for name, image in images.items():
            self._open.add_image(f"image, ground truth, prediction/{name}", image, self._last, dataformats="HWC")

    def close(self) -> None:
        """Flush everything to disk."""
        if self._writer:
            self._writer.close()

    @property
    def _open(self) -> "SummaryWriter":
        assert self._writer is not None, "begin must be called first"
        return self._writer

    def _add(self, row: Mapping[str, float]) -> None:
        self._last = int(row["epoch"])
        for name, value in row.items():
            split, _, quantity = name.partition("_")
            if split in ("train", "valid"):
                name = f"{quantity}/{split}"
            if name != "epoch":
                self._open.add_scalar(name, value, self._last)


def _listed(table: Mapping[str, Any]) -> str:
    """Write a table as a list in Markdown, with its values as code."""
    return "\n".join(f"- {name}: `{_text(value)}`" for name, value in table.items())


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
