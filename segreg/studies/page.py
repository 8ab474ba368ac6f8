"""The report of a study as one page that opens from disk: a table that sorts, curves, pictures, and how it was run."""

import base64
import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from segreg.contracts import IGNORE_INDEX
from segreg.errors import printable
from segreg.registry import higher_is_better
from segreg.studies.report import Row, Score, best_row, conclusion, counted, notes, score_columns
from segreg.training.files import write_text
from segreg.training.plots import CLASS_COLORS, TINT, shown_picture
from segreg.training.recipe import Recipe
from segreg.training.worst import read_cases

_BORDER = 254
"""The palette index of the line around the true region, in pictures of one class."""


def write_page(path: Path, name: str, rows: Sequence[Row], recipe: Recipe) -> None:
    """Write `report.html`: one file, which fetches nothing.

    Args:
        path: The study's directory.
        name: The study's name.
        rows: The table.
        recipe: Any of the recipes, for the settings that all share.
    """
    parts = {
        end: (files("segreg.studies") / f"report.{end}").read_text(encoding="utf-8") for end in ("html", "css", "js")
    }
    # The one script that the page lets the browser run is known by its digest.
    digest = base64.b64encode(hashlib.sha256(parts["js"].encode()).digest()).decode()
    page = Environment(autoescape=True).from_string(parts["html"])
    text = page.render(
        name=printable(name),
        style=Markup(parts["css"]),
        script=Markup(parts["js"]),
        digest=digest,
        facts=_facts(rows, recipe),
        columns=_columns(rows, recipe),
        rows=_lines(rows, recipe),
        conclusion=conclusion(rows, recipe),
        histories=_histories(rows, recipe),
        galleries=list(_galleries(rows, recipe)),
        how=_how(rows, recipe),
        notes=notes(rows, recipe),
        recipe="\n".join(map(printable, recipe.to_toml().splitlines())),
    )
    write_text(path / "report.html", text)


def _facts(rows: Sequence[Row], recipe: Recipe) -> list[str]:
    height, width = recipe.size
    seeds = max((len(row.runs) for row in rows), default=0)
    facts = [counted(len(rows), "row"), *([f"{seeds} seeds"] if seeds > 1 else [])]
    return [*facts, printable(recipe.data), f"{height}×{width} pixels", counted(recipe.epochs, "epoch")]


def _columns(rows: Sequence[Row], recipe: Recipe) -> list[dict[str, str]]:
    """Return the titles, and which end of each column comes first when it is sorted."""
    text = [{"title": title, "kind": "text", "first": "ascending"} for title in ("model", "loss")]
    numbers = [
        (f"{metric} {split}", "descending" if higher_is_better(metric) else "ascending")
        for metric, split in score_columns(rows, recipe)
    ]
    numbers.append(("behind best", "descending" if higher_is_better(recipe.metrics[0]) else "ascending"))
    numbers += [("parameters", "ascending"), ("seconds", "ascending"), ("images/s", "descending")]
    return [*text, *({"title": title, "kind": "number", "first": first} for title, first in numbers)]


def _lines(rows: Sequence[Row], recipe: Recipe) -> list[dict[str, Any]]:
    best, columns = best_row(rows), score_columns(rows, recipe)
    lines: list[dict[str, Any]] = []
    for row in rows:
        line: dict[str, Any] = {"model": printable(row.model), "loss": printable(row.loss)}
        if not row.runs:
            line["failed"] = f"failed: {printable(row.failure)}" if row.failure else "not finished"
            lines.append(line)
            continue
        line |= {
            "best": row is best,
            "seed_failed": printable(row.failure),
            "scores": [_score(row.scores[column], _extent(rows, column[0])) for column in columns],
            "parameters": row.parameters,
            "parameters_text": f"{row.parameters / 1e6:.2f} M",
            "seconds": row.seconds,
            "seconds_text": f"{row.seconds:.0f}",
            "speed": row.images_per_second,
            "speed_text": f"{row.images_per_second:.1f}",
        }
        if row.behind_best:
            difference, p = row.behind_best.difference, row.behind_best.p_value
            words = "more than chance" if row.behind_best.beyond_chance else "may be chance"
            line["behind"] = {
                "sort": difference.value if math.isfinite(difference.value) else None,
                "value": f"{difference.value:+.3f}",
                "low": f"{difference.low:+.3f}",
                "high": f"{difference.high:+.3f}",
                "p": "< 0.001" if p < 0.001 else f"= {p:.3f}",
                "beyond_chance": row.behind_best.beyond_chance,
                "words": "" if math.isnan(difference.value) else words,
            }
        lines.append(line)
    return lines


def _extent(rows: Sequence[Row], metric: str) -> tuple[float, float]:
    """Return between which values a metric lies, in all of its columns."""
    ends = [
        end
        for row in rows
        for (name, _), score in row.scores.items()
        if name == metric
        for end in (score.interval.low, score.interval.high)
        if math.isfinite(end)
    ]
    return (min(ends), max(ends)) if ends else (0.0, 1.0)


def _score(score: Score, extent: tuple[float, float]) -> dict[str, Any]:
    value, low, high = score.interval
    deviation = score.spread.deviation
    finite = all(map(math.isfinite, score.interval)) and extent[0] < extent[1]
    return {
        "sort": value if math.isfinite(value) else None,
        "value": f"{value:.3f}",
        "deviation": "" if math.isnan(deviation) else f"{deviation:.3f}",
        "low": f"{low:.3f}",
        "high": f"{high:.3f}",
        "range": [round(100 * (at - extent[0]) / (extent[1] - extent[0]), 1) for at in (low, high, value)]
        if finite
        else None,
    }


