"""Healing: what dead runs have left behind is removed, or finished, by the next run."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence

from pipeline import storage
from pipeline.bookkeeping import catalogues, journal, leases, places, state
from pipeline.bookkeeping.leases import DeadRun
from pipeline.storage import FileInfo
from pipeline.storage.paths import STATE
from pipeline.table import deletable, delta, settling
from pipeline.table.address import Table
from pipeline.table.datafiles import LEASES_FOLDER, NEW_FOLDER, TableError
from pipeline.table.delta import Snapshot

# How the store below deltalake 1.6 (object_store's LocalFileSystem) calls what it has begun.
_DELTA_TEMPORARY = re.compile(r"/_delta_log/[^/]+#\d+$")
# What only our commits have: a transaction of ours, or a file on its way to its partition.
_OUR_COMMIT = re.compile(rf'"eventsift/|"{NEW_FOLDER}/'.encode())
# No tool takes as long to write a commit; and a day is little for a hidden file to stay.
_OLD_SECONDS = 86_400.0
_FOLDERS = (
    STATE,
    LEASES_FOLDER,
    NEW_FOLDER,
    *(places.TEMP_FOLDER, journal.RUNS, journal.REJECTS, catalogues.CATALOGUES),
)


def secure(table: Table, run_id: str) -> str:
    """Sees to it that a table's folders for our own files are its own, before any is written.

    What is in the place of one, a link to somewhere else or a file, is set aside.

    Args:
        table: The table.
        run_id: The run that is about to begin.

    Returns:
        The table's identity; "" if there is no table yet, or if it is not local: there are no
        leases then.

    Raises:
        TableError: The folder is somebody else's, or live files lie behind a link.
    """
    root = table.root
    if not storage.is_local(root):
        return ""
    identity = delta.open_newest(table).lineage().identity
    for name in _FOLDERS:
        path = storage.join(root, name)
        if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
            _set_folder_aside(table, name, run_id)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(storage.join(root, NEW_FOLDER))):
            if os.path.islink(storage.join(root, NEW_FOLDER, name)) and places.is_run_id(name):
                _set_folder_aside(table, f"{NEW_FOLDER}/{name}", run_id)
    return identity


def _set_folder_aside(table: Table, name: str, run_id: str) -> None:
    path = storage.join(table.root, name)
    for file in delta.load(table).files:
        if file.path.startswith(f"{name}/"):
            raise TableError(
                f"{path} is not a folder of its own, and {file.path} of the table lies behind it:"
                " put the folder itself there"
            )
    state.set_aside(path, run_id, "is not a folder of its own")


def heal(table: Table, run_id: str, keep_seconds: float = 0.0, rebuild: bool = False) -> Snapshot:
    """Finishes what runs before have left undone: every run begins with it, and so does compaction.

    A run may commit and die at any moment, also while this goes on. Hence the order:

    1. The dead are found. A run that dies later is left to the next run.
    2. The files are settled. The log is read after the dead were found, so it has all that they
       have committed, and those files get their places in the partitions. If they were
       found only now, one may have committed since, and its live files would still be hidden.
    3. The dead are cleared: what they have published is recorded, the rest is removed.

    `clear` looks for live files itself, too. So it takes two mistakes to lose one.

    Args:
        table: The table.
        run_id: The run that begins.
        keep_seconds: How long superseded files stay; see `settling.settle`.
        rebuild: Whether the table is about to be rebuilt; see there.

    Returns:
        The table as it now is.

    Raises:
        OSError: Something cannot be removed, or recorded.
        datafiles.TableError: The folder is not a table of ours, or cannot be read or settled.
    """
    dead = leases.dead(table.root, run_id)
    snapshot = settling.settle(table, keep_seconds, rebuild)
    clear(table, run_id, dead)
    return snapshot


def clear(table: Table, run_id: str, dead: Sequence[DeadRun]) -> None:
    """Removes what these runs have staged and what they have written but not committed.

    What one has published and not yet recorded is recorded first.

    Args:
        table: The table.
        run_id: The run that clears up.
        dead: The dead runs, from `leases.dead`.

    Raises:
        OSError: Something cannot be removed, or recorded.
        datafiles.TableError: The table cannot be read.
    """
    root = table.root
    for run in dead:
        version = _published(table, run.id)
        if version is not None:
            journal.finish(table, run, version, run_id)
        elif _is_own(root, f"{NEW_FOLDER}/{run.id}"):
            settling.drop_uncommitted(table, run.id)
        _remove_staged(root, run)
    if not dead:
        return
    # A half-written file does not tell whose it is. Listed first: what a run that starts now makes
    # is not in the list, and a run that made what is listed is dead, or still has its lease.
    temporary = list(_temporary(storage.list_files(root)))
    if not leases.others(root, run_id):
        storage.delete(temporary)
        leases.forget(root, dead)


def _published(table: Table, run_id: str) -> int | None:
    """Returns the version that has a run's events; None if the run was not committed.

    After `retention.LOG_DAYS` days the log forgets who made a commit, but not the files it added.
    """
    opened = delta.open_newest(table)
    version = opened.published(run_id)
    if version is None:
        own = re.compile(rf"part-{re.escape(run_id)}-\w+(\.parquet)?")
        if any(own.fullmatch(path.rpartition("/")[2]) for path in opened.paths()):
            return opened.version
    return version


def _is_own(root: str, name: str) -> bool:
    """Tells whether a folder of the table is its own, and no link to somewhere else."""
    return not storage.is_local(root) or storage.is_really_below(storage.join(root, name), root)


def _remove_staged(root: str, run: DeadRun) -> None:
    storage.delete_tree(run.staging, places.boundary(root, run.staging))
    if storage.is_local(run.staging) and not os.path.lexists(storage.local(run.staging)):
        places.remove_empty(os.path.realpath(storage.local(run.staging)), run.made)


def _temporary(files: Sequence[FileInfo]) -> Iterator[str]:
    """Yields the files that runs of eventsift had begun to write when they were killed."""
    now = deletable.now(files)
    for path, size, modified in files:
        if storage.is_temporary(path):
            yield path
        elif _DELTA_TEMPORARY.search(path):
            # Other tools may be writing to the log at this moment.
            with contextlib.suppress(OSError):
                old = modified < now - _OLD_SECONDS
                if old or not size or _OUR_COMMIT.search(storage.read_bytes(path)):
                    yield path


def abandon(table: Table, run: DeadRun, *, all_ended: bool = True) -> int | None:
    """Clears up after a run of this process that has failed, as far as that is possible now.

    Args:
        table: The table.
        run: The run.
        all_ended: Whether no worker of the run may still be writing.

    Returns:
        The version in which the run was published before it failed, None if it was not.
    """
    version = None
    with contextlib.suppress(Exception):  # the next run does what cannot be done now
        run = run._replace(made=leases.made_folder(table.root, run.id))
        version = delta.open_newest(table).published(run.id)
        if version is not None:
            journal.finish(table, run, version, run.id)
        _remove_staged(table.root, run)  # also where clearing fails, or has to wait
        if version is None and all_ended:
            clear(table, run.id, [run])
            storage.remove_empty_directories([storage.join(table.root, STATE)])
    return version


def outcome(version: int | None) -> str:
    """Says in a sentence what a failed run has done to the table; see `abandon`."""
    if version is None:
        return "Nothing was published; the table is as it was."
    return (
        f"But what it has done is published, as version {version}; readers of plain Parquet may see"
        " older rows beside it until the next run tidies up."
    )
