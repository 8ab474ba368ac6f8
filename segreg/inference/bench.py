"""How fast models are on this machine, and how near to what their convolutions alone would take."""

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

from segreg.data.in_memory import InMemory
from segreg.data.split import Data
from segreg.errors import OptionError
from segreg.inference.convolutions import convolutions
from segreg.registry import build
from segreg.training import device as devices
from segreg.training.normalized import Normalized
from segreg.training.prediction import ready_to_predict
from segreg.training.recipe import Recipe, make_recipe
from segreg.training.shapes import without_values
from segreg.training.trainer import Trainer

How: TypeAlias = Literal["segreg", "plain fp32"]
_CHANNELS = 3
# So that the quickest of models is timed over more than the clock's own noise.
_LEAST_SECONDS = 0.02


@attrs.frozen(kw_only=True)
class Task:
    """What is timed.

    Args:
        model: An architecture, as an expression.
        how: `segreg` for the way that segreg trains and predicts, with no option set; `plain fp32` for a loop as most
            people write it: float32, default memory format, unfused optimizer.
        training: A training step with BCE and AdamW, or a prediction.
        batch: Images at a time.
        size: Height and width, in pixels.
        device: Where.
    """

    model: str
    how: How
    training: bool
    batch: int
    size: int
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the images."""
        return self.batch, _CHANNELS, self.size, self.size


@attrs.frozen(kw_only=True)
class Figures:
    """What was seen of a task. A pair of numbers is the median and the spread (largest minus smallest) over rounds.

    Args:
        task: What was timed.
        milliseconds: For a batch.
        images_per_second: Median alone.
        gflops: Billions of floating-point operations a second, of convolutions and products of matrices.
        of_convolutions: The time of the convolutions alone, in segreg's type and memory format, as a share of the time
            of the task; both are timed in the same round.
        speed: Images a second as a multiple of the first task's, in the same round.
        megabytes: Memory that the task took at its peak beyond what torch takes by itself; None where it is not known.
        parameters: What the model learns.
    """

    task: Task
    milliseconds: tuple[float, float]
    images_per_second: float
    gflops: float
    of_convolutions: tuple[float, float]
    speed: tuple[float, float]
    megabytes: float | None
    parameters: int


def bench(tasks: Sequence[Task], rounds: int, progress: Callable[[str, int, int], None]) -> list[Figures]:
    """Time tasks against each other: in every round each task once, and right after it its convolutions.

    Args:
        tasks: What to time; the others are compared with the first.
        rounds: How often, after one that does not count.
        progress: Called with what goes on, how much of it is done, and how much there is.

    Raises:
        OptionError, ExpressionError, UnknownNameError, PluginError: a model cannot be built.
    """
    if rounds < 1:
        raise OptionError(f"rounds is {rounds}: it must be 1 or more")
    for task in tasks:
        _recipe(task)  # objects to a model or a size before anything is timed
    total = len(tasks) * (rounds + 2)
    megabytes = []
    for number, task in enumerate(tasks):
        progress(f"memory of {task.model}", number, total)
        megabytes.append(_peak_megabytes(task))
    devices.keep_freed_memory()
    runners = [runner(task) for task in tasks]
    alone = [_convolutions_alone(task) for task in tasks]
    seconds: list[list[float]] = [[] for _ in tasks]
    convolving: list[list[float]] = [[] for _ in tasks]
    for each in range(rounds + 1):
        for number, task in enumerate(tasks):
            progress(f"{task.model}, {task.how}", len(tasks) * (each + 1) + number, total)
            took = _seconds(runners[number], task.device)
            least = sum(count * _seconds(run, task.device) for run, count in alone[number])
            if each:
                seconds[number].append(took)
                convolving[number].append(least)
    found = []
    for number, task in enumerate(tasks):
        pace = [tasks[0].batch / first for first in seconds[0]]
        median = statistics.median(seconds[number])
        found.append(
            Figures(
                task=task,
                milliseconds=_median_and_spread([1000 * each for each in seconds[number]]),
                images_per_second=task.batch / median,
                gflops=_operations(task) / median / 1e9,
                of_convolutions=_median_and_spread(
                    [least / took for least, took in zip(convolving[number], seconds[number], strict=True)]
                ),
                speed=_median_and_spread(
                    [task.batch / took / base for took, base in zip(seconds[number], pace, strict=True)]
                ),
                megabytes=megabytes[number],
                parameters=sum(parameter.numel() for parameter in _on_meta(task).parameters()),
            )
        )
    return found


def _recipe(task: Task) -> Recipe:
    return make_recipe(model=task.model, loss="bce", size=task.size, batch=task.batch, epochs=10_000)


def runner(task: Task) -> Callable[[], object]:
    """Return what does the task once."""
    images = torch.rand(task.shape, device=task.device)
    target = (images[:, 0] > 0.5).long()
    if task.how == "segreg" and task.training:
        ours = trainer(task, images, target)
        return lambda: ours.step(images, target)
    model = build(task.model, in_channels=_CHANNELS).to(task.device)
    if task.how == "segreg":
        ready = ready_to_predict(Normalized(model, "image"), task.device, "auto")
        return lambda: _predicted(ready, images)
    if not task.training:
        return torch.no_grad()(lambda: model.eval()(images))
    optimizer = torch.optim.AdamW(model.train().parameters())
    loss = nn.BCEWithLogitsLoss()
    truth = target.unsqueeze(1).float()

    def step() -> None:
        optimizer.zero_grad()
        loss(model(images), truth).backward()
        optimizer.step()

    return step


def trainer(task: Task, images: Tensor, target: Tensor) -> Trainer:
    """Return what segreg trains the model of a task with, on one batch: the default recipe and BCE."""
    split = InMemory((images * 255).byte().cpu(), target.byte().cpu(), [""] * task.batch)
    data = Data(classes=("foreground",), in_channels=_CHANNELS, splits={"train": split, "valid": split})
    return Trainer(_recipe(task), data, task.device)


@torch.no_grad()
def _predicted(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits as segreg predicts them, with a model that is ready to."""
    with devices.autocast(images.device, "auto"):
        logits: Tensor = model(images)
    return logits