def _histories(rows: Sequence[Row], recipe: Recipe) -> dict[str, Any]:
    """Return what the curves are drawn from: for each row and seed the columns of its history."""
    figures = ["loss", *recipe.metrics]
    columns = [f"{split}_{figure}" for split in ("train", "valid") for figure in figures]
    drawn = [
        {
            "label": printable(row.label),
            # Its colour, which the table has too.
            "key": position,
            "runs": [
                {name: [_rounded(each.get(name)) for each in run.history] for name in columns} for run in row.runs
            ],
        }
        for position, row in enumerate(rows)
        if row.runs
    ]
    return {"figures": figures, "epochs": recipe.epochs, "rows": drawn}


def _rounded(number: float | None) -> float | None:
    return float(f"{number:.5g}") if number is not None and math.isfinite(number) else None


def _galleries(rows: Sequence[Row], recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Give the sections with pictures: samples of every row, and what the best row is worst on."""
    best = best_row(rows)
    if not best:
        return
    finished = [row for row in rows if row.runs]
    classes = best.runs[0].results["classes"]
    num_classes = len(classes)
    samples = {row.label: row.runs[0].samples for row in finished}
    images, masks = (samples[best.label][name].numpy() for name in ("images", "masks"))
    legend = (
        "Tinted: what is said to be the object; white line: the border of the true one." if num_classes == 1 else ""
    )
    yield {
        "title": "Predictions on validation pictures",
        "hint": f"Move the slider from the picture over the truth to what each row predicts. {legend}",
        "classes": _legend(classes) if num_classes > 1 else [],
        "height": images.shape[2],
        "width": images.shape[3],
        "pictures": [
            _picture(
                shown_picture(image),
                masks[number],
                {printable(label): (each["predictions"][number].numpy(), "") for label, each in samples.items()},
                num_classes,
            )
            for number, image in enumerate(images)
        ],
    }
    cases = read_cases(best.runs[0])
    if not cases:
        return
    metric = recipe.metrics[0]
    seed = f" (seed {best.runs[0].recipe.seed})" if len(best.runs) > 1 else ""
    height, width = cases[0].truth.shape
    yield {
        "title": "Worst cases",
        "hint": f"Where the best row, {printable(best.label)}{seed}, is worst by {metric}, of all validation pictures.",
        "height": height,
        "width": width,
        "large": True,
        "pictures": [
            _picture(
                case.picture,
                case.truth,
                {printable(case.name): (case.prediction, f"{metric} {case.value:.3f}")},
                num_classes,
            )
            for case in cases
        ],
    }


def _legend(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name and the colour of each class."""
    colors = np.resize(CLASS_COLORS, (len(classes), 3)).tolist()
    return [
        (printable(str(name)), "#{:02x}{:02x}{:02x}".format(*color))
        for name, color in zip(classes, colors, strict=True)
    ]


def _picture(
    picture: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.uint8],
    predictions: Mapping[str, tuple[npt.NDArray[np.uint8], str]],
    num_classes: int,
) -> dict[str, Any]:
    """Return a picture, its truth, and a tile for each prediction, by its label and with what is said of it."""
    border = _border(truth) if num_classes == 1 else np.zeros_like(truth, dtype=bool)
    return {
        "picture": _encoded(Image.fromarray(picture), "jpeg", quality=88),
        "truth": _layer(truth, border, num_classes),
        "tiles": [
            {"label": label, "value": value, "prediction": _layer(classes, border, num_classes)}
            for label, (classes, value) in predictions.items()
        ],
    }


def _border(truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the pixels of the region that touch one outside it."""
    region = np.pad(truth == 1, 1, mode="edge")
    inner = region[:-2, 1:-1] & region[2:, 1:-1] & region[1:-1, :-2] & region[1:-1, 2:]
    border: npt.NDArray[np.bool_] = region[1:-1, 1:-1] & ~inner
    return border


def _layer(classes: npt.NDArray[np.uint8], border: npt.NDArray[np.bool_], num_classes: int) -> str:
    """Return classes as a picture to be laid over another one, in the colours of `samples.png`."""
    colors, opacity = np.zeros((256, 3), np.uint8), np.zeros(256, np.uint8)
    if num_classes == 1:
        colors[1], opacity[1] = TINT, 115
        colors[_BORDER], opacity[_BORDER] = 255, 255
        classes = np.where(border, _BORDER, classes).astype(np.uint8)
    else:
        colors[:IGNORE_INDEX] = CLASS_COLORS[np.arange(IGNORE_INDEX) % len(CLASS_COLORS)]
        opacity[:] = 166
    layer = Image.fromarray(classes, "P")
    layer.putpalette(colors.ravel().tolist())
    return _encoded(layer, "png", transparency=opacity.tobytes(), optimize=True)


def _encoded(image: Image.Image, kind: str, **options: Any) -> str:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"


def _how(rows: Sequence[Row], recipe: Recipe) -> list[tuple[str, str]]:
    """Say with what and on what it was run."""
    runs = [run for row in rows for run in row.runs]
    settings = {
        name: " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in recipe.deciding().items()
        # What the device stands for is said below.
        if name not in ("model", "loss", "seed", "size", "device")
    }
    how = [*settings.items(), ("size", "×".join(map(str, recipe.size)))]
    if runs:
        seconds = sum(float(run.results["seconds"]) for run in runs)
        how += [
            ("seeds", ", ".join(str(seed) for seed in sorted({run.recipe.seed for run in runs}))),
            ("runs", f"{len(runs)}, {_time(seconds)} of training in all"),
        ]
        # Runs of one study may have been made at different times.
        made_on = [run.made_on for run in runs]
        for name in dict.fromkeys(name for each in made_on for name in each):
            how.append((name, "; ".join(dict.fromkeys(each[name] for each in made_on if name in each))))
    return [(title, printable(text)) for title, text in how]


def _time(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
