"""What the verbs print: tables on standard output, warnings on standard error."""

import sys
from collections.abc import Sequence


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table: with colours and folded cells on a terminal, one line a row elsewhere."""
    # rich costs a fifth of the time of `segreg list`, and only a table needs it.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in header:
        table.add_column(title, overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    # A file has no width to fold lines at.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def warn(text: str) -> None:
    """Print a line that is not part of the answer."""
    print(f"segreg: {' '.join(text.splitlines())}", file=sys.stderr)
