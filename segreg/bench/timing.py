"""How fast models are on this machine, and how close to the speed of their convolutions alone."""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segreg.bench.convolutions import convolutions
from segreg.data.in_memory import InMemory
from segreg.data.split import Data
from segreg.errors import OptionError
from segreg.nn.fuse import ready_to_predict
from segreg.nn.meta import without_values
from segreg.nn.normalized import Normalized
from segreg.recipe import Recipe, make_recipe
from segreg.registry import build
from segreg.support import device as devices
from segreg.training.trainer import Trainer

How: TypeAlias = Literal["segreg", "plain fp32"]
_CHANNELS = 3
# Long enough that even the fastest model is timed well above the clock's noise.
_MIN_SECONDS = 0.02


@attrs.frozen(kw_only=True)
class Workload:
    """What is timed.

    Args:
        model: An architecture, as an expression.
        how: `segreg` for the way that segreg trains and predicts by default; `plain fp32` for a loop as most people
            write it: float32, default memory format, unfused optimizer.
        training: Whether to time training steps with BCE and AdamW, or else predictions.
        batch: Batch size.
        size: Height and width, in pixels.
        device: Device to run on.
    """

    model: str
    how: How
    training: bool
    batch: int
    size: int
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the images."""
        return self.batch, _CHANNELS, self.size, self.size


@attrs.frozen(kw_only=True)
class Timings:
    """The timings of a workload. A pair of numbers is the median and the spread (maximum minus minimum) over rounds.

    Args:
        workload: What was timed.
        milliseconds: Time per batch.
        images_per_second: The median only.
        gflops: Billions of floating-point operations per second, of convolutions and matrix products.
        of_convolutions: The time of the convolutions alone, in segreg's type and memory format, as a share of the time
            of the workload; both are timed in the same round.
        speed: Speed-up over the first workload, in the same round.
        megabytes: Peak memory beyond what torch takes by itself; None if unknown.
        parameters: Number of learnable parameters.
    """

    workload: Workload
    milliseconds: tuple[float, float]
    images_per_second: float
    gflops: float
    of_convolutions: tuple[float, float]
    speed: tuple[float, float]
    megabytes: float | None
    parameters: int


def bench(workloads: Sequence[Workload], rounds: int, progress: Callable[[str, int, int], None]) -> list[Timings]:
    """Time workloads against each other: each workload once per round, and right after it its convolutions.

    Args:
        workloads: What to time; the others are compared with the first.
        rounds: Number of rounds, after a warm-up.
        progress: Called with what is being done, how much of it is done, and the total.

    Raises:
        OptionError, ExpressionError, UnknownNameError, PluginError: a model cannot be built.
    """
    if rounds < 1:
        raise OptionError(f"rounds is {rounds}: expected 1 or more")
    for workload in workloads:
        _recipe(workload)  # rejects a model or a size before anything is timed
    total = len(workloads) * (rounds + 2)
    megabytes = []
    for number, workload in enumerate(workloads):
        progress(f"memory of {workload.model}", number, total)
        megabytes.append(_peak_megabytes(workload))
    devices.keep_freed_memory()
    runners = [runner(workload) for workload in workloads]
    alone = [_convolutions_alone(workload) for workload in workloads]
    seconds: list[list[float]] = [[] for _ in workloads]
    convolving: list[list[float]] = [[] for _ in workloads]
    for each in range(rounds + 1):
        for number, workload in enumerate(workloads):
            progress(f"{workload.model}, {workload.how}", len(workloads) * (each + 1) + number, total)
            took = _seconds(runners[number], workload.device)
            alone_took = sum(count * _seconds(run, workload.device) for run, count in alone[number])
            if each:
                seconds[number].append(took)
                convolving[number].append(alone_took)
    found = []
    for number, workload in enumerate(workloads):
        pace = [workloads[0].batch / first for first in seconds[0]]
        median = statistics.median(seconds[number])
        found.append(
            Timings(
                workload=workload,
                milliseconds=_median_and_spread([1000 * each for each in seconds[number]]),
                images_per_second=workload.batch / median,
                gflops=_operations(workload) / median / 1e9,
                of_convolutions=_median_and_spread(
                    [each / took for each, took in zip(convolving[number], seconds[number], strict=True)]
                ),
                speed=_median_and_spread(
                    [workload.batch / took / base for took, base in zip(seconds[number], pace, strict=True)]
                ),
                megabytes=megabytes[number],
                parameters=sum(parameter.numel() for parameter in _on_meta(workload).parameters()),
            )
        )
    return found


def _recipe(workload: Workload) -> Recipe:
    return make_recipe(model=workload.model, loss="bce", size=workload.size, batch=workload.batch, epochs=10_000)


def runner(workload: Workload) -> Callable[[], object]:
    """Return a function that runs the workload once."""
    images = torch.rand(workload.shape, device=workload.device)
    target = (images[:, 0] > 0.5).long()
    if workload.how == "segreg" and workload.training:
        ours = trainer(workload)
        return lambda: ours.step(images, target)
    model = build(workload.model, in_channels=_CHANNELS).to(workload.device)
    if workload.how == "segreg":
        ready = ready_to_predict(Normalized(model, "image"), workload.device, "auto")
        return lambda: _predicted(ready, images)
    if not workload.training:
        return torch.no_grad()(lambda: model.eval()(images))
    optimizer = torch.optim.AdamW(model.train().parameters())
    loss = nn.BCEWithLogitsLoss()
    ground_truth = target.unsqueeze(1).float()

    def step() -> None:
        optimizer.zero_grad()
        loss(model(images), ground_truth).backward()
        optimizer.step()

    return step


def trainer(workload: Workload) -> Trainer:
    """Return the trainer for the model of a workload, in epochs of one batch: the default recipe with BCE."""
    images = torch.empty(workload.shape, dtype=torch.uint8)
    split = InMemory(images, images[:, 0], [""] * workload.batch)
    data = Data(classes=("foreground",), in_channels=_CHANNELS, splits={"train": split, "valid": split})
    return Trainer(_recipe(workload), data, workload.device)


@torch.no_grad()
def _predicted(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits as segreg predicts them, with a model that is ready to predict."""
    with devices.autocast(images.device, "auto"):
        logits: Tensor = model(images)
    return logits


