"""`segreg bench`: how fast models are on this machine."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import attrs

from segreg.bench.speed_plot import plot_speed
from segreg.bench.timing import How, Timings, Workload, bench
from segreg.cli.output import print_table
from segreg.errors import OptionError
from segreg.support.device import detect, device_name
from segreg.support.progress import Display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="architectures, such as unet:width=32. Default: unet"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="architectures to time twice: in a plain float32 loop, as most people write it, and in segreg",
    )
    parser.add_argument("--train", action="store_true", help="time training steps instead of predictions")
    parser.add_argument("--size", type=int, default=256, help="height and width, in pixels. Default: 256")
    parser.add_argument("--batch", type=int, default=4, help="batch size. Default: 4")
    parser.add_argument("--rounds", type=int, default=5, help="number of timing rounds. Default: 5")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps, ... Default: auto")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also plot the timings, as PNG or SVG")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Time the models and print a table."""
    for name in ("size", "batch", "rounds"):
        if getattr(arguments, name) < 1:
            raise OptionError(f"--{name} is {getattr(arguments, name)}: expected 1 or more")
    if arguments.plot and (arguments.plot.suffix not in (".png", ".svg") or not arguments.plot.parent.is_dir()):
        raise OptionError(f"--plot is {arguments.plot}: expected a .png or .svg file in an existing folder")
    device = detect(arguments.device)
    plain: list[tuple[str, How]] = [(model, "plain fp32") for model in arguments.against]
    ours: list[tuple[str, How]] = [
        (model, "segreg")
        for model in dict.fromkeys([*(arguments.models or ([] if arguments.against else ["unet"])), *arguments.against])
    ]
    workloads = [
        Workload(
            model=model, how=how, training=arguments.train, batch=arguments.batch, size=arguments.size, device=device
        )
        for model, how in plain + ours
    ]
    with Display(arguments.quiet) as display:
        found = bench(workloads, arguments.rounds, display.progress)
    if arguments.json:
        print(json.dumps([_fields(each) for each in found], indent=2))
    else:
        _print(found, arguments)
    if arguments.plot:
        plot_speed(arguments.plot, found)
    return 0


def _print(found: Sequence[Timings], arguments: argparse.Namespace) -> None:
    print_table(
        (
            "model",
            "how",
            "ms/batch",
            "images/s",
            "speed-up",
            "GFLOP/s",
            "% of conv. peak",
            "peak MB",
            "parameters",
        ),
        [
            (
                each.workload.model,
                each.workload.how,
                _with_spread(each.milliseconds, ".1f"),
                f"{each.images_per_second:.4g}",
                _with_spread(each.speed, ".2f"),
                f"{each.gflops:.0f}",
                _with_spread(each.of_convolutions, ".0%"),
                "" if each.megabytes is None else f"{each.megabytes:.0f}",
                f"{each.parameters:,}",
            )
            for each in found
        ],
    )
    what = "training steps with BCE and AdamW" if arguments.train else "predictions"
    size = f"{arguments.batch} images of {arguments.size}x{arguments.size}"
    device = device_name(found[0].workload.device)
    print(f"{what} of {size} on {device}; median of {arguments.rounds} rounds, ± half their spread")


def _with_spread(pair: tuple[float, float], form: str) -> str:
    median, spread = pair
    return f"{median:{form}} ±{spread / 2:{form}}"


def _fields(timings: Timings) -> dict[str, object]:
    fields = attrs.asdict(timings)
    return {**fields.pop("workload"), **fields, "device": str(timings.workload.device)}
