"""Keeps a plugin's code from ending the process, closing its streams and sending escape codes to the terminal."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TextIO

import attrs

from segreg.errors import printable_lines


@attrs.define
class Signals:
    """The signals that came while they were handled.

    Args:
        handled: Whether they raise exceptions: on the command line, while a long-running verb runs.
        came: Their numbers.
    """

    handled: bool = False
    came: list[int] = attrs.field(factory=list)


SIGNALS = Signals()


def end_of(number: int) -> BaseException:
    """Return the exception by which a signal ends the process, with the status that shells expect."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


class Caught:
    """A context manager that catches whatever a plugin raises, `SystemExit` and a panic of Rust included.

    A signal still ends the process, even if the plugin caught its exception. Where segreg does not handle signals, a
    `KeyboardInterrupt` is taken for one.
    """

    failed = False
    error: BaseException
    """What was raised; set if it `failed`."""

    def __enter__(self) -> Self:
        """Remember which signals came before."""
        self._before = len(SIGNALS.came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep the error, unless it came from a signal."""
        if len(SIGNALS.came) > self._before:
            raise end_of(SIGNALS.came[-1]) from None
        if isinstance(error, KeyboardInterrupt) and not SIGNALS.handled:
            return False
        if error is not None:
            self.failed, self.error = True, error
        return True


@contextlib.contextmanager
def streams_kept(*, aside: bool = False) -> Iterator[None]:
    """Restore standard output and standard error, even if they are replaced, redirected or closed in the block.

    Args:
        aside: Send what is printed to standard error, without escape codes.
    """
    former = {name: getattr(sys, name) for name in ("stdout", "stderr", "__stdout__", "__stderr__")}
    copies = {}
    for number in (1, 2):
        with contextlib.suppress(OSError):
            copies[number] = os.dup(number)
    for name, stream in former.items():
        setattr(sys, name, _relay(former["stderr"] if aside else stream, aside))
    try:
        yield
    finally:
        for number, copy in copies.items():
            os.dup2(copy, number)
            os.close(copy)
        for name, stream in former.items():
            setattr(sys, name, stream)


class _Relay(io.RawIOBase):
    """Passes on what is written to a stream, which stays open when this one is closed."""

    def __init__(self, stream: TextIO, escaped: bool) -> None:
        self._stream, self._escaped = stream, escaped

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        text = bytes(data).decode(errors="backslashreplace")
        self._stream.write(printable_lines(text) if self._escaped else text)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty() and not self._escaped


def _relay(stream: TextIO | None, escaped: bool) -> TextIO | None:
    if stream is None:  # a program without a console
        return None
    relay: Any = _Relay(stream, escaped)
    return io.TextIOWrapper(relay, "utf-8", "backslashreplace", newline="\n", write_through=True)
