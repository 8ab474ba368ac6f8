"""What belongs to the whole process: settings that a component must not modify, and generators that it draws from."""

import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from segreg.isolation import Caught
from segreg.plugins import Entry
from segreg.support.global_state import global_state_kept
from segreg.support.randomness import seed_all
from segreg.testing.subject import expect, same_values

Use: TypeAlias = Callable[[], Iterator[tuple[str, Sequence[Tensor]]]]
"""Uses a component, and yields what was done each time, and what that gave."""

# Unlikely to be what a component seeds with.
_SEED = 7_046_029_254


def _umask() -> int:
    # There is no other way to read it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _flags(owner: Any, *names: str) -> Mapping[str, Any]:
    return {name: getattr(owner, name) for name in names}


_BACKENDS: Any = torch.backends
_HOOKS = ("_global_forward_pre_hooks", "_global_forward_hooks", "_global_backward_pre_hooks", "_global_backward_hooks")
_SETTINGS: Mapping[str, Callable[[], Any]] = {
    "the default dtype": torch.get_default_dtype,
    "the default device": torch.get_default_device,
    "the gradient mode": torch.is_grad_enabled,
    "inference mode": torch.is_inference_mode_enabled,
    "autocast": lambda: [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")],
    "anomaly detection": torch.is_anomaly_enabled,
    "the deterministic mode": torch.get_deterministic_debug_mode,
    "the number of threads": torch.get_num_threads,
    "the precision of matrix products": torch.get_float32_matmul_precision,
    "cuDNN's settings": lambda: _flags(_BACKENDS.cudnn, "enabled", "benchmark", "deterministic", "fp32_precision"),
    "cuBLAS's settings": lambda: _flags(
        _BACKENDS.cuda.matmul,
        "fp32_precision",
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
    ),
    "oneDNN's settings": lambda: _flags(_BACKENDS.mkldnn, "enabled", "deterministic"),
    "the treatment of denormal numbers": lambda: sys.float_info.min / 2 > 0,
    "torch's global hooks": lambda: [len(getattr(torch.nn.modules.module, name, ())) for name in _HOOKS],
    "the current directory": os.getcwd,
    "the file mode creation mask": _umask,
    "standard output": lambda: (sys.stdout, sys.stdout.closed),
    "standard error": lambda: (sys.stderr, sys.stderr.closed),
    "the recursion limit": sys.getrecursionlimit,
    "garbage collection": gc.isenabled,
    "the locale": lambda: locale.setlocale(locale.LC_ALL),
    "the timeout of sockets": socket.getdefaulttimeout,
    "Pillow's settings": lambda: (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
}
# The first use may import libraries, which modify these and draw random numbers: what counts is done each time.
_ALSO_SET_BY_IMPORTS: Mapping[str, Callable[[], Any]] = {
    "the environment": lambda: dict(os.environ),
    "the warning filters": lambda: list(warnings.filters),
    "NumPy's error handling": np.geterr,
    "NumPy's print options": np.get_printoptions,
    "the import path": lambda: list(sys.path),
    "the root logger": lambda: (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
    "the hook for exceptions": lambda: sys.excepthook,
    "signal handlers": lambda: {number.name: signal.getsignal(number) for number in signal.Signals},
}
_GENERATORS: Mapping[str, Callable[[], Any]] = {
    "torch's random number generator": lambda: torch.get_rng_state().numpy().tobytes(),
    "NumPy's random number generator": lambda: [np.asarray(each).tobytes() for each in np.random.get_state()],
    "Python's random number generator": random.getstate,
}


def expect_no_global_change(use: Use, *, may_draw: bool = False) -> None:
    """Raise `CheckFailed` if using a component modifies something global.

    Args:
        use: Uses it.
        may_draw: Whether it may draw from the global random number generators.
    """
    watched = {**_SETTINGS, **_ALSO_SET_BY_IMPORTS, **({} if may_draw else _GENERATORS)}
    changes = _changes(use, watched)
    if changes and not changes.keys() & _SETTINGS.keys():
        again = _changes(use, watched)
        changes = {name: change for name, change in changes.items() if name in again}
    expect(not changes, "; ".join(changes.values()))


def changes_by_imports(entries: Sequence[Entry]) -> str:
    """Return what importing components modifies, in one line; empty if nothing. For a process that is new."""

    def use() -> Iterator[tuple[str, Sequence[Tensor]]]:
        for entry in entries:
            # What cannot be imported fails the component's own checks.
            with Caught():
                entry.target()
            yield f"importing {entry.record.target}", []

    return "; ".join(_changes(use, {**_SETTINGS, **_GENERATORS}).values())


def _changes(use: Use, watched: Mapping[str, Callable[[], Any]]) -> Mapping[str, str]:
    """Return what the first step that modifies something global does, by what it modifies."""
    with global_state_kept():
        seed_all(_SEED)
        # One that sets a single thread must not find it set.
        torch.set_num_threads(3)
        before = _read(watched)
        for what, _ in use():
            after = _read(watched)
            changed = [name for name in watched if before[name] != after[name]]
            if changed:
                return {name: f"{what} modifies {name}{_how(before[name], after[name])}" for name in changed}
    return {}


def _read(settings: Mapping[str, Callable[[], Any]]) -> Mapping[str, Any]:
    return {name: _value(read) for name, read in settings.items()}


def _value(read: Callable[[], Any]) -> Any:
    try:
        return read()
    # A directory that was removed, a stream that was detached, a precision that was set in two ways.
    except (OSError, RuntimeError, ValueError) as error:
        return type(error)


def _how(before: Any, after: Any) -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        return f" ({', '.join(names[:3])})"
    shown = all(isinstance(each, bool | int | float | str | torch.dtype | torch.device) for each in (before, after))
    return f", from {before} to {after}" if shown else ""


def expect_seeded(use: Use) -> list[list[tuple[Tensor, Tensor]]]:
    """Raise `CheckFailed` unless all randomness follows from the state of the global generators, which only move on.

    Returns:
        What each step gives, for two states of the generators.
    """
    first, again, other = _from(use), _from(use), _from(use, moved_on=True)
    for (what, values, states), (_, repeated, states_again), (_, _, states_of_other) in zip(
        first, again, other, strict=True
    ):
        same = len(values) == len(repeated) and all(map(same_values, values, repeated))
        expect(
            same and states == states_again,
            f"{what} twice with one seed gives two things: draw from the global generators, which are seeded",
        )
        seeded = [name for name in states if states[name] == states_of_other[name]]
        expect(not seeded, f"{what} seeds {' and '.join(seeded)}: that is for the run to do")
    return [list(zip(values, others, strict=True)) for (_, values, _), (_, others, _) in zip(first, other, strict=True)]


def _from(use: Use, moved_on: bool = False) -> list[tuple[str, Sequence[Tensor], Mapping[str, Any]]]:
    """Use it with generators that were just seeded, or that have moved on since."""
    with global_state_kept():
        seed_all(_SEED)
        if moved_on:
            torch.rand(1)
            np.random.rand()
            random.random()
        return [(what, values, _read(_GENERATORS)) for what, values in use()]
