"""The results of a finished run, `results.json`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from cattrs import transform_error

from segreg.options import converter
from segreg.support.files import read_json, reading, write_text
from segreg.task import task_of


class WorstImage(TypedDict):
    """An image of `worst/`: its name, and the value of the first metric on it."""

    name: str
    value: float


class Results(TypedDict):
    """The results of the best weights, and the cost of the run.

    `epoch` is that of the best weights, `epochs` how many were trained, and `stopped_early` whether `patience`
    ended them. `metrics` and `per_class` are by split and metric, None where there is no value; `images` and `digests`
    are by split. `class_weights` are those that losses computed from the data, by loss and option.
    """

    epoch: int
    epochs: int
    stopped_early: bool
    metrics: dict[str, dict[str, float | None]]
    per_class: dict[str, dict[str, list[float | None]]]
    class_weights: dict[str, dict[str, list[float]]]
    worst: list[WorstImage]
    classes: list[str]
    images: dict[str, int]
    digests: dict[str, str]
    skipped: int
    parameters: int
    seconds: float
    images_per_second: float
    device: str


def write_results_file(path: Path, results: Results) -> None:
    """Write the results."""
    write_text(path, json.dumps(results, indent=2, allow_nan=False) + "\n")


def read_results_file(path: Path, metrics: Sequence[str]) -> Results:
    """Return the results in a file, which may come from anyone.

    Args:
        path: The file.
        metrics: The metrics of the run, which each split must have.

    Raises:
        RunError: the file does not contain results of such a run.
    """
    written = read_json(path, "results")
    with reading(path, "results"):
        # A key that is no longer known says that another version wrote the file, and nothing more.
        known = {name: {"class_weights": {}, **written}[name] for name in Results.__annotations__}
        try:
            results: Results = converter().structure(known, Results)
        except Exception as error:  # cattrs raises a group of them
            raise ValueError(transform_error(error)[0]) from error
        _check(results, metrics)
    return results


def _check(results: Results, metrics: Sequence[str]) -> None:
    """Raise `ValueError` unless the values fit together."""
    task_of(len(results["classes"]))
    splits = results["metrics"].keys()
    by_split = [results["per_class"].keys(), results["images"].keys(), results["digests"].keys()]
    if not {"train", "valid"} <= splits or any(keys != splits for keys in by_split):
        raise ValueError(f"its splits are {', '.join(splits) or 'none'}, and others elsewhere in it")
    for split in splits:
        for values in (results["metrics"][split], results["per_class"][split]):
            if values.keys() != set(metrics):
                raise ValueError(f"the metrics of {split} are {', '.join(values) or 'none'}")
    durations = (results["seconds"], results["images_per_second"])
    if not all(math.isfinite(each) and each >= 0 for each in durations):
        raise ValueError("a duration is negative or not finite")
    if results["epoch"] > results["epochs"]:
        raise ValueError(f"its best epoch is {results['epoch']} of {results['epochs']}")
    if min(results["epoch"], *results["images"].values()) < 1 or min(results["parameters"], results["skipped"]) < 0:
        raise ValueError("a number is below its minimum")
