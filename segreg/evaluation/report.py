"""The files of an evaluation: tables, plots, and a page that links them."""

from collections.abc import Sequence
from importlib.metadata import version
from math import isnan
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segreg.errors import printable
from segreg.evaluation.calibration import plot_calibration, write_calibration
from segreg.evaluation.comparison import plot_comparison, write_comparison
from segreg.evaluation.confusion_matrix import plot_confusions, write_confusions
from segreg.evaluation.result import Evaluation
from segreg.evaluation.scores import Scores
from segreg.evaluation.worst import plot_worst
from segreg.prediction.predictor import Predictor
from segreg.registry import higher_is_better
from segreg.scoring.statistics import Interval
from segreg.support.device import device_name
from segreg.support.files import slug, write_csv, write_text, writing
from segreg.support.markdown import code, escaped

_LIMITS = (
    "In brackets: 95 % bootstrap interval over the images. It says how much a value would vary with other images "
    "from the same source, for these trained weights; nothing about another source, another annotator or another "
    "seed.",
    "Calibration is computed over the pixels of all images together, so that large images count for more. Most pixels "
    "are easy: a small error does not mean that the model knows where it is wrong. Above the diagonal of the diagram "
    "it is underconfident, below it overconfident.",
    "Boundary distances are in pixels of each image at its own size.",
)
_LIMITS_OF_TWO = (
    "The bootstrap interval is of the difference itself; Wilcoxon's test looks at which model is better on which "
    "images. Each metric is tested by itself: of twenty that do not differ, one is expected to appear significant.",
    "They compare these two trained models. Whether the architectures or the losses differ takes runs with several "
    "seeds to tell (segreg compare --seeds 0 1 2).",
)


