"""`segreg compare`: a study."""

import argparse
from pathlib import Path

from segreg.cli.output import print_table, show, warn
from segreg.cli.settings import add_settings, given_settings
from segreg.cli.stop import stoppable
from segreg.errors import OptionError
from segreg.studies.compare import carry_out, planned
from segreg.studies.cost import cost_of
from segreg.studies.plan import AXES
from segreg.studies.study import Study
from segreg.studies.summary import cells, conclusion

_MANY_RUNS = 50

_HELP = {
    "models": "architectures",
    "losses": "losses",
    "optimizers": "optimizers, such as adamw sgd:lr=0.05",
    "schedules": "schedules of the learning rate",
    "augments": 'lists of augmentations, each in quotes, such as "hflip vflip affine" "hflip gamma" none',
    "lrs": "learning rates, each with every optimizer",
    "sizes": "sizes of training; if they differ, all are scored at the size of the masks",
    "seeds": "one run of each configuration per seed, such as 0 1 2",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "study",
        nargs="?",
        help="a study file, or the name of one that comes with segreg: quick (synthetic lesions, about four minutes "
        "on two cores), experiment (the same configurations, 40 epochs at 256x256), camvid-segnet-basic or unet-paper "
        "(the protocols of these papers, for your --data). Default: quick; with --data, experiment",
    )
    axes = parser.add_argument_group(
        "axes", "what is compared, in every combination, instead of that axis of the study"
    )
    for axis, setting in AXES.items():
        axes.add_argument(f"--{axis}", nargs="+", metavar=setting.upper(), help=_HELP[axis])
    parser.add_argument("--out", type=Path, help="directory of the study; by default studies/NAME-DATASET")
    parser.add_argument("--dry-run", action="store_true", help="list the configurations and what they cost, and stop")
    parser.add_argument("--yes", action="store_true", help=f"start even if more than {_MANY_RUNS} runs are missing")
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
    axes = {axis: getattr(arguments, axis) for axis in AXES}
    with stoppable():
        study = planned(arguments.study, arguments.out, **axes, **given_settings(arguments))
        if arguments.dry_run:
            return _show_plan(study)
        if len(study.missing) > _MANY_RUNS:
            if not arguments.yes:
                raise OptionError(f"{cost_of(study)}: add --yes to start, or --dry-run to list the configurations")
            warn(cost_of(study))
        carry_out(study, force=arguments.force, quiet=arguments.quiet)
    print_table(*cells(study.configurations, study.plan.recipes[0]))
    concluded = conclusion(study.configurations, study.plan.recipes[0])
    if concluded:
        show(f"{concluded}\n")
    if study.best:
        show(f"best:   {study.best.path}")
    show(f"report: {study.path / 'report.html'}")
    return 1 if any(study.failure(recipe) for recipe in study.plan.recipes) else 0


def _show_plan(study: Study) -> int:
    plan = study.plan
    rows = [
        (label, " ".join(str(recipe.seed) for recipe in recipes))
        for label, recipes in zip(plan.labels, plan.configurations, strict=True)
    ]
    print_table(("configuration", "seeds"), rows)
    for note in plan.notes:
        warn(note)
    show(cost_of(study))
    return 0
