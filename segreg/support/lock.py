"""One process at a time in a directory: a lock that the system releases when the process ends, however it ends."""

import errno
import os
import platform
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from segreg.errors import RunError
from segreg.support.files import writing

_NAME = ".lock"
# On Windows, nobody else may read a locked byte: this one is far beyond the text that names the lock's holder.
_BYTE = 4096


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes out of a directory, which is created if it does not exist.

    A process that was killed locks nobody out: its file stays, but the lock on it ended with the process.

    Raises:
        RunError: the directory is in use by another process, or cannot be written to.
    """
    path = directory / _NAME
    with writing(path):
        directory.mkdir(parents=True, exist_ok=True)
        file = _opened_and_locked(path)
    with file:
        try:
            yield
        finally:
            # Windows does not remove an open file, so there it stays.
            with suppress(OSError):
                path.unlink()


def _opened_and_locked(path: Path) -> TextIO:
    while True:
        file = _opened(path)
        try:
            _lock(file.fileno())
        except OSError as error:
            # Any other error means that this file system has no locks, which must not prevent training.
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                with file:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                raise RunError(f"{path.parent} is in use by {holder}: wait for it to end, or stop it") from None
        # The previous holder may have removed the file between our opening and locking it.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
            return file
        file.close()


def _opened(path: Path) -> TextIO:
    """Open the file of a lock, which may be a stranger's: nothing else is followed, waited for or truncated."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_ours(path) from error
        raise
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or path.is_symlink():
        os.close(descriptor)
        raise _not_ours(path)
    return os.fdopen(descriptor, "a+", encoding="utf-8")


def _not_ours(path: Path) -> RunError:
    return RunError(f"{path} is not a lock file of segreg, but a link or not a regular file: remove it")


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Not flock, whose lock a child process keeps that outlives a killed parent.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BYTE)
