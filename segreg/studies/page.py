"""The report of a study as one page that opens from disk: a sortable table, plots, images, and how it was run."""

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from segreg.errors import counted, printable
from segreg.recipe import Recipe
from segreg.registry import higher_is_better
from segreg.runs.history import column_name
from segreg.scoring.estimates import Estimate
from segreg.studies.gallery import galleries
from segreg.studies.summary import conclusion, notes
from segreg.studies.table import Configuration, best_configuration, score_columns, shared_settings
from segreg.support.files import write_text


def write_page(path: Path, name: str, configurations: Sequence[Configuration], recipe: Recipe) -> None:
    """Write `report.html`: one file, which loads nothing else.

    Args:
        path: The study's directory.
        name: The study's name.
        configurations: The table.
        recipe: Any of the recipes, for the settings that all share.
    """
    parts = {
        end: (files("segreg.studies") / f"report.{end}").read_text(encoding="utf-8") for end in ("html", "css", "js")
    }
    # The page allows the browser to run one script, identified by its digest.
    digest = base64.b64encode(hashlib.sha256(parts["js"].encode()).digest()).decode()
    page = Environment(autoescape=True).from_string(parts["html"])
    text = page.render(
        name=printable(name),
        style=Markup(parts["css"]),
        script=Markup(parts["js"]),
        digest=digest,
        facts=_facts(configurations, recipe),
        columns=_columns(configurations, recipe),
        rows=_lines(configurations, recipe),
        conclusion=conclusion(configurations, recipe),
        histories=_histories(configurations, recipe),
        galleries=list(galleries(configurations, recipe)),
        how=_how(configurations),
        notes=notes(configurations, recipe),
        recipe="\n".join(map(printable, recipe.to_toml().splitlines())),
    )
    write_text(path / "report.html", text)


def _facts(configurations: Sequence[Configuration], recipe: Recipe) -> list[str]:
    shared = shared_settings(configurations)
    seeds = max((len(configuration.runs) for configuration in configurations), default=0)
    facts = [counted(len(configurations), "configuration"), *([f"{seeds} seeds"] if seeds > 1 else [])]
    facts.append(printable(recipe.data))
    facts += [f"{shared['size']} pixels"] if "size" in shared else []
    return [*facts, *([counted(recipe.epochs, "epoch")] if "epochs" in shared else [])]


def _columns(configurations: Sequence[Configuration], recipe: Recipe) -> list[dict[str, str]]:
    """Return the titles of the columns, and in which direction each is sorted first."""
    text = [{"title": title, "kind": "text", "first": "ascending"} for title in configurations[0].settings]
    numbers = [
        (title, "descending" if higher_is_better(metric) else "ascending")
        for (metric, _), title in score_columns(configurations, recipe).items()
    ]
    numbers.append(("behind best", "descending" if higher_is_better(recipe.metrics[0]) else "ascending"))
    numbers += [("parameters", "ascending"), ("seconds", "ascending"), ("images/s", "descending")]
    return [*text, *({"title": title, "kind": "number", "first": first} for title, first in numbers)]


def _lines(configurations: Sequence[Configuration], recipe: Recipe) -> list[dict[str, Any]]:
    best, columns = best_configuration(configurations), score_columns(configurations, recipe)
    lines: list[dict[str, Any]] = []
    for configuration in configurations:
        line: dict[str, Any] = {"settings": list(map(printable, configuration.settings.values()))}
        if not configuration.runs:
            line["failed"] = f"failed: {printable(configuration.failure)}" if configuration.failure else "not finished"
            lines.append(line)
            continue
        line |= {
            "best": configuration is best,
            "seed_failed": printable(configuration.failure),
            "scores": [_score(configuration.scores[column], _extent(configurations, column[0])) for column in columns],
            "parameters": configuration.parameters,
            "parameters_text": f"{configuration.parameters / 1e6:.2f} M",
            "seconds": configuration.seconds,
            "seconds_text": f"{configuration.seconds:.0f}",
            "speed": configuration.images_per_second,
            "speed_text": f"{configuration.images_per_second:.1f}",
        }
        if configuration.behind_best:
            difference = configuration.behind_best.difference
            words = "significant" if configuration.behind_best.beyond_chance else "not significant"
            line["behind"] = {
                "sort": difference.value if math.isfinite(difference.value) else None,
                "value": f"{difference.value:+.3f}",
                "low": f"{difference.low:+.3f}",
                "high": f"{difference.high:+.3f}",
                "p": configuration.behind_best.p_text,
                "beyond_chance": configuration.behind_best.beyond_chance,
                "words": "" if math.isnan(difference.value) else words,
            }
        lines.append(line)
    return lines


def _extent(configurations: Sequence[Configuration], metric: str) -> tuple[float, float]:
    """Return the range of a metric over all of its columns."""
    ends = [
        end
        for configuration in configurations
        for (name, _), score in configuration.scores.items()
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


def _histories(configurations: Sequence[Configuration], recipe: Recipe) -> dict[str, Any]:
    """Return what the curves are drawn from: for each configuration and seed the columns of its history."""
    quantities = ["loss", *recipe.metrics]
    columns = [column_name(split, quantity) for split in ("train", "valid") for quantity in quantities]
    drawn = [
        {
            "label": printable(configuration.label),
            # Its colour, which the table has too.
            "key": position,
            "runs": [
                {name: [_rounded(each.get(name)) for each in run.history] for name in columns}
                for run in configuration.runs
            ],
        }
        for position, configuration in enumerate(configurations)
        if configuration.runs
    ]
    epochs = max(configuration.recipe.epochs for configuration in configurations)
    return {"quantities": quantities, "epochs": epochs, "rows": drawn}


def _rounded(number: float | None) -> float | None:
    return float(f"{number:.5g}") if number is not None and math.isfinite(number) else None


def _how(configurations: Sequence[Configuration]) -> list[tuple[str, str]]:
    """Return the settings that all runs share, and what they ran on."""
    runs = [run for configuration in configurations for run in configuration.runs]
    # The resolved device is given below.
    how = [(name, text) for name, text in shared_settings(configurations).items() if name != "device"]
    if runs:
        seconds = sum(float(run.results["seconds"]) for run in runs)
        how += [
            ("seeds", ", ".join(str(seed) for seed in sorted({run.recipe.seed for run in runs}))),
            ("runs", f"{len(runs)}, {_time(seconds)} of training in total"),
        ]
        # Runs of one study may have been made at different times.
        environments = [run.environment for run in runs]
        for name in dict.fromkeys(name for each in environments for name in each):
            how.append((name, "; ".join(dict.fromkeys(each[name] for each in environments if name in each))))
    return [(title, printable(text)) for title, text in how]


def _time(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
