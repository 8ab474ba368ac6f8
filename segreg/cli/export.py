"""`segreg export`: a trained model as a file for production."""

import argparse
from pathlib import Path
from typing import get_args

from segreg.cli.output import show
from segreg.cli.stop import stoppable
from segreg.deployment.export import TOLERANCE, Format, export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("source", metavar="RUN", help="directory of a run, or a model.safetensors")
    parser.add_argument("--format", default="onnx", help=f"{' or '.join(get_args(Format))}. Default: onnx")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: model.onnx or model.pt2 beside the weights")
    parser.add_argument(
        "--no-normalization",
        dest="normalization",
        action="store_false",
        help="leave the normalisation of images out of the file; its metadata then say how to normalise them",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and print how it compares with the model."""
    with stoppable():
        made = export(**vars(arguments))
    show(f"{made.path}: {made.path.stat().st_size / 1e6:.1f} MB")
    show(made.metadata["usage"])
    sizes = ", ".join("×".join(map(str, shape)) for shape in made.shapes)
    print(
        f"largest difference from the model: {made.difference:.1e}, {made.share:.1e} of the logits' spread (allowed: "
        f"{TOLERANCE:.0e}), on random images of {sizes}"
    )
    if made.passed_over:
        print(
            f"redrawn: {made.passed_over} batch(es), where the model chose otherwise between values that are equal "
            "except for rounding"
        )
    return 0
