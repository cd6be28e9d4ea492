"""What dead runs have left behind, and the next run removes, or finishes."""

import contextlib
import re
from collections.abc import Sequence

from pipeline import alive, datafiles, journal, storage, table
from pipeline.alive import Dead

# How the store below deltalake 1.6 (object_store's LocalFileSystem) calls what it has begun.
_DELTA_TEMPORARY = re.compile(r"/_delta_log/[^/]+#\d+$")


def clear(
    root: str, run_id: str, dead: Sequence[Dead], storage_options: dict[str, str] | None = None
) -> None:
    """Removes what these runs have staged and what they have written but not committed.

    What one has published and not yet recorded is recorded first.

    Args:
        root: The table.
        run_id: The run that clears up.
        dead: The dead runs, from `alive.dead`.
        storage_options: What deltalake needs to reach the table's store.

    Raises:
        OSError: Something cannot be removed, or recorded.
        datafiles.TableError: The table cannot be read.
    """
    for run in dead:
        version = table.published(root, run.id, storage_options)
        if version is None:
            storage.delete_tree(storage.join(root, datafiles.NEW_FOLDER, run.id))
        else:
            journal.finish(root, run, version, storage_options)
        storage.delete_tree(run.staging)
    if not dead:
        return
    # A half-written file does not tell whose it is. Listed first: what a run that starts now makes
    # is not in the list, and a run that made what is listed is dead, or still has its mark.
    paths = [file.path for file in storage.list_files(root)]
    temporary = [
        path for path in paths if storage.is_temporary(path) or _DELTA_TEMPORARY.search(path)
    ]
    if not alive.others(root, run_id):
        storage.delete(temporary)
        alive.forget(root, dead)


def abandon(
    root: str, run: Dead, storage_options: dict[str, str] | None = None, *, all_ended: bool = True
) -> int | None:
    """Clears up after a run of this process that has failed, as far as that is possible now.

    Args:
        root: The table.
        run: The run.
        storage_options: What deltalake needs to reach the table's store.
        all_ended: Whether no worker of the run may still be writing.

    Returns:
        The version in which the run was published before it failed, None if it was not.
    """
    version = None
    with contextlib.suppress(Exception):  # the next run does what cannot be done now
        version = table.published(root, run.id, storage_options)
        if version is not None:
            journal.finish(root, run, version, storage_options)
        storage.delete_tree(run.staging)
        if version is None and all_ended:
            clear(root, run.id, [run], storage_options)
            storage.remove_empty_directories([storage.join(root, "_eventsift")])
    return version


def outcome(version: int | None) -> str:
    """A sentence on what a failed run has done to the table; see `abandon`."""
    if version is None:
        return "Nothing was published; the table is as it was."
    return (
        f"But what it has done is published, as version {version}; readers of plain Parquet may see"
        " older rows beside it until the next run tidies up."
    )
