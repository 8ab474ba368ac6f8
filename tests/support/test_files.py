"""Files that are either complete or absent."""

import os
import stat
from pathlib import Path

import pytest
import torch

from segreg.errors import RunError
from segreg.runs.tensor_file import write_tensors
from segreg.support.files import replacing, slug, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(path: Path, written: str) -> None:
    with replacing(path) as aside:
        aside.write_text(written)
        raise KeyboardInterrupt


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one\n")
    write_text(path, "zwei × 2\n")
    assert path.read_bytes() == "zwei × 2\n".encode()
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("written", ["", "half of i"])
def test_a_failure_leaves_the_old_version_and_nothing_else(tmp_path: Path, written: str) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path, written)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_until_the_end_a_reader_sees_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with replacing(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_nothing_written_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.txt cannot be written: nothing was written"), replacing(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.png") as aside:
        assert aside.suffix == ".png"
        aside.write_text("x")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_tensor_files_have_the_permissions_of_the_other_files(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "a")
    write_tensors(tmp_path / "model.safetensors", {"weights": torch.ones(2)})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("unet:pool=conv · 0.5*bce+dice", "unet-pool-conv-0.5-bce-dice"),
        ("../timm/UNet", "timm-unet"),
        ("a" * 100, "a" * 60),
    ],
)
def test_a_slug_is_a_harmless_name(text: str, name: str) -> None:
    assert slug(text) == name
