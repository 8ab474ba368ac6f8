"""An epoch of the trainer, with pictures, augmentation and metrics, against its bare steps on tensors in memory."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import attrs

import segreg
from segreg.contracts import SegmentationDataset
from segreg.inference.bench import Task, trainer
from segreg.training.device import detect, keep_freed_memory
from segreg.training.loop import take_step, train_epoch
from segreg.training.pictures import load
from segreg.training.progress import Display
from tests.datasets.files import DATA, realdata


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
    device = detect()
    recipe, parts, state = trainer(Task(model="unet", how="segreg", training=True, batch=8, size=128, device=device))
    parts = attrs.evolve(parts, metrics={"iou": segreg.metric("iou", num_classes=1).to(device)})
    pictures = load(dataset, (128, 128), lambda *_: None).splits["train"]
    batches = list(pictures.batches(recipe.batch, device))

    def bare() -> None:
        for images, target in batches:
            take_step(parts, state, recipe.precision, images, target)

    ratios = []

    def both() -> None:
        with Display(quiet=True) as display:
            whole = seconds(lambda: train_epoch(recipe, parts, pictures, state, display))
        ratios.append(whole / seconds(bare))

    benchmark.pedantic(both, rounds=3, warmup_rounds=1)
    shown = f"{statistics.median(ratios[1:]):.3f}, from {min(ratios[1:]):.3f} to {max(ratios[1:]):.3f}"
    benchmark.extra_info["an epoch as a multiple of its bare steps"] = shown
    print(f"\nan epoch as a multiple of its bare steps: {shown}")
