"""What holds on a CPU holds on a GPU: training, resuming, scores, and the error when memory runs out."""

import csv
import gc
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import segreg

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use, through CUDA"),
]

MODEL = "unet:width=8,depth=2"
SETTINGS: dict[str, Any] = {
    "data": "lesions:size=64,train=24,valid=8,test=8",
    "size": 64,
    "batch": 8,
    "device": "cuda",
    "quiet": True,
}
TIMING = ("seconds", "images_per_second")


def numbers(run: segreg.Run) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name not in TIMING} for row in run.history]


def differing(one: Path, two: Path) -> list[str]:
    """The names of weights that are not bit-identical."""
    first, second = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert first.keys() == second.keys()
    return [name for name, weights in first.items() if not weights.equal(second[name])]


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "segreg", *map(str, words)]


@pytest.mark.parametrize("model", [MODEL, "segnet-basic"])
def test_the_same_seed_gives_the_same_weights(model: str, tmp_path: Path) -> None:
    one, two = (segreg.fit(model, **SETTINGS, epochs=3, out=tmp_path / name) for name in ("one", "two"))
    assert numbers(one) == numbers(two)
    assert differing(one.path, two.path) == []


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, two = (segreg.fit(MODEL, **SETTINGS, epochs=1, seed=seed, out=tmp_path / f"{seed}") for seed in (0, 1))
    assert differing(one.path, two.path)


def test_training_improves_the_score(tmp_path: Path) -> None:
    history = segreg.fit(MODEL, **SETTINGS, epochs=20, out=tmp_path / "run").history
    assert history[-1]["valid_loss"] < 0.7 * history[0]["valid_loss"]


def test_an_interrupted_run_is_resumed_to_the_same_weights(tmp_path: Path) -> None:
    epochs = 40
    whole = segreg.fit(MODEL, **SETTINGS, epochs=epochs, out=tmp_path / "whole")
    broken = segreg.Run(tmp_path / "broken")
    settings = ["--data", SETTINGS["data"], "--size", "64", "--batch", "8", "--device", "cuda", "--epochs", str(epochs)]
    # After every second of three steps, so that the checkpoint it resumes from is in the middle of an epoch.
    process = subprocess.Popen(
        command("train", MODEL, *settings, "--checkpoint-every", "2", "--out", broken.path, "-q")
    )
    try:
        until = time.monotonic() + 120
        while len(broken.history) < 3 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
    assert not broken.finished
    assert 3 <= len(broken.history) < epochs
    subprocess.run(command("train", "--resume", broken.path, "-q"), check=True, timeout=120)
    assert numbers(segreg.Run(broken.path)) == numbers(whole)
    assert differing(whole.path, broken.path) == []


def test_gpu_and_cpu_score_a_model_alike(tmp_path: Path) -> None:
    run = segreg.fit(MODEL, **SETTINGS, epochs=10, out=tmp_path / "run")
    scores = []
    for device in ("cpu", "cuda"):
        out = tmp_path / device
        segreg.evaluate(run, device=device, precision="fp32", metrics=["iou", "accuracy"], out=out, quiet=True)
        with (out / "images.csv").open(encoding="utf-8", newline="") as file:
            scores.append([[float(row[name]) for name in ("iou", "accuracy")] for row in csv.DictReader(file)])
    on_cpu, on_gpu = map(np.array, scores)
    assert on_cpu.shape == (8, 2)
    # TF32 and another order of summation flip a few of 64x64 pixels, at the edges of the lesions.
    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.02)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("name", ["iou", "dice", "accuracy", "precision", "recall"])
def test_a_metric_is_updated_without_a_wait(name: str, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, num_classes, 33, 47, generator=generator)
    target = torch.randint(0, max(num_classes, 2), (4, 33, 47), generator=generator)
    on_cpu: Any = segreg.metric(name, num_classes=num_classes)
    on_gpu: Any = segreg.metric(name, num_classes=num_classes)
    on_gpu.to("cuda")
    on_cpu.update(logits, target)
    logits, target = logits.cuda(), target.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu.update(logits, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert on_gpu.compute() == on_cpu.compute()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Leave torch 1.5 GB of the GPU."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.5e9 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("little_memory")
def test_for_a_batch_that_does_not_fit_one_that_does_is_suggested(tmp_path: Path) -> None:
    settings = {**SETTINGS, "data": "lesions:size=32,train=128,valid=128,test=4", "size": 256, "epochs": 1}
    message = ""
    # Not by `pytest.raises`, which would keep what the error refers to.
    try:
        segreg.fit("unet:width=16", **{**settings, "batch": 128}, out=tmp_path / "large")
    except segreg.TrainingError as error:
        message = str(error)
    gc.collect()
    assert "\n" not in message
    found = re.search(r"out of memory on cuda.* 128 at 256x256 does not fit, .*?(\d+) does", message)
    assert found, message
    smaller = int(found[1])
    assert 1 <= smaller < 128
    assert segreg.fit("unet:width=16", **{**settings, "batch": smaller}, out=tmp_path / "small").finished
