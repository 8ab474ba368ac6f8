"""How cost grows with size, batch, width and the number of plugins: `python -m tests.benchmarks.growth IMAGE`."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segreg.bench.timing import Workload, runner
from segreg.support.device import detect, device_name, keep_freed_memory
from tests.end_to_end.environment import ROOT, Environment, build_wheel
from tests.end_to_end.many import COMPONENTS, write_many

_ROUNDS = 5
_SIZES = (32, 64, 128, 256, 512)
_BATCHES = (1, 2, 4, 8, 16)
_WIDTHS = (8, 16, 32, 64, 128)
_PLUGINS = (0, 10, 30, 100)


def milliseconds(run: Callable[[], object]) -> tuple[float, float, float]:
    """Median, minimum and maximum over several rounds, after one warm-up round."""
    run()
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        run()
        rounds.append(1000 * (time.perf_counter() - started))
    return statistics.median(rounds), min(rounds), max(rounds)


def of_model(training: bool, *, size: int = 128, batch: int = 4, width: int = 32) -> tuple[float, float, float]:
    """A prediction or a training step of U-Net."""
    workload = Workload(
        model=f"unet:width={width}", how="segreg", training=training, batch=batch, size=size, device=detect()
    )
    return milliseconds(runner(workload))


def of_list(environment: Environment) -> tuple[float, float, float]:
    """The command `segreg list`, in its own process."""

    def run() -> None:
        done = environment.segreg("list")
        assert done.returncode == 0, done.stderr

    return milliseconds(run)


def with_plugins() -> list[tuple[float, float, float]]:
    """`segreg list` with a growing number of plugins."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment.create(Path(folder))
        environment.install(build_wheel(ROOT, "segreg", Path(folder) / "wheel"))
        found = []
        for count in _PLUGINS:
            if count:
                environment.install(*write_many(Path(folder), count))
            found.append(of_list(environment))
    return found


def main(words: Sequence[str]) -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description=__doc__)
    parser.add_argument("image", type=Path, help="where to draw the figures, as PNG or SVG")
    image = parser.parse_args(words).image
    keep_freed_memory()
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    figure.suptitle(f"unet on {device_name(detect())}", size=10)
    panels = figure.subplots(2, 2).flat
    grown = {
        "size": (_SIZES, "height and width, in pixels (batch 4, width 32)"),
        "batch": (_BATCHES, "images in a batch (128×128, width 32)"),
        "width": (_WIDTHS, "width (4 images of 128×128)"),
    }
    for axes, (option, (values, label)) in zip(panels, grown.items(), strict=False):
        for training, name in ((False, "prediction"), (True, "training step")):
            found = [of_model(training, **{option: value}) for value in values]
            _draw(axes, values, found, name)
            for value, each in zip(values, found, strict=True):
                print(f"{name}, {option} {value}: {each[0]:.1f} ms, {each[1]:.1f} to {each[2]:.1f}", flush=True)
        axes.set(xlabel=label, xscale="log", yscale="log", ylabel="ms")
        axes.set_xticks(values, [str(value) for value in values], minor=False)
        axes.minorticks_off()
        axes.legend(frameon=False)
    found = with_plugins()
    for count, each in zip(_PLUGINS, found, strict=True):
        print(f"segreg list, {count} plugins: {each[0]:.0f} ms, {each[1]:.0f} to {each[2]:.0f}")
    axes = figure.axes[-1]
    _draw(axes, _PLUGINS, found, "segreg list")
    axes.set(xlabel=f"plugins of {COMPONENTS} components", ylabel="ms", ylim=(0, None))
    axes.legend(frameon=False)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(image, dpi=120)


def _draw(axes: Axes, values: Sequence[int], found: Sequence[tuple[float, float, float]], label: str) -> None:
    medians = [each[0] for each in found]
    spread = [[each[0] - each[1] for each in found], [each[2] - each[0] for each in found]]
    axes.errorbar(values, medians, spread, marker="o", markersize=3, capsize=2, label=label)


if __name__ == "__main__":
    main(sys.argv[1:])
