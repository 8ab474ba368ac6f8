"""The scores of a model on images with masks, each at its own size."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch

from segreg.contracts import IGNORE_INDEX, SegmentationMetric
from segreg.data.image_files import Pixels
from segreg.evaluation.calibration import Calibration
from segreg.evaluation.confusion_matrix import confusion_matrix
from segreg.evaluation.worst import Worst
from segreg.prediction.predictor import Predictor
from segreg.prediction.probabilities import classes_of
from segreg.registry import higher_is_better
from segreg.runs.worst_cases import WorstCase
from segreg.scoring.metric_states import (
    CollectedStates,
    States,
    class_values,
    class_values_of_images,
    value,
    values_of_images,
)
from segreg.scoring.statistics import Interval, bootstrap_interval, bootstrap_intervals_of_classes


@attrs.frozen(eq=False)
class NamedSample:
    """An image with its mask.

    Args:
        split: The split that it belongs to.
        name: Its name in reports.
        image: uint8 [H, W, C].
        mask: uint8 [H, W].
    """

    split: str
    name: str
    image: Pixels
    mask: Pixels


@attrs.frozen(eq=False)
class Score:
    """The values of one metric.

    Args:
        value: Its value over all images, with the 95 % bootstrap interval over images.
        classes: The same for each class; empty for a binary task, and for a metric without per-class values.
        images: Its value on each image, float64 [N]: `nan` where it has none.
        images_by_class: The same for each class, float64 [N, K], or [N, 0].
        states: The metric state of each image.
    """

    value: Interval
    classes: Sequence[Interval]
    images: npt.NDArray[np.float64]
    images_by_class: npt.NDArray[np.float64]
    states: States


@attrs.frozen(eq=False, kw_only=True)
class Scores:
    """The scores of one model.

    Args:
        label: Name of the model in reports.
        splits: The split of each image.
        names: The images, in the same order.
        metrics: The values of each metric, by its expression.
        calibration: Calibration of its confidence.
        confusions: Pixels by true class (rows) and predicted class (columns), int64 [C, C]; a binary task has
            background and foreground.
        worst: The ten worst images by the first metric, worst first.
    """

    label: str
    splits: Sequence[str]
    names: Sequence[str]
    metrics: Mapping[str, Score]
    calibration: Calibration
    confusions: npt.NDArray[np.int64]
    worst: Sequence[WorstCase]


def score(
    label: str,
    predictor: Predictor,
    samples: Iterable[NamedSample],
    images: int,
    metrics: Mapping[str, SegmentationMetric],
    seen: Callable[[int], None],
) -> Scores:
    """Predict images and compare each with its mask on disk.

    Args:
        label: Name of the model in reports.
        predictor: The model.
        samples: The images, one or more.
        images: Their maximum number.
        metrics: On the CPU, by expression; the first one decides which images are worst.
        seen: Called with the number of images done.
    """
    task = predictor.about.task
    first = next(iter(metrics))
    splits: list[str] = []
    names: list[str] = []
    collected = {name: CollectedStates(metric, images) for name, metric in metrics.items()}
    calibration, worst = Calibration(), Worst(higher_is_better(first))
    confusions = np.zeros((task.num_values, task.num_values), dtype=np.int64)
    for sample, probabilities in with_probabilities(predictor, samples):
        target = torch.from_numpy(sample.mask).long()[None]
        found = torch.from_numpy(probabilities)
        logits = task.logits_of(found)[None]
        states = {name: each.add(logits, target) for name, each in collected.items()}
        predicted, confidence = classes_of(task, found), task.confidence(found).numpy()
        counted = sample.mask != IGNORE_INDEX
        confusions += confusion_matrix(sample.mask[counted], predicted[counted], task.num_values)
        calibration.add(confidence[counted], (predicted == sample.mask)[counted])
        worst.add(sample.name, value(metrics[first], states[first]), sample.image, sample.mask, predicted)
        splits.append(sample.split)
        names.append(sample.name)
        seen(len(names))
    return Scores(
        label=label,
        splits=splits,
        names=names,
        metrics={name: _scored(metrics[name], each.states) for name, each in collected.items()},
        calibration=calibration,
        confusions=confusions,
        worst=worst.cases,
    )


def with_probabilities(
    predictor: Predictor, samples: Iterable[NamedSample]
) -> Iterator[tuple[NamedSample, npt.NDArray[np.float32]]]:
    """Yield each sample with its probabilities at its own size.

    The predictor reads some images ahead of the first result.

    Shapes:
        yields: with each sample float32 [K, H, W], as from `Predictor.probabilities`.
    """
    waiting: deque[NamedSample] = deque()

    def images() -> Iterator[Pixels]:
        for sample in samples:
            waiting.append(sample)
            yield sample.image

    for probabilities in predictor.probabilities_of(images()):
        yield waiting.popleft(), probabilities


def _scored(metric: SegmentationMetric, states: States) -> Score:
    has_classes = class_values(metric).size > 0
    return Score(
        value=bootstrap_interval(metric, [states]),
        classes=bootstrap_intervals_of_classes(metric, states) if has_classes else [],
        images=values_of_images(metric, states),
        images_by_class=class_values_of_images(metric, states),
        states=states,
    )
