"""`segreg evaluate`: the scores of a trained model, and whether two models differ."""

import argparse
from pathlib import Path

from segreg.cli.output import print_table, show
from segreg.cli.stop import stoppable
from segreg.errors import counted
from segreg.evaluation.evaluate import evaluate
from segreg.evaluation.report import class_table, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="the directory of a run, or a model.safetensors; a second one is compared with the first on the same "
        "images",
    )
    parser.add_argument("--data", help="dataset, as an expression. Default: that of the run")
    parser.add_argument(
        "--split", help="train, valid, test, or all for all of them. Default: test if there is one, else valid"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=(),
        metavar="METRIC",
        help="metrics, as expressions; the first one decides which images are worst. Default: all of segreg's",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory of the results; by default a new one under evaluations/"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps, ... Default: auto")
    parser.add_argument(
        "--tile", type=int, help="predict in tiles of this height and width, in pixels, as `segreg predict` does"
    )
    parser.add_argument("--tta", action="store_true", help="average over the eight rotated and flipped views")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, and print the results."""
    with stoppable():
        evaluation = evaluate(
            *arguments.runs,
            data=arguments.data,
            split=arguments.split,
            metrics=arguments.metrics,
            out=arguments.out,
            device=arguments.device,
            tile=arguments.tile,
            tta=arguments.tta,
            quiet=arguments.quiet,
        )
    print_table(*table(evaluation))
    for model in evaluation.models:
        header, rows = class_table(model, evaluation.classes)
        if len(header) > 1:
            show(model.label)
            print_table(header, rows)
    images = counted(len(evaluation.models[0].names), "image")
    show(f"{images} of {evaluation.split} of {evaluation.data}; in brackets: 95 % interval over images")
    for line in (*evaluation.words, *evaluation.notes):
        show(line)
    show(f"written: {evaluation.path / 'evaluation.md'}")
    return 0
