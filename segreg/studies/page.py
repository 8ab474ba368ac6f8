"""The report of a study as one page that opens from disk: a table that sorts, curves, images, and how it was run."""

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from segreg.errors import printable
from segreg.recipe import Recipe
from segreg.registry import higher_is_better
from segreg.scoring.estimates import Estimate
from segreg.studies.gallery import galleries
from segreg.studies.summary import conclusion, counted, notes
from segreg.studies.table import Row, best_row, score_columns
from segreg.support.files import write_text


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
        galleries=list(galleries(rows, recipe)),
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
            difference = row.behind_best.difference
            words = "more than chance" if row.behind_best.beyond_chance else "may be chance"
            line["behind"] = {
                "sort": difference.value if math.isfinite(difference.value) else None,
                "value": f"{difference.value:+.3f}",
                "low": f"{difference.low:+.3f}",
                "high": f"{difference.high:+.3f}",
                "p": row.behind_best.p_text,
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


def _score(score: Estimate, extent: tuple[float, float]) -> dict[str, Any]:
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


def _how(rows: Sequence[Row], recipe: Recipe) -> list[tuple[str, str]]:
    """Say with what and on what it was run."""
    runs = [run for row in rows for run in row.runs]
    settings = {
        name: " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in recipe.fields_that_affect_results().items()
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
