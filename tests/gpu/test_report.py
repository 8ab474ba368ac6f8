"""The report itself, tried on a CPU."""

import os
import subprocess
import sys

import pytest
from torch import cuda

from tests.gpu.environment import ROOT
from tests.gpu.measure import operations, union

TINY = ["--device", "cpu", "--size", "32", "--images", "8", "--models", "unet:width=2,depth=1", "--batches", "2"]


def report(*words: str) -> subprocess.CompletedProcess[str]:
    # Models this small are fastest on one thread.
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu.report", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_value_that_needs_no_gpu_is_printed() -> None:
    done = report(*TINY, "--only", "steps", "train")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("plain fp32", "segreg.fit, ", "augmentation: ", "weights all equal; losses and metrics equal"):
        assert text in done.stdout
    assert done.stdout.count("needs CUDA") == 2
    assert done.stdout.count("== ") == 2


def test_a_failure_is_printed_and_the_next_table_follows() -> None:
    done = report(*TINY, "--models", "unett", "--only", "steps", "train")
    assert done.returncode == 1
    assert "FAILED: RuntimeError: segreg bench, batch size 2: " in done.stdout
    assert done.stdout.count("(did you mean 'unet'?)") == 4
    assert done.stdout.count("== ") == 2


@pytest.mark.skipif(cuda.is_available(), reason="tests the message without a GPU")
def test_without_a_gpu_one_line_reports_it() -> None:
    done = report()
    assert (done.returncode, done.stdout) == (1, "")
    assert "torch finds no GPU here" in done.stderr


def test_overlapping_times_count_once() -> None:
    assert union([]) == 0
    assert union([(5, 6), (0, 2), (1, 3), (1.5, 2)]) == 4


def test_operations_are_those_of_forward_and_backward() -> None:
    # One convolution of 3x3 at 32x32 from 3 to 2 channels takes 2·27·2·1024 operations.
    assert operations("unet:width=2,depth=1", 32) > 2 * 2 * 27 * 2 * 1024
