"""Which runs are still alive: what others have left behind may be removed by the next run.

A local run holds a lease: a lock on a file of its own, which the operating system lets go of when
the process ends, however it ends. On an object store there are no locks; there what a dead run has
left goes by its age (`retention.ABANDONED_SECONDS`). What a lease says is not believed; see
`claims`.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from pipeline import storage
from pipeline.bookkeeping import claims, locks, places, state
from pipeline.bookkeeping.claims import Claim
from pipeline.bookkeeping.places import is_run_id
from pipeline.bookkeeping.state import DamagedError
from pipeline.table.datafiles import LEASES_FOLDER, NEW_FOLDER


class DeadRun(NamedTuple):
    """A run that ended without cleaning up.

    Attributes:
        id: Its id.
        staging: The folder it staged payloads in.
        made: The topmost folder that it has made for that; "" if there was one.
    """

    id: str
    staging: str
    made: str = ""


class Seen(NamedTuple):
    """The runs of a table, by their ids; none where there are no locks.

    Attributes:
        alive: Runs under way.
        dead: Runs that ended without cleaning up.
    """

    alive: list[str]
    dead: list[str]


@contextlib.contextmanager
def hold(root: str, run_id: str, staging: str, table_id: str = "") -> Iterator[None]:
    """Shows within the ``with`` block that a run of the table at `root` is alive.

    If the block raises, the lease stays: what the run has left is for the next one to remove.

    Args:
        root: The table.
        run_id: The run.
        staging: Its staging folder; see `places.staging`.
        table_id: The table's identity.
    """
    made = places.missing(_temp(staging)) if _is_elsewhere(root, run_id, staging) else ""
    with contextlib.ExitStack() as held:
        path = storage.local(_path(root, run_id))
        file = locks.create(path) if locks.are_possible(root) else None
        if file is not None:
            held.enter_context(file)
            claim = claims.make(root, run_id, staging, table_id, made)
            content = msgspec.json.encode(claim)
            file.write(content)
            file.flush()
            if not claim.is_inside:
                storage.write_new(claim.owner, content)
                if storage.is_local(claim.owner):
                    held.enter_context(locks.holding(claim.owner))
        yield
        if file is not None:
            os.unlink(path)
    if storage.is_local(staging):
        places.remove_empty(staging, made)


def dead(root: str, run_id: str) -> list[DeadRun]:
    """Returns the dead runs of the table at `root`; to be dealt with, and then to `forget`.

    Args:
        root: The table.
        run_id: The run that asks.
    """
    found: list[DeadRun] = []
    for name in _names(root):
        path = _path(root, name)
        try:
            with locks.reading(path) as file:
                content = file.read(claims.LIMIT_BYTES)
                # Empty, it is of a run that was killed before it did anything; or of one that is
                # waiting for our lock, and will make another lease.
                if not content and not _has_begun(root, name):
                    os.unlink(path)
                elif is_run_id(name):
                    found.append(DeadRun(name, *claims.staging_of(root, name, path, content)))
                else:
                    state.set_aside(path, run_id, "is not called like a run")
        except DamagedError as error:
            state.set_aside(path, run_id, str(error))
        except OSError:  # it is alive, or has just ended, or nobody can tell
            continue
    return found


def look(root: str) -> Seen:
    """Returns which runs of the table at `root` are alive, and which are dead; changes nothing.

    A lock is held for a moment, which others who look do not mind.
    """
    alive, ended = [], []
    for name in filter(is_run_id, _names(root)):
        with contextlib.suppress(DamagedError, FileNotFoundError):
            try:
                with locks.reading(_path(root, name)) as file:
                    if file.read(1) or _has_begun(root, name):
                        ended.append(name)
            except BlockingIOError:
                alive.append(name)
            except PermissionError:
                continue
    return Seen(alive, ended)


def others(root: str, run_id: str) -> bool:
    """Tells whether any run of the table at `root` is alive besides `run_id`, or may be."""
    if not locks.are_possible(root):
        return True  # nobody knows
    for name in _names(root):
        try:
            with locks.reading(_path(root, name)):
                pass
        except (DamagedError, FileNotFoundError):
            continue
        except OSError:
            if name != run_id:
                return True
    return False


def forget(root: str, runs: Iterable[DeadRun]) -> None:
    """Removes the leases of dead runs of which nothing is left."""
    storage.delete(_path(root, run.id) for run in runs)


def made_folder(root: str, run_id: str) -> str:
    """Returns the topmost folder that a run has made for staging, by its lease; "" if none."""
    if not storage.is_local(root):
        return ""
    with contextlib.suppress(DamagedError, OSError, msgspec.MsgspecError):
        content = state.read(_path(root, run_id), claims.LIMIT_BYTES)
        return msgspec.json.decode(content, type=Claim).made
    return ""


def _path(root: str, run_id: str) -> str:
    """Returns the path of a run's lease."""
    return storage.join(root, LEASES_FOLDER, run_id)


def _names(root: str) -> list[str]:
    """Returns the names of the leases there are."""
    if not locks.are_possible(root):
        return []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = sorted(os.listdir(storage.join(root, LEASES_FOLDER)))
        return [name for name in names if places.DAMAGED not in name]
    return []


def _has_begun(root: str, run_id: str) -> bool:
    """Tells whether there is anything of a run in the table's own folder."""
    folders = (places.inside(run_id), f"{NEW_FOLDER}/{run_id}")
    return any(os.path.lexists(storage.join(root, folder)) for folder in folders)


def _is_elsewhere(root: str, run_id: str, staging: str) -> bool:
    return storage.is_local(staging) and staging != storage.join(root, places.inside(run_id))


def _temp(staging: str) -> str:
    """Returns the temp folder that a staging folder outside the table lies in."""
    return os.path.dirname(os.path.dirname(storage.local(staging)))
