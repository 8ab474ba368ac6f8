"""Processes that train and can be killed: forked from one that has already imported torch, so that they are cheap."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

FORKSERVER = "forkserver" in multiprocessing.get_all_start_methods()
posix = pytest.mark.skipif(not FORKSERVER, reason="forks, and the signals of POSIX")

SMALL: Mapping[str, Any] = {
    "model": "unet:width=4,depth=2",
    "loss": "bce+dice",
    "data": "lesions:train=8,valid=4,test=4",
    "size": 32,
    "epochs": 3,
    "batch": 3,
    "ema": True,
    "checkpoint_every": 1,
    "device": "cpu",
}
"""Three steps per epoch, the last one with fewer images, and a checkpoint written after each."""


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that calls one of the functions below."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "segreg.cli.train", "segreg.cli.compare", "torch._dynamo"])
    # As a daemon, it does not outlive a failing test.
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def settle() -> None:
    """Use one thread, as every other child does."""
    import torch

    torch.set_num_threads(1)


def report_writes(pipe: Connection) -> None:
    """Send a number each time a temporary file is opened for writing or for syncing to disk: 1, 2, ..."""
    numbers = count(1)

    def report(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and ".partial" in str(arguments[0]):
            pipe.send(next(numbers))

    sys.addaudithook(report)


def train(out: Path, settings: Mapping[str, Any], pipe: Connection) -> None:
    """Start a run, or resume it if it exists."""
    from segreg.training.fit import fit, resume

    settle()
    report_writes(pipe)
    if (out / "recipe.toml").exists():
        resume(out, quiet=True)
    else:
        fit(**settings, out=out, quiet=True)


def compare(out: Path, settings: Mapping[str, Any], pipe: Connection) -> None:
    """Start a study, or resume it."""
    from segreg.studies.compare import compare

    settle()
    report_writes(pipe)
    compare(**settings, out=out, quiet=True)


def command(log: Path, words: list[str], prepare: Callable[[], None] | None = None) -> None:
    """Call the command line, with both output streams in a file or a named pipe."""
    from segreg.cli.main import main

    settle()
    # The parent of the tests may ignore signals, as `nohup` does, and as shells do for background processes.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    # New ones, since the existing ones remember whether they are seekable.
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    if prepare:
        prepare()
    main(words)