def _on_meta(workload: Workload) -> nn.Module:
    with without_values():
        return build(workload.model, in_channels=_CHANNELS)


def _operations(workload: Workload) -> int:
    model = _on_meta(workload)
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.empty(workload.shape, device="meta"))
        if workload.training:
            logits.sum().backward()
    operations: int = counter.get_total_flops()
    return operations


def _convolutions_alone(workload: Workload) -> list[tuple[Callable[[], Tensor], int]]:
    dtype = torch.bfloat16 if devices.uses_bf16(workload.device, "auto") else torch.float32
    return [
        (each.step(workload.device, dtype) if workload.training else each.forward(workload.device, dtype), count)
        for each, count in convolutions(_on_meta(workload), workload.shape).items()
    ]


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return the time of one call, averaged over enough calls to measure it."""
    calls = 0
    _wait(device)
    started = time.perf_counter()
    while calls == 0 or time.perf_counter() - started < _MIN_SECONDS:
        run()
        calls += 1
        _wait(device)
    return (time.perf_counter() - started) / calls


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _peak_megabytes(workload: Workload) -> float | None:
    """Return the peak memory of the workload: on a CPU measured in a separate process, which does nothing else."""
    if workload.device.type == "cuda":
        torch.cuda.synchronize(workload.device)
        before = torch.cuda.memory_allocated(workload.device)
        torch.cuda.reset_peak_memory_stats(workload.device)
        _repeat(workload)
        return (torch.cuda.max_memory_allocated(workload.device) - before) / 1e6
    if workload.device.type != "cpu" or sys.platform != "linux":
        return None
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_resident_megabytes, workload).result()
        except BrokenProcessPool as error:
            raise OptionError(
                f"{workload.model} was killed with batch {workload.batch} at {workload.size}x{workload.size}, "
                "as happens when memory runs out: try a smaller batch or size"
            ) from error


def _resident_megabytes(workload: Workload) -> float:
    _on_meta(workload)  # imports what the model needs
    if workload.how == "segreg":
        devices.keep_freed_memory()
    # Resets the high-water mark; `getrusage` would keep that of the process which started this one.
    Path("/proc/self/clear_refs").write_text("5")
    before = _high_water_kilobytes()
    _repeat(workload)
    return (_high_water_kilobytes() - before) * 1024 / 1e6


def _high_water_kilobytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _repeat(workload: Workload) -> None:
    run = runner(workload)
    for _ in range(3):
        run()


def _median_and_spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.median(values), max(values) - min(values)
