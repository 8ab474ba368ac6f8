"""What is global in a process is as before, whatever was done to it."""

import gc
import os
import random
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from torch.overrides import BaseTorchFunctionMode

from segreg.support.global_state import global_state_kept

BACKENDS: Any = torch.backends
KEPT: list[Any] = []
"""What must not be collected, which would undo it."""


def entered(context: Any) -> None:
    """Enter a context, and never leave it."""
    KEPT.append(context)
    context.__enter__()


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def signals() -> list[Any]:
    timer = signal.getitimer(signal.ITIMER_VIRTUAL)
    return [signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ()), timer]


def precision() -> list[Any]:
    owners = (BACKENDS, BACKENDS.cudnn, BACKENDS.cudnn.conv, BACKENDS.cuda.matmul, BACKENDS.mkldnn.matmul)
    try:
        legacy = torch.get_float32_matmul_precision()
    except RuntimeError:
        legacy = "set in two ways"
    return [legacy, *(owner.fp32_precision for owner in owners)]


def autocast_depth() -> int:
    torch.autocast_increment_nesting()
    return int(torch.autocast_decrement_nesting())


def modes() -> list[Any]:
    return [
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        autocast_depth(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.empty(1).device,
        torch.overrides._len_torch_function_stack(),
    ]


def determinism() -> list[Any]:
    flags = (BACKENDS.cudnn.benchmark, BACKENDS.cudnn.deterministic, BACKENDS.mkldnn.enabled)
    flags += (BACKENDS.cuda.matmul.allow_bf16_reduced_precision_reduction, sys.float_info.min / 2 > 0)
    return [torch.get_deterministic_debug_mode(), torch.is_anomaly_enabled(), *flags]


def drawn() -> list[float]:
    """The next random numbers, which stay the next ones."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    numbers = [float(torch.rand(())), np.random.rand(), random.random()]
    for setter, state in zip((torch.set_rng_state, np.random.set_state, random.setstate), states, strict=True):
        setter(state)
    return numbers


def python() -> list[Any]:
    interpreter = [sys.getrecursionlimit(), gc.isenabled(), list(sys.path), sys.excepthook, list(warnings.filters)]
    return [*interpreter, socket.getdefaulttimeout(), np.geterr(), np.get_printoptions()]


def pillow() -> list[Any]:
    return [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


DISTURBANCES: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
    (os.getcwd, lambda: os.chdir("/")),
    (umask, lambda: os.umask(0o777)),
    (environment, lambda: os.environ.update(OMP_NUM_THREADS="7", A_NEW_ONE="1")),
    (environment, os.environ.clear),
    (modes, lambda: torch.set_grad_enabled(False)),
    (modes, lambda: entered(torch.no_grad())),
    (modes, lambda: entered(torch.inference_mode())),
    (modes, lambda: entered(torch.autocast("cpu", torch.bfloat16))),
    (modes, lambda: torch.set_default_dtype(torch.float64)),
    (modes, lambda: torch.set_default_device("meta")),
    (modes, lambda: entered(torch.device("meta"))),
    (modes, lambda: (torch.set_default_device("cpu"), entered(torch.device("meta")))),
    (modes, lambda: entered(BaseTorchFunctionMode())),
    (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    (signals, lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])),
    (signals, lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 1000)),
    (precision, lambda: torch.set_float32_matmul_precision("medium")),
    (precision, lambda: setattr(BACKENDS, "fp32_precision", "tf32")),
    (precision, lambda: setattr(BACKENDS.cuda.matmul, "fp32_precision", "tf32")),
    (precision, lambda: setattr(BACKENDS.mkldnn.matmul, "fp32_precision", "bf16")),
    (determinism, lambda: torch.use_deterministic_algorithms(True, warn_only=True)),
    (determinism, lambda: torch.autograd.set_detect_anomaly(True)),
    (determinism, lambda: setattr(BACKENDS.cudnn, "benchmark", True)),
    (determinism, lambda: setattr(BACKENDS.mkldnn, "enabled", False)),
    (determinism, lambda: setattr(BACKENDS.cuda.matmul, "allow_bf16_reduced_precision_reduction", False)),
    (determinism, lambda: torch.set_flush_denormal(True)),
    (drawn, lambda: torch.manual_seed(0)),
    (drawn, lambda: np.random.seed(0)),
    (drawn, lambda: random.seed(0)),
    (python, lambda: sys.setrecursionlimit(500)),
    (python, gc.disable),
    (python, lambda: sys.path.insert(0, "elsewhere")),
    (python, lambda: setattr(sys, "excepthook", print)),
    (python, lambda: socket.setdefaulttimeout(3)),
    (python, lambda: np.set_printoptions(precision=2)),
    (pillow, lambda: setattr(Image, "MAX_IMAGE_PIXELS", None)),
    (pillow, lambda: setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)),
    (python, lambda: warnings.simplefilter("error")),
    (python, lambda: np.seterr(all="raise")),
    (lambda: dict(matplotlib.rcParams), lambda: matplotlib.style.use("dark_background")),
    (signals, lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)),
    (lambda: (sys.stdout, sys.stderr), lambda: (setattr(sys, "stdout", None), setattr(sys, "stderr", sys.stdout))),
]


@pytest.mark.parametrize(("read", "disturb"), DISTURBANCES)
@pytest.mark.parametrize("raises", [False, True])
def test_whatever_is_changed_is_restored(read: Callable[[], Any], disturb: Callable[[], Any], raises: bool) -> None:
    def block() -> None:
        with global_state_kept():
            disturb()
            changed.append(read())
            if raises:
                raise SystemExit

    before: Any = read()
    changed: list[Any] = []
    if raises:
        with pytest.raises(SystemExit):
            block()
    else:
        block()
    assert read() == before
    assert changed != [before]


def test_the_callers_own_settings_are_kept_too(tmp_path: Path) -> None:
    torch.set_default_device("meta")
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), global_state_kept():
            assert torch.is_inference_mode_enabled()
            torch.set_default_device("cpu")
            with torch.inference_mode(False):
                entered(torch.enable_grad())
        assert torch.get_default_device() == torch.device("meta")
    finally:
        torch.set_default_device(None)
    assert modes() == [True, False, False, 0, torch.float32, torch.device("cpu"), torch.device("cpu"), 0]


def test_a_directory_that_is_gone_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with global_state_kept():
        os.chdir("/")
    assert Path.cwd() == Path("/")


@pytest.mark.parametrize(
    "close",
    [
        "sys.stdout.close(); sys.stderr.close()",
        "sys.__stdout__.close(); sys.__stderr__.close()",
        "sys.stdout.buffer.close(); sys.stderr.detach()",
        "sys.__stdout__.detach(); sys.__stderr__.buffer.close()",
        "os.close(1); os.close(2)",
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 1); os.dup2(1, 2)",
        "sys.stdout = sys.stderr = open(os.devnull, 'w')",
    ],
)
def test_streams_stay_open_and_where_they_were(close: str) -> None:
    program = f"""
import os, sys
from segreg.isolation import streams_kept
print("before")
with streams_kept():
    print("within")
    {close}
print("after")
print("an error", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "before\nwithin\nafter\n", "an error\n")
