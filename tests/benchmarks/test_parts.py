"""The other parts of a training step: losses, metrics and images, next to the step itself."""

from typing import Any

import pytest
import torch
from torch import Tensor

import segreg
from segreg.bench.timing import Workload, runner
from segreg.data.in_memory import InMemory, load_data
from segreg.support.device import detect
from segreg.training.augmentation import Augmentation
from tests.builtins.datasets.files import DATA, realdata

SHAPE = (8, 128, 128)


def own(kind: Any) -> list[str]:
    return [entry.key for entry in segreg.components(kind) if entry.plugin.distribution == "segreg"]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Logits of one class, and their target."""
    torch.manual_seed(0)
    return torch.randn(SHAPE[0], 1, *SHAPE[1:], device=detect()), torch.randint(0, 2, SHAPE, device=detect())


@pytest.mark.benchmark(group="a training step of unet on 8 images of 128x128")
def test_step(benchmark: Any) -> None:
    run = runner(Workload(model="unet", how="segreg", training=True, batch=8, size=128, device=detect()))
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="losses, forward and backward, on 8 images of 128x128")
@pytest.mark.parametrize("name", own("loss"))
def test_loss(name: str, batch: tuple[Tensor, Tensor], benchmark: Any) -> None:
    logits, target = batch
    loss = segreg.loss(name)

    def run() -> None:
        loss(logits.requires_grad_(), target).backward()
        logits.grad = None

    benchmark(run)


@pytest.mark.benchmark(group="metrics, an update with 8 images of 128x128")
@pytest.mark.parametrize("average", ["image", "dataset"])
@pytest.mark.parametrize("name", own("metric"))
def test_metric(name: str, average: str, batch: tuple[Tensor, Tensor], benchmark: Any) -> None:
    metric = segreg.metric(name, num_classes=1, average=average)
    benchmark(metric.to(detect()).update, *batch)


@pytest.mark.benchmark(group="images, a batch of 8 of 128x128")
@pytest.mark.parametrize("changes", [(), ("hflip", "vflip", "affine")], ids=["plain", "augmented"])
def test_images(changes: Any, benchmark: Any) -> None:
    pixels = torch.randint(0, 256, (SHAPE[0], 3, *SHAPE[1:]), dtype=torch.uint8)
    images = InMemory(pixels, (pixels[:, 0] > 127).to(torch.uint8), [str(number) for number in range(SHAPE[0])])
    augmentation = Augmentation(changes)

    def run() -> None:
        for batch in images.batches(SHAPE[0], detect()):
            augmentation(*batch)

    benchmark(run)


@realdata("PH2Dataset")
def test_reading(benchmark: Any) -> None:
    dataset = segreg.dataset("ph2", root=DATA / "PH2Dataset")
    benchmark.pedantic(lambda: load_data(dataset, SHAPE[1:], lambda *_: None), rounds=3, warmup_rounds=1)
