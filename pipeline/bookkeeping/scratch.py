"""The local folder for a run's keys, for whichever process of this machine needs them.

It is the staging folder, if that is local. A run that stages on a store makes one in the system's
folder for temporary files (TMPDIR), and deletes it at its end. A file beside it is locked as long
as the run lives. If nobody holds the lock, the run was stopped or killed, and the next one deletes
the folder.
"""

import contextlib
import os
import pathlib
import secrets
import stat
import tempfile
from collections.abc import Iterator

from pipeline import storage
from pipeline.bookkeeping import locks, state
from pipeline.keys import versions

_PREFIX, _LOCK = "eventsift-keys-", ".lock"
_LOCKS = f"{_PREFIX}{'[0-9a-f]' * 16}{_LOCK}"


@contextlib.contextmanager
def folder(staging: str) -> Iterator[str]:
    """Gives a local folder for the ``with`` block; one that it has made is deleted afterwards.

    Args:
        staging: The run's staging folder.

    Raises:
        OSError: None can be made.
    """
    if storage.is_local(staging):
        yield staging
        return
    delete_those_of_dead_runs()
    made = os.path.join(tempfile.gettempdir(), f"{_PREFIX}{secrets.token_hex(8)}")
    with contextlib.ExitStack() as stack:
        if locks.are_possible(made) and (lock := locks.create(made + _LOCK)):
            stack.enter_context(lock)
        os.mkdir(made, mode=0o700)
        try:
            yield made
        finally:
            _delete(made)


def delete_those_of_dead_runs() -> None:
    """Deletes the folders of runs on this machine that have ended without deleting them."""
    for lock in pathlib.Path(tempfile.gettempdir()).glob(_LOCKS):
        # Another run may be faster, or what lies there may not be ours.
        with contextlib.suppress(OSError, state.DamagedError):
            if _is_own_file(lock):
                with locks.reading(str(lock)):
                    _delete(str(lock).removesuffix(_LOCK))


def _is_own_file(path: pathlib.Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()


def _delete(made: str) -> None:
    """Deletes a folder and then its lock, which stays if the folder does, for the next run."""
    with contextlib.suppress(OSError):
        storage.delete(map(str, pathlib.Path(made).glob(f"*{versions.SUFFIX}")))
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(made)
        storage.delete([made + _LOCK])
