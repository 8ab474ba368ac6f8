"""The verb `compare`: what is listed before anything is trained, and what is printed."""

import re
from pathlib import Path

import pytest

from tests.trial import call

WORDS = ["compare", "--models", "trial/dot", "--losses", "bce", "--data", "trial/bands:train=4,valid=2"]
FAST = [*WORDS, "--size", "8", "--epochs", "1", "--batch", "2", "--device", "cpu", "--quiet"]
RECIPES = ["--optimizers", "adamw", "sgd:lr=0.05,momentum=0.9", "--schedules", "onecycle", "poly"]
AUGMENTS = ["--augments", "hflip vflip affine", "hflip affine:degrees=180 gamma"]


def test_a_dry_run_lists_the_configurations_and_reads_and_writes_nothing(tmp_path: Path) -> None:
    data = f"folder:root={tmp_path}"
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    words = [*WORDS[:-1], data, *RECIPES, *AUGMENTS, "--seeds", "0", "1", "--out", str(tmp_path / "study"), "--dry-run"]
    status, printed, err = call(*words)
    assert (status, err) == (0, "")
    lines = [line.rstrip() for line in printed.splitlines()]
    assert len(lines) == 2 + 8 + 2
    assert lines[2] == "adamw · onecycle · hflip vflip affine                                   0 1"
    assert lines[9] == "sgd:lr=0.05,momentum=0.9 · poly · hflip affine:degrees=180.0 gamma      0 1"
    assert lines[-1].startswith(f"16 runs to train (8 configurations, 2 seeds) in {tmp_path / 'study'}; disk space: ")
    assert lines[-1].endswith(" MB; time: unknown until a run is finished")
    assert not (tmp_path / "study").exists()


def test_more_than_fifty_runs_need_a_yes(tmp_path: Path) -> None:
    seeds = ["--seeds", *map(str, range(51)), "--out", str(tmp_path / "study")]
    status, printed, err = call(*FAST, *seeds)
    assert (status, printed) == (2, "")
    assert err.startswith("segreg: 51 runs to train (1 configuration, 51 seeds) in ")
    assert err.endswith(": add --yes to start, or --dry-run to list the configurations\n")
    assert err.count("\n") == 1
    assert not (tmp_path / "study").exists()
    # With it, the next thing is to read the images.
    status, _, err = call(*FAST, *seeds, "--data", "folder:root=missing", "--yes")
    assert status == 2
    assert err.startswith("segreg: 51 runs to train ")
    assert "root missing of folder does not exist" in err


def test_what_is_finished_costs_nothing_and_tells_the_time(tmp_path: Path) -> None:
    assert call(*FAST, "--out", str(tmp_path / "study"), "--seeds", "0", "1")[0] == 0
    status, printed, _ = call(*FAST, "--out", str(tmp_path / "study"), "--seeds", "0", "1", "2", "--dry-run")
    assert status == 0
    assert "1 run to train (1 configuration, 3 seeds, 2 already finished) in " in printed
    assert "time: about 1 minute, if they take as long as the 2 finished ones" in printed


def test_the_columns_of_the_table_are_what_differs(tmp_path: Path) -> None:
    status, printed, err = call(*FAST, *RECIPES, "--out", str(tmp_path / "study"))
    assert (status, err) == (0, "")
    lines = printed.splitlines()
    assert lines[0].split()[:4] == ["optimizer", "schedule", "iou", "train"]
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["adamw", "onecycle"],
        ["adamw", "poly"],
        ["sgd:lr=0.05,momentum=0.9", "onecycle"],
        ["sgd:lr=0.05,momentum=0.9", "poly"],
    ]
    notes = (tmp_path / "study" / "results.md").read_text(encoding="utf-8")
    for setting in ("model trial/dot", "loss bce", "epochs 1", "batch 2", "augment hflip vflip affine", "ema false"):
        assert len(re.findall(rf"\b{setting}[,.]", notes)) == 1
    assert "adamw" not in notes[notes.index("The same for all runs") :].splitlines()[0]


def test_one_rate_for_several_optimizers_is_said(tmp_path: Path) -> None:
    status, _, err = call(*FAST, "--optimizers", "adamw", "sgd", "--lr", "0.1", "--out", str(tmp_path / "study"))
    assert status == 0
    assert err == (
        "lr 0.1 is used for adamw and sgd alike: to give each its own, leave out lr and write it into the optimizer, "
        "as in adamw:lr=0.1\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizers", "sdg"], ["'sdg'", "did you mean 'sgd'?"]),
        (["--schedules", "onecicle"], ["did you mean 'onecycle'?"]),
        (["--augments", "hflip vflp"], ["did you mean 'vflip'?"]),
        (["--lrs", "0.1", "fast"], ["lr is 'fast'", "float"]),
        (["--lrs"], ["--lrs", "at least one"]),
        (["--lrs", "0.1", "--optimizers", "adamw", "trial/rateless"], ["trial/rateless has no option 'lr'"]),
        (["--lrs", "0.1", "--lr", "0.1"], ["both lrs and lr: keep one"]),
        (["--sizes", "8", "--size", "8"], ["both sizes and size: keep one"]),
        (["--sizes", "8", "1", "--models", "trial/rounding"], ["size is 1x1: expected 4x4 or more for trial/rounding"]),
        (["--augment", "hflip", "--augments", "hflip"], ["both augments and augment: keep one"]),
        (["--optimizer", "sgd", "--optimizers", "sgd"], ["both optimizers and optimizer: keep one"]),
        (["--batches", "2"], ["unknown argument '--batches'", "did you mean '--batch'?"]),
    ],
)
def test_a_mistake_in_an_axis_is_one_line_and_nothing_is_read(
    tmp_path: Path, words: list[str], message: list[str]
) -> None:
    status, printed, err = call("compare", "--data", "folder:root=missing", *words, "--out", str(tmp_path / "study"))
    assert (status, printed, err.count("\n")) == (2, "", 1)
    for part in message:
        assert part in err
    assert not (tmp_path / "study").exists()
