"""What the report measures. All of it goes through `import segreg` and the command line, and bypasses neither."""

import gc
import json
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import segreg
from tests.gpu.environment import ROOT

# A part may take three minutes, and what was measured by then is printed.
LIMIT = 165.0


@attrs.frozen(kw_only=True)
class Setup:
    """What is measured, and where.

    Args:
        device: `cuda`, or `cpu` to try the report itself.
        models: Architectures; what is measured for only one is measured for the first.
        batches: Batch sizes; likewise.
        size: Height and width of the images, in pixels.
        data: The dataset, as an expression.
        epochs: Epochs of a run of the study.
        folder: For temporary files.
    """

    device: str
    models: tuple[str, ...]
    batches: tuple[int, ...]
    size: int
    data: str
    epochs: int
    folder: Path

    @property
    def images(self) -> int:
        """Number of images to train on."""
        return len(segreg.dataset(self.data).splits["train"])

    def steps(self, batch: int) -> int:
        """Return the number of steps in an epoch."""
        return -(-self.images // batch)


@attrs.frozen(kw_only=True, eq=False)
class Fit:
    """The timings and results of a run.

    Args:
        wall: Seconds from the call to the return.
        history: One row per epoch.
        iou: On the validation split, with the best weights.
        weights: The best weights, by name, on the CPU.
    """

    wall: float
    history: Sequence[Mapping[str, float]]
    iou: float
    weights: Mapping[str, Tensor]

    @classmethod
    def read(cls, run: segreg.Run, wall: float) -> "Fit":
        """Read what a finished run left on disk."""
        iou = float(run.results["metrics"]["valid"]["iou"])
        return cls(wall=wall, history=run.history, iou=iou, weights=load_file(run.path / "model.safetensors"))

    @property
    def images_per_second(self) -> float:
        """Of training alone: the median over all epochs except the first."""
        return self._typical("images_per_second")

    @property
    def epoch_seconds(self) -> float:
        """Of training and validation: the median over all epochs except the first."""
        return self._typical("seconds")

    @property
    def in_epochs(self) -> float:
        """Seconds of all epochs together."""
        return sum(row["seconds"] for row in self.history)

    @property
    def numbers(self) -> list[dict[str, float]]:
        """The history without timings."""
        timing = ("seconds", "images_per_second")
        return [{name: value for name, value in row.items() if name not in timing} for row in self.history]

    def _typical(self, name: str) -> float:
        return statistics.median(row[name] for row in self.history[1:] or self.history)


def draw(folder: Path, size: int, images: int) -> str:
    """Draw a dataset of the size of PH2, half of it to train on, as files that every fit reads in a moment."""
    train, valid = images // 2, images // 4
    counts = f"train={train},valid={valid},test={images - train - valid}"
    for split, samples in segreg.dataset(f"lesions:size={size},{counts}").splits.items():
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for number in range(len(samples)):
            image, mask = samples[number]
            Image.fromarray(image).save(folder / split / "images" / f"{number:04}.png", compress_level=1)
            Image.fromarray(mask * 255).save(folder / split / "masks" / f"{number:04}.png", compress_level=1)
    return f"folder:root={folder}"


def fit(setup: Setup, model: str, batch: int, epochs: int, **settings: Any) -> Fit:
    """Train through the public API, and leave nothing behind."""
    out = setup.folder / "run"
    try:
        started = time.perf_counter()
        run = segreg.fit(
            model,
            data=setup.data,
            size=setup.size,
            batch=batch,
            epochs=epochs,
            device=setup.device,
            out=out,
            quiet=True,
            **settings,
        )
        return Fit.read(run, wall=time.perf_counter() - started)
    finally:
        shutil.rmtree(out, ignore_errors=True)
        gc.collect()
        if setup.device == "cuda":
            torch.cuda.empty_cache()


@cache
def operations(model: str, size: int) -> int:
    """Count the floating-point operations of a training step with one image: of convolutions and matrix products."""
    with torch.device("meta"):
        images = torch.empty(1, 3, size, size)
        network = segreg.build(model, in_channels=3, num_classes=1)
        with FlopCounterMode(display=False) as counter:
            network(images).sum().backward()
    return int(counter.get_total_flops())


def call(*words: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """Run Python in its own process, so that it starts with all of the GPU's memory.

    Raises:
        subprocess.TimeoutExpired: it took longer than the limit, in seconds.
    """
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=max(limit, 1.0), check=False
    )


def bench(setup: Setup, batch: int, limit: float) -> list[dict[str, Any]]:
    """Return what `segreg bench` reports on a training step: first the plain fp32 loop, then segreg's own.

    Raises:
        RuntimeError: the command failed.
    """
    words = ["-m", "segreg", "bench", *setup.models, "--against", setup.models[0], "--train", "--json", "-q"]
    sizes = ["--batch", str(batch), "--size", str(setup.size), "--device", setup.device]
    done = call(*words, *sizes, limit=limit)
    if done.returncode:
        raise RuntimeError(f"segreg bench, batch size {batch}: {last_line(done.stderr)}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing was printed")


@attrs.frozen(kw_only=True)
class Trace:
    """What the profiler saw of a fit.

    Args:
        fit: The fit, slowed down by the profiler.
        busy: Seconds in which the GPU was busy: the union of kernels, copies and fills.
        kernels: Seconds of each kernel, by its name.
        counts: Number of calls from the host, by name in CUDA's runtime, and `kernels`: the number of kernels.
    """

    fit: Fit
    busy: float
    kernels: Mapping[str, float]
    counts: Mapping[str, int]


def trace(setup: Setup, model: str, batch: int, epochs: int) -> Trace:
    """Train under the profiler, which watches only the GPU: watching torch's operations too would slow the host."""
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        fitted = fit(setup, model, batch, epochs)
    spans: list[tuple[float, float]] = []
    kernels: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event in profiler.events() or ():
        if event.device_type.name == "CPU":
            counts[event.name] += 1
        elif not getattr(event, "is_user_annotation", False):
            spans.append((event.time_range.start, event.time_range.end))
            kernels[event.name] += event.time_range.end - event.time_range.start
    counts["kernels"] = len(spans)
    # The profiler counts in microseconds.
    seconds = {name: spent / 1e6 for name, spent in kernels.items()}
    return Trace(fit=fitted, busy=union(spans) / 1e6, kernels=seconds, counts=counts)


def union(spans: Sequence[tuple[float, float]]) -> float:
    """Return the total time covered by at least one of the spans."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total


@contextmanager
def counted_syncs() -> Iterator[Counter[str]]:
    """Count where in segreg the host waits for the GPU, as far as torch notices: `file:line`, and its caller."""
    places: Counter[str] = Counter()

    def note(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        if "called a synchronizing CUDA operation" in str(message):
            places[_place(f"{filename}:{lineno}")] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note  # type: ignore[assignment]
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")


def _place(innermost: str) -> str:
    """Name the line of segreg being executed, and the line of a library that it called, if any."""
    package = Path(segreg.__file__).parent
    frame = sys._getframe(2)
    while frame and package not in Path(frame.f_code.co_filename).parents:
        if frame.f_back is None:
            return innermost
        frame = frame.f_back
    ours = f"{Path(frame.f_code.co_filename).relative_to(package.parent)}:{frame.f_lineno}"
    inside = innermost.startswith(str(package))
    return ours if inside else f"{ours} in {'/'.join(Path(innermost).parts[-2:])}"
