"""Which runs are still alive: what others have left behind may be removed by the next run.

A local run holds a lock on a file of its own, which the operating system lets go of when the
process ends, however it ends. On an object store there are no locks; there what a dead run has left
goes by its age (`table.ABANDONED_SECONDS`).
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from pipeline import storage

try:
    import fcntl
except ImportError:  # Windows: by age, as on an object store
    fcntl = None  # type: ignore[assignment]

_FOLDER = "_eventsift/alive"


class Dead(NamedTuple):
    """A run that ended without cleaning up.

    Attributes:
        id: Its id.
        staging: The folder it staged payloads in.
    """

    id: str
    staging: str


@contextlib.contextmanager
def hold(root: str, run_id: str, staging: str) -> Iterator[None]:
    """Marks a run of the table at `root` as alive within the ``with`` block.

    If the block raises, the mark stays: what the run has left is for the next one to remove.
    """
    if fcntl is None or not storage.is_local(root):
        yield
        return
    folder = storage.local(storage.join(root, _FOLDER))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, run_id)
    with open(path, "w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.write(staging)
        mark.flush()
        yield
        os.unlink(path)


def dead(root: str) -> Iterator[Dead]:
    """Yields the dead runs of the table at `root`; a mark goes once its run was dealt with."""
    if fcntl is None or not storage.is_local(root):
        return
    for file in storage.list_files(storage.join(root, _FOLDER)):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), open(file.path) as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Dead(os.path.basename(file.path), mark.read())
            storage.delete([file.path])
