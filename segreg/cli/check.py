"""`segreg check`: run the conformance checks on plugins and components."""

import argparse
import traceback
from collections import Counter

from segreg.cli.output import print_table, show
from segreg.support.progress import Display
from segreg.testing import conformance_cases
from segreg.testing.cases import STATUSES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="a plugin's namespace, or a component such as unet:width=8"
    )
    parser.add_argument("--slow", action="store_true", help="also check torch.export and torch.compile")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the traceback of each failure")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print a table; 1 if one failed."""
    cases = conformance_cases(*arguments.names, slow=arguments.slow)
    counts: dict[str, Counter[str]] = {}
    objections = []
    with Display(arguments.quiet) as display:
        for number, case in enumerate(cases):
            label = case.subject.label
            if label not in counts:
                display.line(f"checking {label}")
            display.progress(f"{label}: {case.check.name}", number, len(cases))
            outcome = case.outcome()
            counts.setdefault(label, Counter())[outcome.status] += 1
            if outcome.status != "passed":
                objections.append((f"{outcome.status}: {label}: {case.check.name}: {outcome.reason}", outcome.error))
    total = sum(counts.values(), Counter())
    print_table(
        ("", "checks", *STATUSES),
        [(label, str(each.total()), *(str(each[status]) for status in STATUSES)) for label, each in counts.items()],
    )
    for objection, error in objections:
        show(objection)
        if arguments.verbose and error:
            show("".join(traceback.format_exception(error)))
    print(f"{total.total()} checks: {', '.join(f'{number} {status}' for status, number in total.items())}")
    return 1 if total["failed"] else 0
