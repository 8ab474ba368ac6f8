"""Files that are either complete or absent: a reader sees the last complete version."""

import csv
import errno
import io
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from segreg.errors import DataError, RunError, single_line

# What reading CSV, JSON, safetensors and their contents raises.
_BROKEN = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    csv.Error,
    SafetensorError,
)
_MAX_TEXT = 256_000_000  # bytes

# What a spreadsheet takes for the beginning of a formula; the quotes keep text with a quote of its own distinct.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-](\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-](inf|nan)", re.ASCII | re.IGNORECASE)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; what was written there replaces `path` when the block succeeds.

    Raises:
        RunError: it cannot be written; `path` is unchanged.
    """
    # No longer than a file name may be.
    aside = path.with_name(f".{path.stem[:40]}.partial{path.suffix}")
    with writing(path):
        # A leftover of a killed process, or a link or pipe that would lead elsewhere.
        aside.unlink(missing_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield aside
            with aside.open("rb+") as written:
                if not os.fstat(written.fileno()).st_size:
                    raise OSError(errno.ENODATA, "nothing was written")
                os.fsync(written.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        if os.name == "posix":
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error in writing a file, such as a full disk, into one line that names the file.

    Raises:
        RunError: from the `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def refuse_links(directory: Path, *own: str, nested: bool = True) -> None:
    """Raise `RunError` for a link in a directory through which files elsewhere could be overwritten.

    The path to the directory may contain links. So may the folders of trackers in it, as long as they stay inside.

    Args:
        directory: The directory.
        own: Folders in it that only segreg writes, where every link is refused.
        nested: Whether to look into the other folders too.
    """
    for name, folders, files in os.walk(directory):
        folder = Path(name)
        inside = folder.relative_to(directory).parts
        for path in (folder / each for each in (*folders, *files)):
            root = os.path.realpath(directory / inside[0]) if inside and inside[0] not in own else None
            if path.is_symlink() and not (root and Path(os.path.realpath(path)).is_relative_to(root)):
                raise RunError(f"{path} is a link, through which files elsewhere could be overwritten: remove it")
        if inside or not nested:
            folders[:] = [each for each in folders if nested or (not inside and each in own)]


def is_empty(directory: Path) -> bool:
    """Whether a directory is empty except for hidden files.

    A process that is killed before its first file is complete leaves hidden files.
    """
    return all(path.name.startswith(".") for path in directory.iterdir())


def slug(text: str) -> str:
    """Return the text as a file name: lower-case letters, digits, `.` and `-`, at most 60 of them."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:60].rstrip("-.")


def new_directory(parent: str, about: str) -> Path:
    """Return a directory that does not exist yet, named after the time and what it is about."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{slug(about)}"
    tries = (Path(parent) / (f"{name}-{number}" if number else name) for number in count())
    return next(path for path in tries if not path.exists())


def write_text(path: Path, text: str) -> None:
    """Write a text file, completely or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, completely or not at all.

    A spreadsheet runs text that begins like a formula, and text may be the name of someone else's image: it is written
    with a quote before it then. Numbers are not.
    """
    write_text(path, "".join(map(_csv_line, [header, *rows])))


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table that `write_csv` wrote, each by column. To be called within `reading`.

    Raises:
        OSError, ValueError, csv.Error: it cannot be read, or is not a table of these columns.
    """
    table = [[_unquoted(cell) for cell in row] for row in csv.reader(io.StringIO(read_text(path), newline=""))]
    header, rows = table[0] if table else [], table[1:]
    if header != list(columns):
        raise ValueError(f"its columns are {', '.join(header)}: expected {', '.join(columns)}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} cells: expected {len(columns)}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    # With its own end of line, the module also quotes a carriage return.
    csv.writer(line).writerow([_quoted("" if cell is None else str(cell)) for cell in cells])
    return line.getvalue().removesuffix("\r\n") + "\n"


def _quoted(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _unquoted(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def refuse_pipe(path: Path) -> None:
    """Raise `ValueError` for anything that exists but is not a regular file: reading a pipe would never end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn any error in reading a file into one line: the file may be damaged or malicious.

    Args:
        path: The file.
        what: What it should be.

    Raises:
        RunError: from the original error.
    """
    try:
        refuse_pipe(path)
        yield
    except _BROKEN as error:
        reason = single_line(error)
        if isinstance(error, TypeError | AttributeError):
            reason = "it does not have the format that segreg writes"
        elif isinstance(error, LookupError):
            reason = f"it lacks {reason}"
        raise RunError(f"{path} is not {what}: {reason}") from error


def read_text(path: Path) -> str:
    """Return the text of a file, which may come from anyone.

    Raises:
        OSError, ValueError: it is not a regular file, larger than 256 MB, or not UTF-8.
    """
    refuse_pipe(path)
    if path.stat().st_size > _MAX_TEXT:
        raise ValueError(f"it is larger than {_MAX_TEXT // 10**6} MB")
    return path.read_bytes().decode("utf-8")  # `Path.read_text` would change a carriage return


def read_json(path: Path, what: str) -> Any:
    """Return the content of a JSON file, which may come from anyone.

    Args:
        path: The file.
        what: What it should contain.

    Raises:
        RunError: it is not JSON, or contains `NaN` or `Infinity`, which JSON does not have.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"it contains {constant}")

    with reading(path, what):
        return json.loads(read_text(path), parse_constant=refuse)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        DataError: it is missing or not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    # A number of thousands of digits is a ValueError, as are the errors of TOML and UTF-8.
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as TOML: {single_line(error)}") from error
