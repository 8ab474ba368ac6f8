"""Files that are either complete or absent."""

import csv
import os
import stat
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from segreg.errors import RunError
from segreg.runs.tensor_file import write_tensors
from segreg.support.files import read_csv, replacing, slug, write_csv, write_text


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


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1,1)*cmd|' /C calc'!A0", "\t=1", "\r=1"]
FORMULAS += ["\n=1", '=HYPERLINK("http://a","a, b")', "-", "--1", "+-1", "-1-1", "=", "-infinity war", "＝1+1", "'=1+1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_takes_text_in_a_table_for_a_formula(text: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("name", text), [(text, 1)])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        (_, header), (cell, number) = csv.reader(file)
    assert header == cell == f"'{text}"
    assert number == "1"
    assert read_csv(tmp_path / "a.csv", ("name", text)) == [{"name": text, text: "1"}]


NUMBERS = [-1, -0.5, 1e-9, -1e-9, "-0.5", "+3", "-1.5e-07", "-.5", "-inf", "-nan", float("-inf"), np.float32(-2.5)]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_numbers_in_a_table_stay_numbers(number: object, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("value",), [(number,)])
    assert (tmp_path / "a.csv").read_text() == f"value\n{number}\n"


def test_any_text_in_a_table_is_read_as_it_was(tmp_path: Path) -> None:
    alphabet = "'=-\r\n\t, a1\""
    texts = ["".join(each) for length in range(4) for each in product(alphabet, repeat=length)]
    write_csv(tmp_path / "a.csv", ("name", "place"), [(text, place) for place, text in enumerate(texts)])
    read = read_csv(tmp_path / "a.csv", ("name", "place"))
    assert read == [{"name": text, "place": str(place)} for place, text in enumerate(texts)]


@pytest.mark.parametrize("row", ["1", "1,2,3", "", '"1,2\n3'])
def test_a_table_with_a_broken_row_is_refused(row: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"name,place\na,1\n{row}\n")
    with pytest.raises(ValueError, match=r"row 3 has \d cells: expected 2"):
        read_csv(tmp_path / "a.csv", ("name", "place"))
