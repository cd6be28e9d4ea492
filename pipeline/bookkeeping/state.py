"""Files beside the table that a run reads: they may be damaged, or somebody else's work.

A run works without them. So a file that is not what it should be is set aside, which a notice says,
and the run goes on without it.
"""

import contextlib
import os
import stat

import xxhash

from pipeline import notices, storage
from pipeline.bookkeeping.places import DAMAGED
from pipeline.errors import EventsiftError


class DamagedError(EventsiftError):
    """A file is not what its place says; the text says what it is."""


def open_regular(path: str) -> int:
    """Opens a local file for reading; no link is followed, no pipe waited for.

    Returns:
        Its descriptor.

    Raises:
        DamagedError: It is no regular file.
        OSError: There is no such file, or it cannot be opened.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise DamagedError("is not a regular file")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags)


def read(path: str, limit_bytes: int) -> bytes:
    """Returns the content of a file.

    Raises:
        DamagedError: It is no regular file, or larger than `limit_bytes`, or cannot be read.
        FileNotFoundError: There is no such file.
    """
    if storage.is_local(path):
        path = storage.local(path)
        try:
            with open(open_regular(path), "rb") as file:
                if os.fstat(file.fileno()).st_size > limit_bytes:
                    raise _too_large(limit_bytes)
                return _limited(file.read(limit_bytes + 1), limit_bytes)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DamagedError(f"cannot be read: {error.strerror or error}") from error
    with storage.open_read(path) as file:
        return _limited(file.read(limit_bytes + 1), limit_bytes)


def _limited(content: bytes, limit_bytes: int) -> bytes:
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    return content


def _too_large(limit_bytes: int) -> DamagedError:
    return DamagedError(f"is larger than {limit_bytes:,} bytes")


def seal(content: bytes) -> bytes:
    """Returns `content` with a checksum before it, in a line of its own."""
    return b"%s\n%s" % (xxhash.xxh3_64_hexdigest(content).encode(), content)


def unseal(sealed: bytes) -> bytes:
    """Returns what `seal` was given.

    Raises:
        DamagedError: The checksum is another one.
    """
    content = sealed[17:]
    if sealed != seal(content):
        raise DamagedError("does not have the content it was written with")
    return content


def set_aside(path: str, run_id: str, why: str) -> None:
    """Renames what should not be where it is, and says so.

    Args:
        path: A file, or locally anything else; a link is renamed itself.
        run_id: The run that has come upon it.
        why: What is wrong, as the end of a sentence that begins with the path.
    """
    aside = f"{path}{DAMAGED}{run_id}"
    with contextlib.suppress(OSError):
        if storage.is_local(path):
            os.rename(storage.local(path), storage.local(aside))
        else:
            storage.copy(path, aside)
            storage.delete([path])
        notices.say(f"{path} {why}; it was renamed to {aside.rpartition('/')[2]}")
        return
    notices.say(f"{path} {why}; it is ignored")
