"""`segreg compare`: a study."""

import argparse
from pathlib import Path

from segreg.cli.output import print_table, show
from segreg.cli.settings import add_settings, given_settings
from segreg.cli.stop import stoppable
from segreg.studies.study import compare
from segreg.studies.summary import cells, conclusion


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "study",
        nargs="?",
        help="a study file, or the name of one that comes with segreg: quick (synthetic lesions, about three minutes "
        "on two cores), experiment (the same configurations, 40 epochs at 256x256), camvid-segnet-basic or unet-paper "
        "(the protocols of these papers, for your --data). Default: quick; with --data, experiment",
    )
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="architectures, instead of the study's")
    parser.add_argument("--losses", nargs="+", metavar="LOSS", help="losses, instead of the study's")
    parser.add_argument(
        "--seeds", nargs="+", metavar="SEED", help="one run of each configuration per seed, such as 0 1 2"
    )
    parser.add_argument("--out", type=Path, help="directory of the study; by default studies/NAME-DATASET")
    parser.add_argument(
        "--force",
        action="store_true",
        help="resume a run even if a plugin, torch or the device has changed since it was interrupted, "
        "and retry runs that failed three times",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    add_settings(parser, without=["model", "loss", "seed"])


def run(arguments: argparse.Namespace) -> int:
    """Run the study and print its table; 1 if a run failed."""
    with stoppable():
        made = compare(
            arguments.study,
            models=arguments.models,
            losses=arguments.losses,
            seeds=arguments.seeds,
            out=arguments.out,
            force=arguments.force,
            quiet=arguments.quiet,
            **given_settings(arguments),
        )
    print_table(*cells(made.configurations, made.plan.recipes[0]))
    concluded = conclusion(made.configurations, made.plan.recipes[0])
    if concluded:
        show(f"{concluded}\n")
    if made.best:
        show(f"best:   {made.best.path}")
    show(f"report: {made.path / 'report.html'}")
    return 1 if any(made.failure(recipe) for recipe in made.plan.recipes) else 0
