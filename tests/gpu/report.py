"""Performance of segreg on this machine's GPU, in minutes: `python -m tests.gpu.report` in the root of a checkout.

It has four parts, each under three minutes on a GPU of a data centre, and prints each table as soon as it is there:

    steps   segreg's training step and the plain fp32 loop
    train   `segreg.fit` from end to end; augmentation; the same seed twice; how busy the GPU is; host syncs
    study   the default study, seven configurations, with one seed
    tests   the tests in this folder

segreg need not be installed. Missing packages may be provided as wheels in `.whl/` in the root, which Git ignores; the
report prints which ones are missing and how to fetch them. They must be for the machine with the GPU, and its Python.

To try the report itself on a machine without a GPU:

    python -m tests.gpu.report --device cpu --size 32 --images 16 --models unet:width=4,depth=2 --batches 4 --epochs 1
"""

import argparse
import contextlib
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.gpu.environment import prepare

if TYPE_CHECKING:
    from tests.gpu.measure import Setup
    from tests.gpu.tables import Lines

PARTS = ("steps", "train", "study", "tests")


def main(words: Sequence[str] | None = None) -> int:
    """Print the requested parts; 1 if something failed."""
    arguments = _arguments(words)
    for line in prepare():
        print(line, file=sys.stderr)
    # Only now can packages from wheels be imported.
    try:
        import torch

        from tests.gpu.measure import LIMIT, Setup, draw
        from tests.gpu.tables import SECTIONS
    except ImportError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("nothing was measured: torch finds no GPU here (--help shows how to try this on a CPU)", file=sys.stderr)
        return 1
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    where = f"{card}, torch {torch.__version__}, Python {sys.version.split()[0]}"
    good = True
    with tempfile.TemporaryDirectory(prefix="segreg-report-") as name:
        folder = Path(name)
        started = time.perf_counter()
        setup = Setup(
            device=arguments.device,
            models=tuple(arguments.models),
            batches=tuple(arguments.batches),
            size=arguments.size,
            data=arguments.data or draw(folder / "drawn", arguments.size, arguments.images),
            epochs=arguments.epochs,
            folder=folder,
        )
        print(f"{where}; the dataset is there after {time.perf_counter() - started:.1f} s", flush=True)
        for part in arguments.only:
            started = time.perf_counter()
            for section in SECTIONS[part]:
                if time.perf_counter() - started > LIMIT:
                    print(f"left out: {section.__name__}, since {part} has had its {LIMIT:.0f} s", flush=True)
                else:
                    good &= _print(section, setup)
            print(f"== {part}: {time.perf_counter() - started:.0f} s on {where}", flush=True)
    return 0 if good else 1


def _print(section: Callable[["Setup"], "Lines"], setup: "Setup") -> bool:
    """Print a table line by line, and return whether it is complete."""
    started = time.perf_counter()
    failure = ""
    try:
        for line in section(setup):
            print(line, flush=True)
    # The other tables are useful anyway.
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = " ".join(str(error).split())[:300]
        failure = f"FAILED: {type(error).__name__}: {message} ({Path(last.filename).name}:{last.lineno})"
    for line in filter(None, (failure, f"({section.__name__}: {time.perf_counter() - started:.1f} s)")):
        print(f"  {line}", flush=True)
    return not failure


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.gpu.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts. Default: all")
    parser.add_argument("--data", help="dataset, such as ph2:root=PH2Dataset. Default: drawn lesions")
    parser.add_argument("--images", type=int, default=200, help="how many are drawn, half to train on. Default: 200")
    parser.add_argument("--size", type=int, default=256, help="height and width, in pixels. Default: 256")
    parser.add_argument("--models", nargs="+", default=["unet", "unet:width=16"], metavar="MODEL")
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 16, 32], metavar="N", help="batch sizes")
    parser.add_argument("--epochs", type=int, default=40, help="of each run of the study. Default: 40")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="Default: cuda")
    return parser.parse_args(words)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
