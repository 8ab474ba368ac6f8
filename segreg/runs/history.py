"""The history of a run: one record per epoch, the names of its columns, and the file that keeps them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from segreg.support.files import read_csv, reading, write_csv

EpochRecord: TypeAlias = Mapping[str, float]
"""The columns of one epoch: `epoch`, losses and metrics as `column_name` gives them, and what the epoch cost."""

_COST = ("lr", "seconds", "images_per_second")
_NO_COST = dict.fromkeys(_COST, 0.0)


def epoch_record(
    epoch: int,
    scores: Mapping[str, Mapping[str, float]],
    *,
    lr: float,
    seconds: float,
    images_per_second: float,
) -> EpochRecord:
    """Return the record of an epoch.

    Args:
        epoch: Its number, from 1.
        scores: The loss and the metrics, by split and name.
        lr: Learning rate at its start.
        seconds: Duration of training and validation.
        images_per_second: Training images per second.
    """
    values = {column_name(split, name): value for split, each in scores.items() for name, value in each.items()}
    return {"epoch": epoch, **values, **dict(zip(_COST, (lr, seconds, images_per_second), strict=True))}


def column_name(split: str, name: str) -> str:
    """Return the column of the loss or a metric on a split."""
    return f"{split}_{name}"


def scores_of(record: EpochRecord) -> dict[str, float]:
    """Return the losses and metrics of a record, by column."""
    return {name: value for name, value in record.items() if name not in ("epoch", *_COST)}


def write_history(path: Path, records: Sequence[EpochRecord]) -> None:
    """Write the records of all epochs so far as CSV."""
    values = [[f"{record[name]:.6g}" for name in records[0]] for record in records]
    write_csv(path, list(records[0]), values)


def read_history(path: Path, metrics: Sequence[str]) -> list[EpochRecord]:
    """Return the records of a file.

    Args:
        path: The file.
        metrics: The metrics of the run.

    Raises:
        RunError: the file is not a history of such a run.
    """
    expected = [*epoch_record(1, dict.fromkeys(("train", "valid"), dict.fromkeys(("loss", *metrics), 0.0)), **_NO_COST)]
    with reading(path, "a history"):
        records: list[EpochRecord] = [
            {name: float(value) for name, value in row.items()} for row in read_csv(path, expected)
        ]
        if [record["epoch"] for record in records] != list(range(1, len(records) + 1)):
            raise ValueError("its epochs are not numbered from 1")
    return records
