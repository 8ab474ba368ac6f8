"""The images of a report's page: what each configuration predicts, and what the best one is worst on."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segreg.errors import printable
from segreg.recipe import Recipe
from segreg.runs.worst_cases import read_cases
from segreg.studies.table import Configuration, best_configuration, sample_predictions
from segreg.support.render import TINT, borders, palette, rgb_view
from segreg.task import Task, task_of

_BORDER = 254
"""The palette index of the line around the ground truth, in images of one class."""


def galleries(configurations: Sequence[Configuration], recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Yield the sections with images: samples of every configuration, and the worst cases of the best one."""
    best = best_configuration(configurations)
    if not best:
        return
    classes = best.runs[0].results["classes"]
    task = task_of(len(classes))
    samples = best.runs[0].samples
    images, masks = (samples[name].numpy() for name in ("images", "masks"))
    predictions = sample_predictions(configurations, best.recipe.size)
    legend = "Tint: predicted object; white line: border of the ground truth." if task.single_class else ""
    yield {
        "title": "Predictions on validation images",
        "hint": f"Move the slider from the image through the ground truth to each prediction. {legend}",
        "classes": [] if task.single_class else _legend(classes),
        "height": images.shape[1],
        "width": images.shape[2],
        "images": [
            _image(
                rgb_view(image),
                masks[number],
                {printable(label): (each[number], "") for label, each in predictions.items()},
                task,
            )
            for number, image in enumerate(images)
        ],
    }
    cases = read_cases(best.runs[0])
    if not cases:
        return
    metric = recipe.metrics[0]
    seed = f" (seed {best.runs[0].recipe.seed})" if len(best.runs) > 1 else ""
    height, width = cases[0].ground_truth.shape
    yield {
        "title": "Worst cases",
        "hint": f"The validation images on which the best model, {printable(best.label)}{seed}, is worst by {metric}.",
        "height": height,
        "width": width,
        "large": True,
        "images": [
            _image(
                case.image,
                case.ground_truth,
                {printable(case.name): (case.prediction, f"{metric} {case.value:.3f}")},
                task,
            )
            for case in cases
        ],
    }


def _legend(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name and the colour of each class."""
    colors = palette(task_of(len(classes)))[: len(classes)].tolist()
    return [
        (printable(str(name)), "#{:02x}{:02x}{:02x}".format(*color))
        for name, color in zip(classes, colors, strict=True)
    ]


def _image(
    image: npt.NDArray[np.uint8],
    ground_truth: npt.NDArray[np.uint8],
    predictions: Mapping[str, tuple[npt.NDArray[np.uint8], str]],
    task: Task,
) -> dict[str, Any]:
    """Return an image, its ground truth, and a tile for each prediction, with its label and value."""
    region = ground_truth == 1
    border = borders(region) & region if task.single_class else np.zeros_like(region)
    return {
        "image": _encoded(Image.fromarray(image), "jpeg", quality=88),
        "ground_truth": _layer(ground_truth, border, task),
        "tiles": [
            {"label": label, "value": value, "prediction": _layer(classes, border, task)}
            for label, (classes, value) in predictions.items()
        ],
    }


def _layer(classes: npt.NDArray[np.uint8], border: npt.NDArray[np.bool_], task: Task) -> str:
    """Return classes as an image to be laid over another one, in the colours of `samples.png`."""
    colors, opacity = palette(task), np.zeros(256, np.uint8)
    if task.single_class:
        colors[1], opacity[1] = TINT, 115
        colors[_BORDER], opacity[_BORDER] = 255, 255
        classes = np.where(border, _BORDER, classes).astype(np.uint8)
    else:
        opacity[:] = 166
    layer = Image.fromarray(classes, "P")
    layer.putpalette(colors.ravel().tolist())
    return _encoded(layer, "png", transparency=opacity.tobytes(), optimize=True)


def _encoded(image: Image.Image, kind: str, **options: Any) -> str:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"
