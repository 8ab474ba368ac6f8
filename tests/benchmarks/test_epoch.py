"""An epoch of the trainer, with pictures, augmentation and metrics, against its bare steps on tensors in memory."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

import segreg
from segreg.contracts import SegmentationDataset
from segreg.inference.bench import Task, trainer
from segreg.training.checkpoint import Checkpoints
from segreg.training.device import detect, keep_freed_memory
from segreg.training.loop import take_step, train_epoch
from segreg.training.pictures import load
from segreg.training.progress import Display
from segreg.training.run import Run
from tests.datasets.files import DATA, realdata


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def test_epoch_on_lesions_against_bare_steps(benchmark: Any, tmp_path: Path) -> None:
    against_bare_steps(segreg.dataset("lesions", train=48, valid=1, test=1), benchmark, tmp_path)


@realdata("PH2Dataset")
def test_epoch_on_ph2_against_bare_steps(benchmark: Any, tmp_path: Path) -> None:
    against_bare_steps(segreg.dataset("ph2", root=DATA / "PH2Dataset"), benchmark, tmp_path)


def against_bare_steps(dataset: SegmentationDataset, benchmark: Any, tmp_path: Path) -> None:
    keep_freed_memory()
    device = detect()
    recipe, parts, state = trainer(Task(model="unet", how="segreg", training=True, batch=8, size=128, device=device))
    parts = attrs.evolve(parts, metrics={"iou": segreg.metric("iou", num_classes=1).to(device)})
    pictures = load(dataset, (128, 128), lambda *_: None).splits["train"]
    batches = list(pictures.batches(recipe.batch, device))

    def bare() -> None:
        for images, target in batches:
            take_step(parts, state, recipe.precision, images, target)

    checkpoints = Checkpoints(Run(tmp_path), {}, {})
    ratios = []

    def both() -> None:
        with Display(quiet=True) as display:
            whole = seconds(lambda: train_epoch(recipe, parts, pictures, state, checkpoints, display))
        ratios.append(whole / seconds(bare))

    benchmark.pedantic(both, rounds=3, warmup_rounds=1)
    shown = f"{statistics.median(ratios[1:]):.3f}, from {min(ratios[1:]):.3f} to {max(ratios[1:]):.3f}"
    benchmark.extra_info["an epoch as a multiple of its bare steps"] = shown
    print(f"\nan epoch as a multiple of its bare steps: {shown}")
