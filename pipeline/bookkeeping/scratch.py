"""A local folder for what the processes of one machine tell each other.

It is the staging folder, if that is local. A run that stages on a store gets one in the system's
folder for temporary files (TMPDIR). It is locked as long as the run lives. So one that nobody has
locked is that of a killed run, and the next run on this machine deletes it.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from pipeline import signals, storage
from pipeline.bookkeeping import locks

_PREFIX = "eventsift-"
_LOCK = "lock"


@contextlib.contextmanager
def folder(staging: str) -> Iterator[str]:
    """Gives a local folder, which need not last longer than the ``with`` block.

    Args:
        staging: The run's staging folder.

    Raises:
        OSError: None can be made.
    """
    if storage.is_local(staging):
        yield staging
        return
    _delete_those_of_killed_runs()
    with contextlib.ExitStack() as stack:
        made = tempfile.mkdtemp(prefix=_PREFIX)
        stack.enter_context(signals.before_ending(lambda _: _delete(made)))
        stack.callback(_delete, made)
        if locks.are_possible(made):
            # The name is looked for only where the lock is held already.
            unlocked = os.path.join(made, "unlocked")
            if lock := locks.create(unlocked):
                stack.enter_context(lock)
                os.rename(unlocked, os.path.join(made, _LOCK))
        yield made


def _delete_those_of_killed_runs() -> None:
    for found in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another run may be faster, or the folder may be somebody else's.
        with contextlib.suppress(OSError), locks.reading(str(found / _LOCK)):
            if found.lstat().st_uid == os.getuid():
                _delete(str(found))


def _delete(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
