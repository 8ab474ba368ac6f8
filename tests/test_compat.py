"""torchvision next to a torch that it was not built for, with a stand-in that fails as the real one does."""

import subprocess
import sys
from pathlib import Path

import pytest

# What torchvision does at its import: it registers operators that its compiled part would have declared.
TORCHVISION = """
import torch
__version__ = "9.9+cu999"
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold):
    return dets
@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold):
    return dets
"""
BUILT_FOR_IT = """
import torch
for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def outcome(folder: Path, torchvision: str | None) -> tuple[str, str]:
    """The output and errors of a process that has fixed this torchvision twice."""
    if torchvision is not None:
        (folder / "torchvision.py").write_text(torchvision)
    script = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        + ("" if torchvision is not None else "sys.modules['torchvision'] = None\n")
        + "from segreg.compat import patch_torchvision\npatch_torchvision()\npatch_torchvision()\n"
        + ("import torchvision\n" if torchvision is not None else "")
        + "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.stderr.strip()


def test_without_the_fix_the_import_fails(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(TORCHVISION)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import torchvision"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "operator torchvision::nms does not exist" in done.stderr


def test_it_is_fixed_and_reported_once(tmp_path: Path) -> None:
    out, err = outcome(tmp_path, TORCHVISION)
    assert out == "fine"
    assert len(err.splitlines()) == 1
    assert err.startswith("torchvision 9.9+cu999 does not match torch ")
    assert err.endswith("its operators nms and qnms are declared without code to allow the import")


@pytest.mark.parametrize("torchvision", [BUILT_FOR_IT + TORCHVISION, None], ids=["one that fits", "none"])
def test_what_needs_no_fix_is_left_alone(tmp_path: Path, torchvision: str | None) -> None:
    assert outcome(tmp_path, torchvision) == ("fine", "")


def test_processes_that_it_starts_do_not_report_it_again(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(TORCHVISION)
    script = tmp_path / "many.py"
    script.write_text(
        "import multiprocessing\n"
        "from segreg.compat import patch_torchvision\n"
        "if __name__ == '__main__':\n"
        "    patch_torchvision()\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
        "        pool.apply(patch_torchvision)\n"
        "        pool.apply(patch_torchvision)\n"
        "    print('fine')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine"
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_another_failure_is_not_hidden(tmp_path: Path) -> None:
    out, err = outcome(tmp_path, "raise RuntimeError('no driver')")
    assert out == ""
    assert err.endswith("RuntimeError: no driver")
