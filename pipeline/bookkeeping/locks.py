"""Locks on local files. The operating system releases them when a process ends, however it ends."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import IO

from pipeline import storage
from pipeline.bookkeeping import state

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def are_possible(path: str) -> bool:
    """Tells whether files there can be locked at all: not on object stores, and not on Windows."""
    return fcntl is not None and storage.is_local(path)


def create(path: str) -> IO[bytes] | None:
    """Creates a local file, locked as long as it is open.

    It is made again if another run has removed it before it was locked.

    Returns:
        The file; None where the file system has no locks.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        file = open(path, "wb")  # noqa: SIM115 (closed by whoever holds it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            file.close()
            os.unlink(path)
            if error.errno in _NO_LOCKS:
                return None
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


@contextlib.contextmanager
def reading(path: str) -> Iterator[IO[bytes]]:
    """Opens a local file for reading, locked meanwhile. Several may read it at once.

    Seen to fail with a lock for one reader: two runs that looked at a dead run's lease at the same
    time each took it for that of a live run, and it stayed.

    Raises:
        BlockingIOError: Another process holds its lock to write, as live runs do.
        DamagedError: It is no regular file.
        OSError: It is not there, or cannot be read or locked.
    """
    with open(state.open_regular(path), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield file


@contextlib.contextmanager
def holding(path: str) -> Iterator[None]:
    """Holds the lock of a local file, if it can be had."""
    with open(path, "rb") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
