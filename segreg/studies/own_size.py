"""Scores at the size of the masks: those at different training sizes cannot be compared."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np
import torch

from segreg.contracts import SegmentationDataset
from segreg.errors import RunError
from segreg.evaluation.evaluate import named_samples
from segreg.evaluation.scores import with_probabilities
from segreg.prediction.predictor import load
from segreg.runs.run import Run
from segreg.runs.tensor_file import read_about
from segreg.scoring.estimates import metric_of, tensors_of
from segreg.scoring.metric_states import CollectedStates, States


def score_at_own_size(
    run: Run, dataset: SegmentationDataset, device: torch.device, seen: Callable[[int, int], None]
) -> None:
    """Predict the images of a dataset with a finished run, compare each with its mask, and keep the metrics' states.

    Args:
        run: The run.
        dataset: The dataset that it was trained on.
        device: Device to predict on.
        seen: Called with the number of images done, and of all.

    Raises:
        DataError: an image cannot be read, unless the run was trained without such images.
        RunError: the scores cannot be written, or the model cannot be read.
    """
    recipe, splits = run.recipe, list(run.results["images"])
    predictor = load(run, device=str(device), precision=recipe.precision)
    task, total = predictor.about.task, sum(len(dataset.splits[split]) for split in splits)
    digest, done = hashlib.sha256(), 0
    states: dict[str, Mapping[str, States]] = {}
    for split in splits:
        skipped: dict[tuple[str, str], str] | None = {} if recipe.on_bad_image == "skip" else None
        samples = named_samples(dataset, [split], skipped, predictor.max_pixels)
        collected = {name: CollectedStates(metric_of(name, run), len(dataset.splits[split])) for name in recipe.metrics}
        for sample, probabilities in with_probabilities(predictor, samples):
            logits = task.logits_of(torch.from_numpy(probabilities))[None]
            target = torch.from_numpy(sample.mask).long()[None]
            for each in collected.values():
                each.add(logits, target)
            digest.update(f"{split}/{sample.name} {sample.image.shape}".encode("utf-8", "surrogateescape"))
            for pixels in (sample.image, sample.mask):
                digest.update(np.ascontiguousarray(pixels).data)
            done += 1
            seen(done, total)
        states[split] = {name: each.states for name, each in collected.items()}
    run.write_own_size_scores(tensors_of(states), {"weights": _weights(run), "images": digest.hexdigest()})


def is_scored(run: Run) -> bool:
    """Whether a finished run has scores at the size of the masks, of its present weights."""
    with suppress(RunError):
        return _about(run)["weights"] == _weights(run)
    return False


def check_same_masks(runs: Sequence[Run]) -> None:
    """Raise `RunError` for a run that was scored on other images or masks than the first."""
    for run in runs:
        if _about(run)["images"] != _about(runs[0])["images"]:
            raise RunError(
                f"{run.path} was scored on other images than {runs[0].path}: delete {run.own_size_scores_path.name} in "
                "both, and run the study again"
            )


def _about(run: Run) -> dict[str, str]:
    about = read_about(run.own_size_scores_path, "the scores of a run")
    return {name: str(about.get(name)) for name in ("weights", "images")}


def _weights(run: Run) -> str:
    return str(read_about(run.path / "model.safetensors", "a model").get("digest"))