def table(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table: every metric of every model, with its interval."""
    rows = [
        [
            metric if higher_is_better(metric) else f"{metric} (lower is better)",
            *(_cell(model.metrics[metric].value) for model in evaluation.models),
        ]
        for metric in evaluation.models[0].metrics
    ]
    rows.append(
        [
            "expected calibration error (lower is better)",
            *(f"{model.calibration.error:.3f}" for model in evaluation.models),
        ]
    )
    return ["metric", *(model.label for model in evaluation.models)], rows


def class_table(model: Scores, classes: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table: every metric with per-class values, class by class."""
    metrics = {name: each.classes for name, each in model.metrics.items() if each.classes}
    rows = [[printable(name), *(_cell(each[row]) for each in metrics.values())] for row, name in enumerate(classes)]
    return ["class", *metrics], rows


def write_evaluation(evaluation: Evaluation, models: Sequence[tuple[Path, Predictor]]) -> None:
    """Write everything, the page last: a directory without it is not complete.

    Args:
        evaluation: The evaluation.
        models: The weights of each model, and how they predicted.
    """
    path = evaluation.path
    folders = [path]
    if len(evaluation.models) > 1:
        folders = [path / f"{number}-{slug(model.label)}" for number, model in enumerate(evaluation.models, 1)]
    for folder, model in zip(folders, evaluation.models, strict=True):
        _write_model(folder, evaluation, model)
    if evaluation.comparisons:
        first = next(iter(evaluation.comparisons))
        write_comparison(path / "comparison.csv", evaluation.comparisons)
        one, other = evaluation.models
        if not isnan(evaluation.comparisons[first].difference.value):
            plot_comparison(path / "comparison.png", first, one, other, evaluation.comparisons[first])
    write_text(path / "evaluation.md", _page(evaluation, models, folders))


def _write_model(folder: Path, evaluation: Evaluation, model: Scores) -> None:
    classes, task = evaluation.classes, evaluation.task
    with writing(folder):
        folder.mkdir(exist_ok=True)
    header, rows = _metric_rows(model, classes)
    write_csv(folder / "metrics.csv", header, rows)
    header, rows = _image_rows(model, classes, several_splits=evaluation.split == "all")
    write_csv(folder / "images.csv", header, rows)
    names = task.value_names(classes)
    write_confusions(folder / "confusion.csv", model.confusions, names)
    plot_confusions(folder / "confusion.png", model.label, model.confusions, names)
    write_calibration(folder / "calibration.csv", model.calibration)
    if model.calibration.pixels.any():
        plot_calibration(folder / "calibration.png", model.label, model.calibration, 1 / task.num_values)
    if model.worst:
        first = next(iter(model.metrics))
        title = f"{model.label}: worst {len(model.worst)} of {len(model.names)} images, by {first}"
        plot_worst(folder / "worst.png", title, model.worst, classes)


def _metric_rows(model: Scores, classes: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    rows: list[list[object]] = []
    for metric, each in model.metrics.items():
        rows.append([metric, "", *map(_number, each.value), _counted(each.images)])
        for index, interval in enumerate(each.classes):
            rows.append([metric, classes[index], *map(_number, interval), _counted(each.images_by_class[:, index])])
    return ["metric", "class", "value", "low", "high", "images"], rows


def _image_rows(model: Scores, classes: Sequence[str], *, several_splits: bool) -> tuple[list[str], list[list[object]]]:
    # Images without names are numbered in each split.
    header, columns = ["name"], []
    for metric, each in model.metrics.items():
        header += [metric, *(f"{metric}/{name}" for name in (classes if each.classes else ()))]
        columns += [each.images, *each.images_by_class.T]
    rows: list[list[object]] = [
        [name, *(_number(column[row]) for column in columns)] for row, name in enumerate(model.names)
    ]
    if several_splits:
        header, rows = ["split", *header], [[split, *row] for split, row in zip(model.splits, rows, strict=True)]
    return header, rows


def _page(evaluation: Evaluation, models: Sequence[tuple[Path, Predictor]], folders: Sequence[Path]) -> str:
    parts = [f"# {escaped(' against '.join(model.label for model in evaluation.models))}", ""]
    images = len(evaluation.models[0].names)
    parts += [f"- Images: {images} of split {evaluation.split} of {code(evaluation.data)}"]
    for model, (weights, predictor) in zip(evaluation.models, models, strict=True):
        about = predictor.about
        parts.append(
            f"- {escaped(model.label)}: {code(str(weights))}, {code(about.architecture)} from {code(about.plugin)}, "
            f"written by segreg {code(about.segreg)}; predicted {_how(predictor)}"
        )
    parts += [f"- Evaluated by segreg {version('segreg')} with torch {version('torch')}", ""]
    parts += [*_markdown(*table(evaluation)), ""]
    if evaluation.comparisons:
        parts += ["## Difference", "", *(f"- {escaped(words)}" for words in evaluation.words), ""]
        if (evaluation.path / "comparison.png").exists():
            parts += ["![Difference per image](comparison.png)", ""]
    for model, folder in zip(evaluation.models, folders, strict=True):
        at = "" if folder == evaluation.path else f"{folder.name}/"
        parts += [f"## {escaped(model.label)}", ""]
        if not evaluation.task.single_class:
            parts += [*_markdown(*class_table(model, evaluation.classes)), ""]
        for title, file in (
            ("Confusion matrix", "confusion.png"),
            ("Reliability diagram", "calibration.png"),
            ("Worst images", "worst.png"),
        ):
            if (folder / file).exists():
                parts += [f"![{title}]({at}{file})", ""]
        parts += [f"Tables: [{at}metrics.csv]({at}metrics.csv), [{at}images.csv]({at}images.csv).", ""]
    notes = [*evaluation.notes, *_LIMITS, *(_LIMITS_OF_TWO if evaluation.comparisons else ())]
    parts += [
        "## What these numbers mean, and what they do not",
        "",
        *(f"- {escaped(printable(note))}" for note in notes),
    ]
    return "\n".join(parts) + "\n"


def _how(predictor: Predictor) -> str:
    height, width = predictor.about.size
    size = f"in tiles of {predictor.tile}" if predictor.tile else f"at {height}×{width}"
    views = ", averaged over eight views" if predictor.tta else ""
    return f"{size}{views} on {device_name(predictor.device)}"


def _cell(interval: Interval) -> str:
    value, low, high = interval
    return "–" if isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _number(number: float) -> str:
    return "" if isnan(number) else f"{number:.6g}"


def _counted(values: npt.NDArray[np.float64]) -> int:
    return int((~np.isnan(values)).sum())


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(escaped, line))} |" for line in lines]
