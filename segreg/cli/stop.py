"""How a verb that takes long ends when it is told to by a signal: in order, and with the status that shells expect."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGHUP, which comes when a terminal is closed, is not on Windows.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn signals into exceptions for the length of the block.

    SIGINT raises `KeyboardInterrupt`, SIGTERM and SIGHUP a `SystemExit` with status 128 + n. One that comes while the
    block is already ending breaks off what it still does. A signal that is ignored, as SIGHUP is under `nohup`, stays
    so.
    """
    came = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    former = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in former.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            # The process ends: an impatient third Ctrl-C must not add a traceback to that.
            signal.signal(number, signal.SIG_IGN if came else handler)
