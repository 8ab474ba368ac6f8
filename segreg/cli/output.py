"""What the verbs print: tables on standard output, warnings on standard error."""

import sys
from collections.abc import Sequence


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table: with colours and folded cells on a terminal, one line per row elsewhere."""
    # A file has no width to fold lines at, and rich would take 0.2 s for the lines of a hundred plugins.
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
        for line in (header, ["-" * width for width in widths], *lines):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        print()
        return
    # Only a table on a terminal needs rich.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in header:
        table.add_column(title, overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


def warn(text: str) -> None:
    """Print a warning."""
    print(f"segreg: {text}", file=sys.stderr)
