"""Tensors in a file, with a digest that shows whether a bit of them, or of what is said about them, has changed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from segreg.support.files import reading, replacing

Tensors = Mapping[str, Tensor]

_DIGEST = "digest"


def write_tensors(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors, and texts about them, as safetensors.

    Raises:
        RunError: the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = dict(metadata or {})
    with replacing(path) as aside:
        # safetensors' own `save_file` makes a file that nobody else can read.
        aside.write_bytes(save(tensors, {**about, _DIGEST: _digest(tensors, about)}))


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors in a file, on the CPU, and the texts about them.

    Args:
        path: The file.
        what: What the file should be.

    Raises:
        RunError: the file is damaged, or was not written by `write_tensors`.
    """
    with reading(path, what):
        about = read_metadata(path, what)
        digest = about.pop(_DIGEST)
        tensors = load_file(path)
        if _digest(tensors, about) != digest:
            raise ValueError("it is damaged: its digest is not that of its content")
    return tensors, about


def read_metadata(path: Path, what: str) -> dict[str, str]:
    """Return the texts in a file without its tensors, unchecked.

    Raises:
        RunError: it is not a file of tensors.
    """
    with reading(path, what), safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def _digest(tensors: Tensors, about: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(about.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
