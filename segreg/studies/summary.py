"""The report of a study: its table as text, CSV and Markdown, what can be concluded from it, and plots."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from segreg.errors import counted, printable
from segreg.recipe import Recipe
from segreg.runs.plots import plot_curves, plot_samples
from segreg.studies.table import (
    Configuration,
    best_configuration,
    sample_predictions,
    score_columns,
    shared_settings,
)
from segreg.support.files import write_csv, write_text
from segreg.support.markdown import escaped
from segreg.task import task_of

_NOTED_ELSEWHERE = ("data", "on_bad_image", "size", "metrics", "device")


def write_report(path: Path, name: str, configurations: Sequence[Configuration], recipe: Recipe) -> None:
    """Write `results.csv`, `results.md`, `curves.png` and `samples.png`.

    Args:
        path: The study's directory.
        name: The study's name.
        configurations: The table.
        recipe: Any of the recipes, for the settings that all share.
    """
    write_csv(path / "results.csv", *_table(configurations, recipe))
    write_text(path / "results.md", markdown(name, configurations, recipe))
    finished = [configuration for configuration in configurations if configuration.runs]
    if finished:
        first = finished[0].runs[0]
        metric = recipe.metrics[0]
        plot_curves(
            path / "curves.png",
            {configuration.label: [run.history for run in configuration.runs] for configuration in finished},
            metric,
        )
        predictions = {
            label: torch.from_numpy(each) for label, each in sample_predictions(finished, first.recipe.size).items()
        }
        plot_samples(path / "samples.png", first.samples, predictions, task_of(len(first.results["classes"])))


def cells(configurations: Sequence[Configuration], recipe: Recipe) -> tuple[list[str], list[list[str]]]:
    """Return the table as text: its header, and one line per row."""
    columns = score_columns(configurations, recipe)
    header = [*configurations[0].settings, *columns.values()]
    header += ["behind best", "parameters", "seconds", "images/s"]
    body = []
    for configuration in configurations:
        line = [*map(printable, configuration.settings.values())]
        if configuration.runs:
            line += [str(configuration.scores[column]) for column in columns]
            line += [
                _behind(configuration),
                f"{configuration.parameters / 1e6:.2f} M",
                f"{configuration.seconds:.0f}",
                f"{configuration.images_per_second:.1f}",
            ]
            if configuration.failure:
                line[len(configuration.settings) - 1] += f" (a seed failed: {printable(configuration.failure)})"
        else:
            line += [f"failed: {printable(configuration.failure)}" if configuration.failure else "not finished"]
            line += [""] * (len(header) - len(line))
        body.append(line)
    return header, body


def markdown(name: str, configurations: Sequence[Configuration], recipe: Recipe) -> str:
    """Return the table with its notes, as Markdown."""
    header, body = cells(configurations, recipe)
    lines = [header, ["---"] * len(header), *body]
    text = "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines)
    listed = "\n".join(f"- {escaped(note)}" for note in notes(configurations, recipe))
    concluded = conclusion(configurations, recipe)
    between = f"{escaped(concluded)}\n\n" if concluded else ""
    return f"# {escaped(printable(name))}\n\n{text}\n\n{between}{listed}\n"


def conclusion(configurations: Sequence[Configuration], recipe: Recipe) -> str:
    """Say which configuration is best, and which of the others are significantly worse; empty for one configuration."""
    best, metric = best_configuration(configurations), recipe.metrics[0]
    others = [
        (configuration, configuration.behind_best) for configuration in configurations if configuration.behind_best
    ]
    if not best or not others or math.isnan(best.on_valid(metric)):
        return ""
    behind = [
        f"{printable(configuration.label)} ({each.difference.value:+.3f})"
        for configuration, each in others
        if each.beyond_chance
    ]
    without = [printable(configuration.label) for configuration, each in others if math.isnan(each.difference.value)]
    level = [
        printable(configuration.label)
        for configuration, each in others
        if not each.beyond_chance and not math.isnan(each.difference.value)
    ]
    images = best.runs[0].results["images"]["valid"]
    sentences = [f"{printable(best.label)} is best on valid, with {metric} {best.on_valid(metric):.3f}."]
    if behind:
        sentences.append(f"Significantly worse: {_listed(behind)}.")
    if level:
        sentences.append(f"Not significantly different on these {counted(images, 'image')}: {_listed(level)}.")
    if without:
        sentences.append(f"{_listed(without)} {'has' if len(without) == 1 else 'have'} no value there.")
    return " ".join(sentences)


def notes(configurations: Sequence[Configuration], recipe: Recipe) -> list[str]:
    """Say what the numbers mean and what they do not."""
    seeds = max((len(configuration.runs) for configuration in configurations), default=0)
    devices = sorted({str(run.results["device"]) for configuration in configurations for run in configuration.runs})
    shared = shared_settings(configurations)
    images: Mapping[str, int] = next(
        (configuration.runs[0].results["images"] for configuration in configurations if configuration.runs), {}
    )
    counts = ", ".join(f"{count} {split}" for split, count in images.items())
    skipped = max(
        (run.results.get("skipped", 0) for configuration in configurations for run in configuration.runs), default=0
    )
    counts += f"; {skipped} unusable left out" if skipped else ""
    if configurations[0].own_size:
        scored = (
            "training sizes differ, so each prediction is resized to the size of its mask and scored there; learning "
            "curves are at the training size and cannot be compared between sizes"
        )
    else:
        scored = f"resized to {shared['size']}; scores are computed at that size"
    optimizers = {
        optimizer.entry.key: optimizer.every_option().get("lr")
        for configuration in configurations
        for optimizer in configuration.recipe.components["optimizer"]
        if "lr" not in optimizer.expression.options
    }
    rates = [f"{name} {lr:g}" for name, lr in optimizers.items() if isinstance(lr, int | float)]
    settings = ", ".join(f"{name} {text}" for name, text in shared.items() if name not in _NOTED_ELSEWHERE)
    return [
        f"Data: {printable(recipe.data)} ({counts}), {scored}.",
        f"The same for all runs: {printable(settings)}.",
        *([f"Learning rates: {', '.join(rates)}."] if rates else []),
        f"The weights kept are those of the epoch with the best {recipe.metrics[0]} on valid, which makes that column "
        "slightly optimistic; test, if there is one, was not used in training.",
        f"In brackets: 95 % bootstrap interval over the images of the split ({counted(seeds, 'seed')}; with more than "
        "one, ± is the standard deviation over seeds). It says nothing about images from other sources.",
        f"Behind best: difference in {recipe.metrics[0]} on valid from the best configuration, on the same images; "
        "* if significant: its 95 % interval excludes 0, and Wilcoxon's signed-rank test finds the same direction with "
        "p below 0.05. Comparisons are not corrected: of twenty configurations that do not differ, one may still "
        "appear significant.",
        f"Seconds: training time of one seed, validation included, on {'; '.join(devices) or 'nothing yet'}.",
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _behind(configuration: Configuration) -> str:
    if configuration.behind_best is None:
        return "best"
    difference, low, high = configuration.behind_best.difference
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]{' *' if configuration.behind_best.beyond_chance else ''}"


def _table(configurations: Sequence[Configuration], recipe: Recipe) -> tuple[list[str], list[list[Any]]]:
    """Return the table in numbers: its header, and one list per row."""
    columns = score_columns(configurations, recipe)
    parts = ("mean", "sd", "low", "high")
    where = "_own_size" if configurations[0].own_size else ""
    scores = (f"{metric}_{split}{where}_{part}" for metric, split in columns for part in parts)
    header = [*configurations[0].settings, "seeds", *scores]
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
    body = []
    for configuration in configurations:
        line: list[Any] = [*configuration.settings.values(), len(configuration.runs)]
        if configuration.runs:
            for column in columns:
                score = configuration.scores[column]
                line += [score.interval.value, score.spread.deviation, score.interval.low, score.interval.high]
            behind = configuration.behind_best
            line += [*behind.difference, behind.p_value] if behind else [""] * 4
            line += [configuration.parameters, configuration.seconds, configuration.images_per_second]
        else:
            line += [""] * (len(header) - len(line) - 1)
        body.append([*(f"{cell:.6g}" if isinstance(cell, float) else cell for cell in line), configuration.failure])
    return header, body
