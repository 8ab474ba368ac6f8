"""What is global in a process, and decides what a run computes or where it writes."""

import gc
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageFile
from torch import overrides
from torch.utils._device import DeviceContext

from segreg.isolation import streams_kept
from segreg.support.randomness import random_state, restore_random_state

_UNKNOWN = object()
# Windows has none.
_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]

Setting = tuple[Callable[[], Any], Callable[[Any], object]]
"""How to read something global, and how to set it again."""


@contextmanager
def global_state_kept() -> Iterator[None]:
    """Restore what the block changes of the process: directory, environment, streams, signals, settings, generators.

    What is global to a thread is restored for the current one. Threads that the block started are not waited for.
    """
    device = _device_in_use()
    with ExitStack() as stack:
        stack.enter_context(streams_kept())
        stack.enter_context(matplotlib.rc_context())
        stack.enter_context(np.errstate())
        stack.callback(restore_random_state, random_state(device), device)
        for read, write in _SETTINGS:
            stack.callback(_restore, read, write, _value(read))
        # Leaving the mode restores it, however it was changed, and with it whether gradients and autocast are on.
        gradients = torch.is_grad_enabled()
        stack.enter_context(torch.inference_mode(torch.is_inference_mode_enabled()))
        torch.set_grad_enabled(gradients)
        yield


def _value(read: Callable[[], Any]) -> Any:
    try:
        return read()
    # A directory that was removed; torch's precision, if it was set in two ways.
    except (OSError, RuntimeError):
        return _UNKNOWN


def _restore(read: Callable[[], Any], write: Callable[[Any], object], former: Any) -> None:
    if former is not _UNKNOWN and _value(read) != former:
        write(former)


def _device_in_use() -> torch.device:
    """Return the accelerator if something runs on it: asking for the state of its generator would start it."""
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None:
        return torch.device("cpu")
    # MPS does not say.
    started = getattr(torch.get_device_module(accelerator), "is_initialized", lambda: True)()
    return accelerator if started else torch.device("cpu")


def _attribute(owner: Any, name: str) -> Setting:
    return partial(getattr, owner, name), partial(setattr, owner, name)


def _set_environment(former: Mapping[str, str]) -> None:
    for name in os.environ.keys() - former.keys():
        del os.environ[name]
    os.environ.update(former)


def _umask() -> int:
    # There is no other way to read it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_import_path(former: Sequence[str]) -> None:
    sys.path[:] = former


def _set_warning_filters(former: Sequence[Any]) -> None:
    warnings.resetwarnings()  # also forgets which warnings were decided by the filters of the block
    warnings.filters[:] = former  # type: ignore[index]


def _handlers() -> dict[int, Any]:
    # Other threads cannot set them.
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(former: Mapping[int, Any]) -> None:
    for number, handler in former.items():
        # None: it was not set from Python.
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _modes() -> tuple[torch.device, list[Any]]:
    return torch.get_default_device(), overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]


def _set_modes(former: tuple[torch.device, list[Any]]) -> None:
    _, modes = former
    _leave_modes()
    torch.set_default_device(None)
    _leave_modes()  # the default device that was replaced comes back
    for mode in modes:
        # The default device is a mode too, of which torch keeps another reference.
        if isinstance(mode, DeviceContext):
            torch.set_default_device(mode.device)
        else:
            overrides._push_mode(mode)  # type: ignore[no-untyped-call]


def _leave_modes() -> None:
    while overrides._get_current_function_mode_stack():  # type: ignore[no-untyped-call]
        overrides._pop_mode()  # type: ignore[no-untyped-call]


def _autocast_depth() -> int:
    depth: int = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return depth


def _set_autocast_depth(former: int) -> None:
    """Leave contexts of autocast: until the last one is left, weights that were cast once are used for ever."""
    for _ in range(_autocast_depth() - former):
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()


def _armed() -> list[bool]:
    return [signal.getitimer(timer) != (0.0, 0.0) for timer in _TIMERS]


def _stop_timers(armed: Sequence[bool]) -> None:
    """Stop those that were not running: their signals would find the former handlers."""
    for timer, was_armed in zip(_TIMERS, armed, strict=True):
        if not was_armed:
            signal.setitimer(timer, 0)


def _flushes_denormals() -> bool:
    return sys.float_info.min / 2 == 0


def _detect_anomaly(former: tuple[bool, bool]) -> None:
    torch.autograd.set_detect_anomaly(*former)


def _settings() -> list[Setting]:
    backends: Any = torch.backends
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    settings: list[Setting] = [
        (os.getcwd, os.chdir),
        (_umask, os.umask),
        (lambda: dict(os.environ), _set_environment),
        (lambda: list(warnings.filters), _set_warning_filters),
        (lambda: list(sys.path), _set_import_path),
        (sys.getrecursionlimit, sys.setrecursionlimit),
        _attribute(sys, "excepthook"),
        (socket.getdefaulttimeout, socket.setdefaulttimeout),
        _attribute(Image, "MAX_IMAGE_PIXELS"),
        _attribute(ImageFile, "LOAD_TRUNCATED_IMAGES"),
        (np.get_printoptions, lambda former: np.set_printoptions(**former)),
        (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        (torch.get_default_dtype, torch.set_default_dtype),
        (_modes, _set_modes),
        (_autocast_depth, _set_autocast_depth),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        (lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()), _detect_anomaly),
        (_flushes_denormals, torch.set_flush_denormal),
        _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
        *(_attribute(cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
        *(_attribute(mkldnn, name) for name in ("enabled", "deterministic")),
        *(_attribute(backends.cuda.matmul, f"allow_{kind}_reduced_precision_reduction") for kind in ("fp16", "bf16")),
        # The last one is restored first: setting it sets two of the others too.
        *(
            _attribute(owner, "fp32_precision")
            for owner in (mkldnn.rnn, mkldnn.conv, mkldnn.matmul, cudnn.rnn, cudnn.conv, backends.cuda.matmul)
        ),
        _attribute(cudnn, "fp32_precision"),
        _attribute(backends, "fp32_precision"),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (_handlers, _set_handlers),
    ]
    if sys.platform != "win32":
        mask = partial(signal.pthread_sigmask, signal.SIG_BLOCK, ())
        settings += [(_armed, _stop_timers), (mask, partial(signal.pthread_sigmask, signal.SIG_SETMASK))]
    return settings


_SETTINGS = _settings()
