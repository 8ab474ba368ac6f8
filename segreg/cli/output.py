"""What the verbs print: text and tables on standard output, warnings on standard error; no escape codes of others."""

import sys
from collections.abc import Sequence
from typing import TextIO

from segreg.errors import printable, printable_lines


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table: with colours and folded cells on a terminal, one line per row elsewhere."""
    lines = [[printable(cell) for cell in line] for line in lines]
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


def show(text: str, file: TextIO | None = None) -> None:
    """Print text of one or more lines, on standard output unless another file is given."""
    print(printable_lines(text), file=file)


def warn(text: str) -> None:
    """Print a warning."""
    show(f"segreg: {text}", sys.stderr)
