"""Tensors in a file, with a digest that shows whether a bit of them, or of what is said about them, has changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from segreg.support.files import reading, replacing

Tensors = Mapping[str, Tensor]

# One key, since safetensors writes several in no fixed order.
_KEY = "segreg"
_DIGEST = "digest"


def write_tensors(path: Path, tensors: Tensors, about: Mapping[str, Any] | None = None) -> None:
    """Write tensors as safetensors, with plain values about them in the metadata.

    Raises:
        RunError: the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # As they are read back: a tuple becomes a list.
    about = {name: value for name, value in json.loads(json.dumps(about or {})).items() if name != _DIGEST}
    metadata = {_KEY: json.dumps({**about, _DIGEST: _digest(tensors, about)})}
    with replacing(path) as aside:
        # safetensors' own `save_file` creates a file that no other user may read.
        aside.write_bytes(save(dict(tensors), metadata))


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors in a file, on the CPU, and the values about them.

    Args:
        path: The file.
        what: What the file should be.

    Raises:
        RunError: the file is damaged, or was not written by `write_tensors`.
    """
    with reading(path, what), safe_open(path, "pt") as file:
        about = _about(file)
        digest = about.pop(_DIGEST)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
        if _digest(tensors, about) != digest:
            raise ValueError("it is damaged: its digest is not that of its content")
    return tensors, about


def read_any_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """Return the tensors in a safetensors file, on the CPU, whoever wrote it.

    Args:
        path: The file.
        what: What the file should be.

    Raises:
        RunError: the file is damaged, or not in this format.
    """
    with reading(path, what), safe_open(path, "pt") as file:
        ours = _KEY in (file.metadata() or {})
        tensors = {} if ours else {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    return read_tensors(path, what)[0] if ours else tensors


def digest_of(tensors: Tensors) -> str:
    """Return a digest of the names, types, shapes and values of tensors."""
    return _digest(tensors, {})


def read_about(path: Path, what: str) -> dict[str, Any]:
    """Return the values in a file without reading its tensors, and so without comparing the digest.

    Raises:
        RunError: the file was not written by `write_tensors`.
    """
    with reading(path, what), safe_open(path, "pt") as file:
        return _about(file)


def _about(file: Any) -> dict[str, Any]:
    return dict(json.loads((file.metadata() or {})[_KEY]))


def _digest(tensors: Tensors, about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
