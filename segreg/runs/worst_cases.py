"""The validation images on which a run scores worst, kept as image files.

They are compressed, unlike `samples.safetensors`, so that every run of a study can keep them.
"""

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image

from segreg.data.image_files import read_image, read_mask
from segreg.errors import DataError
from segreg.runs.results_file import WorstImage
from segreg.runs.run import Run
from segreg.support.files import replacing, writing
from segreg.support.render import write_mask
from segreg.task import Task

WORST = 4


@attrs.frozen(eq=False)
class WorstCase:
    """An image with the ground truth and the prediction.

    Args:
        name: Name of the image.
        value: Value of the first metric on this image alone.
        image: uint8 [H, W, C], with C = 3 for `write_cases`.
        ground_truth: uint8 [H, W].
        prediction: uint8 [H, W].
    """

    name: str
    value: float
    image: npt.NDArray[np.uint8]
    ground_truth: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]


def worst_positions(values: npt.NDArray[np.float64], higher_is_better: bool) -> list[int]:
    """Return the positions of the worst finite values, the worst first."""
    order = np.argsort(values if higher_is_better else -values, kind="stable")
    return [int(position) for position in order if np.isfinite(values[position])][:WORST]


def write_cases(run: Run, cases: Sequence[WorstCase], task: Task) -> list[WorstImage]:
    """Write the images of cases into `worst/`, and return their entries for the results.

    Raises:
        RunError: they cannot be written there.
    """
    folder = run.path / "worst"
    with writing(folder):
        folder.mkdir(exist_ok=True)
    for number, case in enumerate(cases, 1):
        image, ground_truth, prediction = _files(run, number)
        with replacing(image) as aside:
            Image.fromarray(case.image).save(aside, quality=90)
        for path, classes in ((ground_truth, case.ground_truth), (prediction, case.prediction)):
            write_mask(path, classes, task)
    return [{"name": case.name, "value": case.value} for case in cases]


def read_cases(run: Run) -> list[WorstCase]:
    """Return the cases of a finished run, the worst first; none for a run of an earlier version.

    Raises:
        RunError: the results do not have the form that segreg writes.
    """
    results = run.results
    classes = len(results["classes"])
    cases = []
    for number, worst in enumerate(results["worst"][:WORST], 1):
        image, *masks = _files(run, number)
        try:
            shown = read_image(image)
            ground_truth, prediction = (
                read_mask(path, num_classes=classes, ignore_value=255, by_index=True) for path in masks
            )
        # Someone deleted files: the rest can still be shown.
        except DataError:
            continue
        if run.recipe.size == shown.shape[:2] == ground_truth.shape == prediction.shape:
            cases.append(WorstCase(worst["name"], worst["value"], shown, ground_truth, prediction))
    return cases


def _files(run: Run, number: int) -> tuple[Path, Path, Path]:
    folder = run.path / "worst"
    return folder / f"{number}.jpg", folder / f"{number}-ground-truth.png", folder / f"{number}-prediction.png"
