"""`segreg train`: one run."""

import argparse
from pathlib import Path

from segreg.cli.output import show
from segreg.cli.settings import add_settings, given_settings
from segreg.cli.stop import stoppable
from segreg.errors import OptionError
from segreg.training.fit import fit, resume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("model", nargs="?", help="architecture, such as unet:pool=conv. Default: unet")
    parser.add_argument("--out", type=Path, help="directory of the run; by default a new one under runs/")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="resume the run in this directory; other settings given replace the run's own",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --resume: resume even if the recipe, a plugin, torch or the device has changed; a run keeps its "
        "images, model and metrics",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    add_settings(parser, without=["model"])


def run(arguments: argparse.Namespace) -> int:
    """Train."""
    settings = given_settings(arguments)
    with stoppable():
        if arguments.resume:
            if extra := [f"--{name}" for name in ("out", "preset") if getattr(arguments, name)]:
                raise OptionError(f"--resume keeps the run's directory and settings: leave out {', '.join(extra)}")
            made = resume(arguments.resume, **settings, force=arguments.force, quiet=arguments.quiet)
        elif arguments.force:
            raise OptionError("--force needs --resume: a new run has nothing that could have changed")
        else:
            made = fit(**settings, out=arguments.out, quiet=arguments.quiet)
    for split, metrics in made.results["metrics"].items():
        values = (f"{name} {'no value' if value is None else f'{value:.4f}'}" for name, value in metrics.items())
        show(f"{split:>6}  {'  '.join(values)}")
    show(f"run: {made.path}")
    return 0
