"""How a long-running verb ends on a signal: in order, and with the exit status that shells expect."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from segreg.isolation import SIGNALS, end_of

# Windows has no SIGHUP, which is sent when a terminal is closed.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_SECONDS_TO_END = 5


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn signals into exceptions during the block.

    SIGINT raises `KeyboardInterrupt`, SIGTERM and SIGHUP a `SystemExit` with status 128 + n. Further signals
    are ignored while the block ends; if it has not ended after five seconds, the next one interrupts it again. A signal
    that is ignored, as SIGHUP is under `nohup`, stays ignored. Each is recorded, so that no plugin can keep it.
    """
    last = -math.inf

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last < _SECONDS_TO_END:
            return
        last = time.monotonic()
        SIGNALS.came.append(number)
        raise end_of(number)

    former = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in former.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    SIGNALS.handled = True
    try:
        yield
    finally:
        SIGNALS.handled = False
        # While the process ends, another Ctrl-C must not add a traceback.
        if last == -math.inf:
            for number, handler in former.items():
                signal.signal(number, handler)
