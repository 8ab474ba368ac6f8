"""An epoch of the trainer, with images, augmentation and metrics, against its bare steps on tensors in memory."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import segreg
from segreg.contracts import SegmentationDataset
from segreg.data.in_memory import load_data
from segreg.recipe import make_recipe
from segreg.support.device import detect, keep_freed_memory
from segreg.training.trainer import Trainer
from tests.builtins.datasets.files import DATA, realdata


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def test_epoch_on_lesions_against_bare_steps(benchmark: Any) -> None:
    against_bare_steps(segreg.dataset("lesions", train=48, valid=1, test=1), benchmark)


@realdata("PH2Dataset")
def test_epoch_on_ph2_against_bare_steps(benchmark: Any) -> None:
    against_bare_steps(segreg.dataset("ph2", root=DATA / "PH2Dataset"), benchmark)


def against_bare_steps(dataset: SegmentationDataset, benchmark: Any) -> None:
    keep_freed_memory()
    data = load_data(dataset, (128, 128), lambda *_: None)
    trainer = Trainer(make_recipe(size=128, epochs=1000), data, detect())
    batches = list(data.splits["train"].batches(trainer.recipe.batch, trainer.device))

    def bare() -> None:
        for images, target in batches:
            trainer.step(images, target)

    ratios = []

    def both() -> None:
        ratios.append(seconds(trainer.train_epoch) / seconds(bare))

    benchmark.pedantic(both, rounds=3, warmup_rounds=1)
    shown = f"{statistics.median(ratios[1:]):.3f}, from {min(ratios[1:]):.3f} to {max(ratios[1:]):.3f}"
    benchmark.extra_info["an epoch as a multiple of its bare steps"] = shown
    print(f"\nan epoch as a multiple of its bare steps: {shown}")
