"""The report of a study: its table as text, CSV and Markdown, what can be concluded from it, curves and images."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segreg.errors import printable
from segreg.recipe import Recipe
from segreg.runs.plots import plot_curves, plot_samples
from segreg.studies.table import Row, best_row, score_columns
from segreg.support.files import write_text
from segreg.support.markdown import escaped
from segreg.task import task_of


def write_report(path: Path, name: str, rows: Sequence[Row], recipe: Recipe) -> None:
    """Write `results.csv`, `results.md`, `curves.png` and `samples.png`.

    Args:
        path: The study's directory.
        name: The study's name.
        rows: The table.
        recipe: Any of the recipes, for the settings that all share.
    """
    write_text(path / "results.csv", _csv(rows, recipe))
    write_text(path / "results.md", markdown(name, rows, recipe))
    finished = [row for row in rows if row.runs]
    if finished:
        first = finished[0].runs[0]
        metric = recipe.metrics[0]
        plot_curves(path / "curves.png", {row.label: [run.history for run in row.runs] for row in finished}, metric)
        predictions = {row.label: row.runs[0].samples["predictions"] for row in finished}
        plot_samples(path / "samples.png", first.samples, predictions, task_of(len(first.results["classes"])))


def cells(rows: Sequence[Row], recipe: Recipe) -> tuple[list[str], list[list[str]]]:
    """Return the table as text: its header, and a line a row."""
    columns = score_columns(rows, recipe)
    header = ["model", "loss", *(f"{metric} {split}" for metric, split in columns)]
    header += ["behind best", "parameters", "seconds", "images/s"]
    body = []
    for row in rows:
        line = [printable(row.model), printable(row.loss)]
        if row.runs:
            line += [str(row.scores[column]) for column in columns]
            line += [
                _behind(row),
                f"{row.parameters / 1e6:.2f} M",
                f"{row.seconds:.0f}",
                f"{row.images_per_second:.1f}",
            ]
            if row.failure:
                line[1] += f" (a seed failed: {printable(row.failure)})"
        else:
            line += [f"failed: {printable(row.failure)}" if row.failure else "not finished"]
            line += [""] * (len(header) - len(line))
        body.append(line)
    return header, body


def markdown(name: str, rows: Sequence[Row], recipe: Recipe) -> str:
    """Return the table with what it says about itself, as Markdown."""
    header, body = cells(rows, recipe)
    lines = [header, ["---"] * len(header), *body]
    text = "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines)
    said = "\n".join(f"- {escaped(note)}" for note in notes(rows, recipe))
    concluded = conclusion(rows, recipe)
    between = f"{escaped(concluded)}\n\n" if concluded else ""
    return f"# {escaped(printable(name))}\n\n{text}\n\n{between}{said}\n"


def conclusion(rows: Sequence[Row], recipe: Recipe) -> str:
    """Say in words which row is best, and which of the others differ from it by more than chance; empty for one row."""
    best, metric = best_row(rows), recipe.metrics[0]
    others = [(row, row.behind_best) for row in rows if row.behind_best]
    if not best or not others or math.isnan(best.on_valid(metric)):
        return ""
    behind = [f"{printable(row.label)} ({each.difference.value:+.3f})" for row, each in others if each.beyond_chance]
    without = [printable(row.label) for row, each in others if math.isnan(each.difference.value)]
    level = [
        printable(row.label) for row, each in others if not each.beyond_chance and not math.isnan(each.difference.value)
    ]
    images = best.runs[0].results["images"]["valid"]
    said = [f"{printable(best.label)} is best on valid, with {metric} {best.on_valid(metric):.3f}."]
    if behind:
        said.append(f"Behind it by more than chance: {_listed(behind)}.")
    if level:
        said.append(f"On these {images} images it cannot be told apart from {_listed(level)}.")
    if without:
        said.append(f"{_listed(without)} {'has' if len(without) == 1 else 'have'} no value there.")
    return " ".join(said)


def notes(rows: Sequence[Row], recipe: Recipe) -> list[str]:
    """Say what the numbers are and what they are not."""
    seeds = max((len(row.runs) for row in rows), default=0)
    devices = sorted({str(run.results["device"]) for row in rows for run in row.runs})
    height, width = recipe.size
    images: Mapping[str, int] = next((row.runs[0].results["images"] for row in rows if row.runs), {})
    counts = ", ".join(f"{count} {split}" for split, count in images.items())
    skipped = max((run.results.get("skipped", 0) for row in rows for run in row.runs), default=0)
    counts += f"; {skipped} that cannot be used left out" if skipped else ""
    return [
        f"Data: {printable(recipe.data)} ({counts}), resized to {height}×{width}; scores are taken at that size.",
        f"Training: {counted(recipe.epochs, 'epoch')} of AdamW, batch {recipe.batch}, learning rate {recipe.lr:g}, "
        f"schedule {recipe.schedule}, EMA {'on' if recipe.ema else 'off'}, augmentation "
        f"{', '.join(recipe.augment) or 'none'}, normalisation {recipe.normalize}.",
        f"The weights kept are those of the epoch with the best {recipe.metrics[0]} on valid, which makes that column "
        "a little too good; test, where there is one, was not looked at in training.",
        f"In brackets: 95 % bootstrap interval over the images of the split ({seeds} seed(s); with more than one, ± is "
        "the standard deviation over seeds). It says nothing about other sources of images.",
        f"Behind best: difference of {recipe.metrics[0]} on valid to the best row, on the same images; * where the "
        "choice of images does not explain it: its 95 % interval leaves out 0, and Wilcoxon's signed-rank test finds "
        "the same direction with p below 0.05. Each row is compared by itself: of twenty that are equal, one may "
        "still seem to differ.",
        f"Seconds are those of training one seed, validation included, on {'; '.join(devices) or 'nothing yet'}.",
    ]


def counted(number: int, what: str) -> str:
    """Write a number with what it is of, in the singular or plural."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _behind(row: Row) -> str:
    if row.behind_best is None:
        return "best"
    difference, low, high = row.behind_best.difference
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]{' *' if row.behind_best.beyond_chance else ''}"


def _csv(rows: Sequence[Row], recipe: Recipe) -> str:
    columns = score_columns(rows, recipe)
    parts = ("mean", "sd", "low", "high")
    header = ["model", "loss", "seeds", *(f"{m}_{split}_{part}" for m, split in columns for part in parts)]
    header += [
        "behind_best",
        "behind_best_low",
        "behind_best_high",
        "behind_best_p",
        "parameters",
        "seconds",
        "images_per_second",
        "failure",
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        line: list[Any] = [row.model, row.loss, len(row.runs)]
        if row.runs:
            for column in columns:
                score = row.scores[column]
                line += [score.interval.value, score.spread.deviation, score.interval.low, score.interval.high]
            behind = row.behind_best
            line += [*behind.difference, behind.p_value] if behind else [""] * 4
            line += [row.parameters, row.seconds, row.images_per_second]
        else:
            line += [""] * (len(header) - len(line) - 1)
        writer.writerow([*(f"{cell:.6g}" if isinstance(cell, float) else cell for cell in line), row.failure])
    return text.getvalue()
