"""The results of a run: the scores of the best weights on every split, and images to look at."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from segreg.contracts import SegmentationMetric
from segreg.registry import higher_is_better
from segreg.resolved import terms_of
from segreg.runs.plots import plot_curves, plot_samples
from segreg.runs.provenance import values_from_data
from segreg.runs.results_file import Results, WorstImage
from segreg.runs.run import SAMPLES, Run
from segreg.runs.worst_cases import WorstCase, worst_positions, write_cases
from segreg.scoring.estimates import tensors_of
from segreg.scoring.metric_states import States, holding_all, value, values_of_images
from segreg.support import device as devices
from segreg.support.render import rgb_view
from segreg.training.early_stopping import stopped_early
from segreg.training.tracking import Tracking
from segreg.training.trainer import Trainer


def write_results(trainer: Trainer, run: Run, tracking: Tracking) -> None:
    """Score the best weights on every split, draw the plots, and write the results last, which finishes the run.

    Raises:
        RunError: a file cannot be written.
    """
    recipe, data, state, display = trainer.recipe, trainer.data, trainer.state, trainer.display
    model, metrics = state.evaluated, trainer.metrics
    model.model.load_state_dict(state.best_weights)
    states: dict[str, Mapping[str, States]] = {}
    for name, split in data.splits.items():
        display.progress(f"scoring {name}", 0, len(split))
        states[name] = trainer.evaluator.states(model, split)
    run.write_scores(tensors_of(states))
    display.progress("drawing plots", 0, 1)
    valid = data.splits["valid"]
    chosen = torch.linspace(0, len(valid) - 1, min(SAMPLES, len(valid))).round().long().tolist()
    samples = _predicted(trainer, chosen)
    run.write_samples(samples)
    plot_curves(run.path / "curves.png", {recipe.label: [state.history]}, recipe.metrics[0])
    plot_samples(run.path / "samples.png", samples, {recipe.label: samples["predictions"]}, data.task)
    terms = recipe.components["loss"]
    results: Results = {
        "epoch": state.best_epoch,
        "epochs": len(state.history),
        "stopped_early": stopped_early(trainer.recipe, trainer.state),
        "metrics": {
            split: {name: _or_none(value(metrics[name], kept)) for name, kept in each.items()}
            for split, each in states.items()
        },
        "per_class": {
            split: {name: _per_class(metrics[name], kept) for name, kept in each.items()}
            for split, each in states.items()
        },
        "class_weights": {
            str(term.expression): {name: _listed(values) for name, values in values_from_data(built).items()}
            for term, built in zip(terms, terms_of(terms, state.loss), strict=True)
            if values_from_data(built)
        },
        "worst": _write_worst(trainer, run, states["valid"][recipe.metrics[0]]),
        "classes": list(data.classes),
        "images": {name: len(split) for name, split in data.splits.items()},
        "digests": dict(data.digests),
        "skipped": len(data.skipped),
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "seconds": sum(record["seconds"] for record in state.history),
        "images_per_second": float(np.median([record["images_per_second"] for record in state.history])),
        "device": devices.device_name(trainer.device),
    }
    run.write_results(results)
    tracking.finish(results, samples, [valid.names[index] for index in chosen], data.task)


def _predicted(trainer: Trainer, positions: list[int]) -> dict[str, Tensor]:
    """Return some of the validation images with ground truth and prediction."""
    valid = trainer.data.splits["valid"]
    images, masks = valid.take(positions)
    predictions = trainer.evaluator.predict(trainer.state.evaluated, valid, positions)
    return {"images": images, "masks": masks, "predictions": predictions}


def _write_worst(trainer: Trainer, run: Run, states: States) -> list[WorstImage]:
    """Write the images with the worst values of the first metric, and return their entry in the results."""
    first = trainer.recipe.metrics[0]
    values = values_of_images(trainer.metrics[first], states)
    positions = worst_positions(values, higher_is_better(first))
    if not positions:
        return []
    shown = _predicted(trainer, positions)
    names = trainer.data.splits["valid"].names
    cases = [
        WorstCase(names[position], float(values[position]), rgb_view(image), ground_truth, prediction)
        for position, image, ground_truth, prediction in zip(
            positions, *(shown[name].numpy() for name in ("images", "masks", "predictions")), strict=True
        )
    ]
    return write_cases(run, cases, trainer.data.task)


def _per_class(metric: SegmentationMetric, states: States) -> list[float | None]:
    """Return the value of each class, if the metric keeps them."""
    per_class = getattr(holding_all(metric, states), "per_class", None)
    return [_or_none(each) for each in per_class().tolist()] if per_class else []


def _listed(values: float | Sequence[float]) -> list[float]:
    return [float(value) for value in (values if isinstance(values, Sequence) else [values])]


def _or_none(number: float) -> float | None:
    """Replace a number that JSON cannot express with None."""
    return number if math.isfinite(number) else None
