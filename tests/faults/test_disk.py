"""Full disks, read-only and deleted folders: one line, and the last complete files are kept."""

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.faults.children import command, posix, start
from tests.faults.test_signals import FOREVER, running

pytestmark = posix


def without_privileges() -> None:
    """Make permissions apply to the superuser too, by dropping all capabilities."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capset(header, nothing) == 0


def small_files() -> None:
    """Limit files to 8 kB: a history fits, a checkpoint does not."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_to_end(
    folder: Path, words: list[str], prepare: Callable[[], None] | None = None
) -> tuple[int | None, list[str]]:
    """Run a command to its end, and return its status and all lines except those of epochs."""
    process = start(command, folder / "log", words, prepare)
    process.join()
    lines = (folder / "log").read_text(encoding="utf-8").splitlines()
    return process.exitcode, [line for line in lines if not line.startswith("epoch ")]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that was interrupted."""
    out = tmp_path / "run"
    with running(tmp_path, ["train", *FOREVER, "--out", str(out)]) as (process, output):
        os.kill(process.pid, signal.SIGTERM)
        output.read()
        process.join()
    (tmp_path / "log").unlink()
    return Run(out)


def assert_can_resume(run: Run) -> None:
    epochs = len((load_checkpoint(run) or {})["history"]) + 1
    assert len(resume(run.path, epochs=epochs, force=True, quiet=True).history) == epochs


def test_a_full_disk_ends_a_run_in_one_line(run: Run, tmp_path: Path) -> None:
    kept = {path: content for path, content in files(run.path).items() if path.suffix in (".pt", ".safetensors")}
    assert len(kept) == 2
    state = run.path / "checkpoint" / "checkpoint.pt"
    assert state.stat().st_size > 8192
    status, output = run_to_end(tmp_path, ["train", "--quiet", "--resume", str(run.path)], small_files)
    assert (status, output) == (
        2,
        [
            f"segreg: {state} cannot be written: File too large; "
            f"fix that and resume with: segreg train --resume {run.path}"
        ],
    )
    assert {path: files(run.path)[path] for path in kept} == kept
    assert not list(run.path.rglob(".*"))
    assert_can_resume(run)


def test_a_full_disk_ends_a_study_in_one_line(tmp_path: Path) -> None:
    """The study stops, and no run of it counts as failed."""
    words = ["compare", "--quiet", "--models", FOREVER[0], "--losses", "bce", "dice", *FOREVER[1:-1], "2"]
    words += ["--out", str(tmp_path / "study")]
    status, output = run_to_end(tmp_path, words, small_files)
    assert status == 2
    assert len(output) == 1
    assert output[0].startswith(f"segreg: {tmp_path / 'study'}")
    assert output[0].endswith(" cannot be written: File too large; fix that and rerun the same command to resume")
    assert not list((tmp_path / "study").rglob("*.txt"))
    assert run_to_end(tmp_path, words)[0] == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system, where one can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.skipif(not shutil.which("mount"), reason="no file system can be mounted here")
def test_a_small_file_system_that_fills_up(run: Run, tmp_path: Path, small_disk: Path) -> None:
    out = small_disk / "run"
    shutil.copytree(run.path, out)
    before = files(out)
    rest = small_disk / "something else"
    with pytest.raises(OSError, match="No space left"):
        rest.write_bytes(bytes(2**21))
    status, output = run_to_end(tmp_path, ["train", "--quiet", "--resume", str(out)])
    assert status == 2
    assert len(output) == 1
    assert " cannot be written: No space left on device; fix that and resume with: " in output[0]
    assert {path: content for path, content in files(out).items() if path.name != ".lock"} == before
    rest.unlink()
    assert_can_resume(Run(out))


def test_a_read_only_folder_is_named(run: Run, tmp_path: Path) -> None:
    before = files(run.path)
    logs = tmp_path / "logs"
    logs.mkdir()
    for folder in (run.path / "checkpoint", run.path, tmp_path):
        folder.chmod(0o555)
    try:
        for words, where in (
            (["--resume", str(run.path)], run.path),
            (
                [*FOREVER, "--out", str(tmp_path / "new")],
                tmp_path / "new",
            ),
        ):
            status, output = run_to_end(logs, ["train", "--quiet", *words], without_privileges)
            assert (status, len(output)) == (2, 1)
            assert output[0].startswith(f"segreg: {where}/.lock cannot be written: Permission denied")
    finally:
        for folder in (tmp_path, run.path, run.path / "checkpoint"):
            folder.chmod(0o755)
    assert files(run.path) == before
    assert_can_resume(run)


def test_a_folder_removed_during_a_run_is_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with running(tmp_path, ["train", *FOREVER, "--out", str(out)]) as (process, output):
        out.rename(tmp_path / "elsewhere")
        rest = [line for line in output.read().splitlines() if not line.startswith("epoch ")]
        process.join()
    assert process.exitcode == 2
    assert len(rest) == 1
    assert rest[0].startswith(f"segreg: {out}/")
    assert rest[0].endswith("cannot be written: No such file or directory")
    assert not out.exists()
    assert_can_resume(Run(tmp_path / "elsewhere"))
