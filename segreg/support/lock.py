"""One process at a time in a directory: a lock that the system takes back when the process ends, however it ends."""

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from segreg.errors import RunError
from segreg.support.files import writing

_NAME = ".lock"
# Where Windows locks a byte, nobody else may read it: this one is far behind the text that says who holds the lock.
_BYTE = 4096


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes out of a directory, which is made if it is not there.

    What a process that was killed left behind locks nobody out: the file stays, but the lock on it went with the
    process.

    Raises:
        RunError: another process is at work there, or the directory cannot be written to.
    """
    path = directory / _NAME
    with writing(path):
        directory.mkdir(parents=True, exist_ok=True)
        file = _opened_and_locked(path)
    with file:
        try:
            yield
        finally:
            # Windows does not remove what is open; there the file stays.
            with suppress(OSError):
                path.unlink()


def _opened_and_locked(path: Path) -> TextIO:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _lock(file.fileno())
        except OSError as error:
            # Any other error says that this file system has no locks; that must not keep anybody from training.
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                with file:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                raise RunError(f"{path.parent} is in use by {holder}: wait until that has ended, or stop it") from None
        # Whoever held the lock may have removed the file between our opening and locking it.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
            return file
        file.close()


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Not flock, whose lock a child process keeps that outlives a killed parent.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BYTE)
