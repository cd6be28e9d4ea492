"""The local folder for a run's keys, for whichever process of this machine needs them.

It is the staging folder, if that is local. A run that stages on a store makes one in the system's
folder for temporary files (TMPDIR), and deletes it at its end. A lock file in it is locked as long
as the run lives. If nobody holds the lock, the run was stopped or killed, and the next one deletes
the folder.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from pipeline import storage
from pipeline.bookkeeping import locks, state

_PREFIX = "eventsift-"
_LOCK = "lock"


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
    with contextlib.ExitStack() as stack:
        made = tempfile.mkdtemp(prefix=_PREFIX)
        stack.callback(_delete, made)
        if locks.are_possible(made):
            # It gets its name when it is locked: what nobody has locked is taken for dead.
            unnamed = os.path.join(made, "unnamed")
            if lock := locks.create(unnamed):
                stack.enter_context(lock)
                os.rename(unnamed, os.path.join(made, _LOCK))
        yield made


def delete_those_of_dead_runs() -> None:
    """Deletes the folders of runs on this machine that have ended without deleting them."""
    for found in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another run may be faster, or what lies there may not be ours.
        with contextlib.suppress(OSError, state.DamagedError):
            if found.lstat().st_uid == os.getuid():
                with locks.reading(str(found / _LOCK)):
                    _delete(str(found))


def _delete(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
