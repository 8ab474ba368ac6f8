"""`segreg check`: run the conformance checks on plugins and components."""

import argparse
import traceback
from collections import Counter
from collections.abc import Iterable

from segreg.cli.output import print_table, show
from segreg.support.progress import Display
from segreg.testing import Case, CheckFailed, conformance_cases
from segreg.testing.cases import STATUSES, Outcome


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
    causes: dict[str, list[tuple[Case, Outcome]]] = {}
    with Display(arguments.quiet) as display:
        for number, case in enumerate(cases):
            label = case.subject.label
            if label not in counts:
                display.line(f"checking {label}")
            display.progress(f"{label}: {case.check.name}", number, len(cases))
            outcome = case.outcome()
            counts.setdefault(label, Counter())[outcome.status] += 1
            if outcome.status != "passed":
                causes.setdefault(_cause(outcome), []).append((case, outcome))
    total = sum(counts.values(), Counter())
    print_table(
        ("", "checks", *STATUSES),
        [(label, str(each.total()), *(str(each[status]) for status in STATUSES)) for label, each in counts.items()],
    )
    for found in causes.values():
        # A check of any status may meet an error, which then is as bad as the worst of them.
        _, worst = min(found, key=lambda each: STATUSES.index(each[1].status))
        labels = _listed(case.subject.label for case, _ in found)
        checks = _listed(case.check.name for case, _ in found)
        where = f" ({worst.where})" if worst.where else ""
        show(f"{worst.status}: {labels}: {checks}: {worst.reason}{where}")
        if arguments.verbose and worst.error:
            show("".join(traceback.format_exception(worst.error)))
    print(f"{total.total()} checks: {', '.join(f'{number} {status}' for status, number in total.items())}")
    return 1 if total["failed"] else 0


def _cause(outcome: Outcome) -> str:
    """Return what failures of one cause have in common: the line that raised the error, else what was found where."""
    if outcome.error is not None and not isinstance(outcome.error, CheckFailed):
        return f"{type(outcome.error).__name__} {outcome.where or outcome.reason}"
    return f"{outcome.status} {outcome.reason} {outcome.where}"


def _listed(names: Iterable[str]) -> str:
    """Return the first three of several names, each once, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return f"{', '.join(distinct[:3])}{more}"
