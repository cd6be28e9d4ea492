"""Which runs are still alive: what others have left behind may be removed by the next run.

A local run holds a lock on a file of its own, which the operating system lets go of when the
process ends, however it ends. On an object store there are no locks; there what a dead run has left
goes by its age (`settling.ABANDONED_SECONDS`).
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TextIO

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
    path = storage.local(storage.join(root, _FOLDER, run_id))
    with _locked(path) as mark:
        mark.write(staging)
        mark.flush()
        yield
        os.unlink(path)


def _locked(path: str) -> TextIO:
    """A new file, locked; made again if `dead` has removed it before it was locked."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        mark = open(path, "w")  # noqa: SIM115 (closed by whoever holds it)
        fcntl.flock(mark, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(mark.fileno()), os.stat(path)):
                return mark
        mark.close()


def dead(root: str) -> list[Dead]:
    """The dead runs of the table at `root`; to be dealt with, and then to `forget`."""
    found: list[Dead] = []
    if fcntl is None or not storage.is_local(root):
        return found
    for file in storage.list_files(storage.join(root, _FOLDER)):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), open(file.path) as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if staging := mark.read():
                found.append(Dead(os.path.basename(file.path), staging))
            else:  # killed before it could write; or about to lock, then it makes another mark
                os.unlink(file.path)
    return found


def others(root: str, run_id: str) -> bool:
    """Whether any run of the table at `root` is alive besides `run_id`."""
    if fcntl is None or not storage.is_local(root):
        return True  # nobody knows
    for file in storage.list_files(storage.join(root, _FOLDER)):
        try:
            with open(file.path) as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            if os.path.basename(file.path) != run_id:
                return True
    return False


def forget(root: str, runs: Iterable[Dead]) -> None:
    """Removes the marks of dead runs of which nothing is left."""
    storage.delete(storage.join(root, _FOLDER, run.id) for run in runs)
