"""Reads what `torch.save` wrote, from a file that may come from anyone."""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segreg.support.files import refuse_pipe


def read_archive(path: Path) -> Any:
    """Return the tensors and plain values of a file; nothing else is unpickled, and nothing is decompressed.

    Raises:
        ValueError: the file contains something else.
        OSError, RuntimeError, zipfile.BadZipFile: it is missing, damaged, or not an archive.
    """
    refuse_pipe(path)
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        # torch writes its parts uncompressed, and reads compressed ones without checking how large they become.
        stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
        if not stored or sum(part.file_size for part in parts) > path.stat().st_size:
            raise ValueError("its parts are larger than the file")
        # torch does not compare the checksums that it writes.
        if damaged := archive.testzip():
            raise ValueError(f"its part {damaged} is damaged")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # torch's own message explains how to run the code in it.
    except pickle.UnpicklingError as error:
        raise ValueError("it contains pickled objects other than tensors and plain values") from error
    for tensor in _tensors(content, set()):
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError("it has a tensor that is larger than its stored data")
    return content


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """Yield the tensors in nested containers; a container that contains itself is visited once."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(each, seen)
