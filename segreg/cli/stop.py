"""How a verb that takes long ends when it is told to by a signal: in order, and with the status that shells expect."""

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGHUP, which comes when a terminal is closed, is not on Windows.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_SECONDS_TO_END = 5


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn signals into exceptions for the length of the block.

    SIGINT raises `KeyboardInterrupt`, SIGTERM and SIGHUP a `SystemExit` with status 128 + n. More of them do nothing
    while the block ends, unless it has not ended after five seconds: the next one then breaks off what it does. A
    signal that is ignored, as SIGHUP is under `nohup`, stays so.
    """
    last = -math.inf

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last < _SECONDS_TO_END:
            return
        last = time.monotonic()
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
        # When the process ends, another Ctrl-C must not add a traceback to that.
        if last == -math.inf:
            for number, handler in former.items():
                signal.signal(number, handler)
