"""The other parts of a training step: losses, metrics, images and augmentation, next to the step itself."""

import statistics
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
import torch
from kornia.augmentation import AugmentationSequential, RandomAffine, RandomHorizontalFlip, RandomVerticalFlip
from torch import Tensor

import segreg
from segreg.bench.timing import Workload, runner
from segreg.data.in_memory import InMemory, load_data
from segreg.support.device import detect
from segreg.training.augmenter import Augmenter
from tests.benchmarks.test_epoch import seconds
from tests.builtins.datasets.files import DATA, realdata

SHAPE = (8, 128, 128)
DEFAULT = ("hflip", "vflip", "affine")


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
@pytest.mark.parametrize("names", [(), DEFAULT], ids=["plain", "augmented"])
def test_images(names: Any, benchmark: Any) -> None:
    pixels = torch.randint(0, 256, (SHAPE[0], 3, *SHAPE[1:]), dtype=torch.uint8)
    images = InMemory(pixels, (pixels[:, 0] > 127).to(torch.uint8), [str(number) for number in range(SHAPE[0])])
    augmenter = Augmenter([segreg.augmentation(name) for name in names], 0)
    u = augmenter.uniforms(1, SHAPE[0])

    def run() -> None:
        for batch in images.batches(SHAPE[0], detect()):
            augmenter(*batch, u)

    benchmark(run)


@pytest.mark.benchmark(group="the default augmentation of 8 images of 256x256")
def test_augmentation_against_kornia(benchmark: Any) -> None:
    peer = AugmentationSequential(
        RandomHorizontalFlip(),
        RandomVerticalFlip(),
        RandomAffine(20, (0.05, 0.05), (0.8, 1.2), padding_mode="reflection"),
        data_keys=["image", "mask"],
    )
    images, target, augmented = default_augmentation(256)
    # kornia augments masks as images.
    mask = target[:, None].float()
    compared(benchmark, "kornia's time as a multiple of segreg's", lambda: peer(images, mask), augmented, pairs=60)


@pytest.mark.benchmark(group="the default augmentation and a training step of unet, 8 images of 128x128")
def test_augmentation_as_a_share_of_a_step(benchmark: Any) -> None:
    step = runner(Workload(model="unet", how="segreg", training=True, batch=8, size=128, device=detect()))
    compared(benchmark, "augmentation as a share of a step", default_augmentation(128)[2], step, pairs=5)


def default_augmentation(side: int) -> tuple[Tensor, Tensor, Callable[[], object]]:
    """Return images, their target, and a function that augments them, with new random numbers at each call."""
    images = torch.rand(8, 3, side, side, device=detect())
    target = (images[:, 0] > 0.5).long()
    augmenter = Augmenter([segreg.augmentation(name) for name in DEFAULT], 0)
    rows = cycle(augmenter.uniforms(1, 64 * len(images)).split(len(images)))
    return images, target, lambda: augmenter(images, target, next(rows))


def compared(benchmark: Any, what: str, one: Callable[[], object], other: Callable[[], object], pairs: int) -> None:
    """Time both in turn, since a machine that is shared changes from second to second, and print the ratio."""
    ratios = []

    def both() -> None:
        ratios.append(seconds(one) / seconds(other))

    benchmark.pedantic(both, rounds=pairs, warmup_rounds=2)
    low, median, high = statistics.quantiles(ratios[2:], n=4)
    benchmark.extra_info[what] = shown = f"{median:.3g}, half of the pairs from {low:.3g} to {high:.3g}"
    print(f"\n{what}: {shown}")


@realdata("PH2Dataset")
def test_reading(benchmark: Any) -> None:
    dataset = segreg.dataset("ph2", root=DATA / "PH2Dataset")
    benchmark.pedantic(lambda: load_data(dataset, SHAPE[1:], lambda *_: None), rounds=3, warmup_rounds=1)
