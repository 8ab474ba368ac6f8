"""Reads what `torch.save` wrote, from a file that may come from anybody."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch


def read_archive(path: Path) -> Any:
    """Return the tensors and plain values of a file; nothing else is unpickled, and nothing is inflated.

    Raises:
        ValueError: the file holds something else.
        OSError, RuntimeError, zipfile.BadZipFile: it is missing, damaged, or no archive.
    """
    # A pipe would never end.
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    # torch writes its parts as they are, and reads compressed ones without asking how large they become.
    stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    if not stored or sum(part.file_size for part in parts) > path.stat().st_size:
        raise ValueError("its parts are larger than the file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # torch's own message tells how to run the code in it.
    except pickle.UnpicklingError as error:
        raise ValueError("it holds more than tensors and plain values") from error