def _on_meta(task: Task) -> nn.Module:
    with without_values():
        return build(task.model, in_channels=_CHANNELS)


def _operations(task: Task) -> int:
    model = _on_meta(task)
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.empty(task.shape, device="meta"))
        if task.training:
            logits.sum().backward()
    operations: int = counter.get_total_flops()
    return operations


def _convolutions_alone(task: Task) -> list[tuple[Callable[[], Tensor], int]]:
    dtype = torch.bfloat16 if devices.uses_bf16(task.device, "auto") else torch.float32
    return [
        (each.step(task.device, dtype) if task.training else each.forward(task.device, dtype), count)
        for each, count in convolutions(_on_meta(task), task.shape).items()
    ]


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return what one call takes, from as many as it takes to measure it."""
    calls = 0
    _wait(device)
    started = time.perf_counter()
    while calls == 0 or time.perf_counter() - started < _LEAST_SECONDS:
        run()
        calls += 1
        _wait(device)
    return (time.perf_counter() - started) / calls


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _peak_megabytes(task: Task) -> float | None:
    """Return what the task takes at its peak: on a CPU seen in a process of its own, which does nothing else."""
    if task.device.type == "cuda":
        torch.cuda.synchronize(task.device)
        before = torch.cuda.memory_allocated(task.device)
        torch.cuda.reset_peak_memory_stats(task.device)
        _repeat(task)
        return (torch.cuda.max_memory_allocated(task.device) - before) / 1e6
    if task.device.type != "cpu" or sys.platform != "linux":
        return None
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_resident_megabytes, task).result()
        except BrokenProcessPool as error:
            raise OptionError(
                f"{task.model} was killed with batch {task.batch} at {task.size}x{task.size}, "
                "as happens when memory runs out: try a smaller batch or size"
            ) from error


def _resident_megabytes(task: Task) -> float:
    _on_meta(task)  # imports what the model needs
    if task.how == "segreg":
        devices.keep_freed_memory()
    # Begins the mark of the highest water anew; `getrusage` would remember that of the process which started this one.
    Path("/proc/self/clear_refs").write_text("5")
    before = _high_water_kilobytes()
    _repeat(task)
    return (_high_water_kilobytes() - before) * 1024 / 1e6


def _high_water_kilobytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _repeat(task: Task) -> None:
    run = runner(task)
    for _ in range(3):
        run()


def _median_and_spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.median(values), max(values) - min(values)
