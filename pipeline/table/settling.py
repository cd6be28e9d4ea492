"""Settling: files come to lie where the log says they belong, and what nobody needs goes."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from deltalake.exceptions import DeltaError

from pipeline import storage
from pipeline.keys.partitions import PARTITION_COLUMNS
from pipeline.storage import durable
from pipeline.table import commits, datafiles, deletable, delta, log
from pipeline.table.address import Table
from pipeline.table.datafiles import (
    NEW_FOLDER,
    DataFile,
    TableError,
    missing,
    relative,
    settled_path,
)
from pipeline.table.delta import Opened, Snapshot
from pipeline.table.retention import LOG_DAYS

_ATTEMPTS = 10


def settle(table: Table, keep_seconds: float = 0.0, rebuild: bool = False) -> Snapshot:
    """Brings the files in line with the log: after a commit, and first thing in every run.

    Live files get their place in their partition; superseded files, what runs that died have left
    behind, and empty partitions go. Whatever a killed run has left undone is done here. What is
    deleted, and what never is, see `deletable`.

    A Delta reader that has opened an earlier version finds its files gone, unless `keep_seconds`
    keeps them: then the log goes on naming live files under the hidden folder, and their places in
    the partitions are second names, for plain readers only. A superseded file loses its place at
    once and its hidden name after that time. (A file without a hidden name goes when it is
    superseded: one that was settled without `keep_seconds`, or that another Delta tool has written.
    And on an object store two names are two files.)

    Args:
        table: The table.
        keep_seconds: How long superseded files stay after the commit that removed them; at most
            `LOG_DAYS` days, because only the log knows when that was.
        rebuild: Whether the table is about to be rebuilt: then missing live files are no error.

    Returns:
        The table as it now is.

    Raises:
        TableError: As `load`; or a live file is missing; or other runs kept committing. What is
            published stays published, and the next run goes on from here.
    """
    if not 0 <= keep_seconds <= LOG_DAYS * 86_400:
        raise ValueError(f"keep_seconds must be 0 to {LOG_DAYS} days, not {keep_seconds}")
    failure: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            return _settle_once(table, keep_seconds, rebuild)
        except (DeltaError, FileNotFoundError) as error:  # another process was faster
            failure = error
    root, said = storage.absolute(table.root), log.said(failure)
    raise TableError(f"{root}: its files could not be settled: {said}") from failure


def _settle_once(table: Table, keep_seconds: float, rebuild: bool) -> Snapshot:
    """Settles a table's files; see `settle`.

    Raises:
        DeltaError, FileNotFoundError: Another process has changed the table meanwhile.
    """
    root = storage.absolute(table.root)
    listed = deletable.listed(root)  # before the log is read; see the package
    opened = delta.open_newest(table)
    if opened.delta_table is None:
        return delta.NO_TABLE
    snapshot = opened.snapshot()
    lineage, files = snapshot.lineage, snapshot.files
    hidden = [file for file in files if file.path.startswith(f"{NEW_FOLDER}/")]
    lost = _lost(root, hidden, listed)
    if lost and delta.open_newest(table).version == lineage.version:
        if not rebuild:
            raise TableError(f"{root}: its files could not be settled: {missing(lost[0].path)}")
        hidden = [file for file in hidden if file not in lost]
    places = {file.path: settled_path(file) for file in hidden}
    kept = {*places.values(), *(file.path for file in files)}
    at = deletable.now([*listed.values(), *log.commits(root).values()])
    if keep_seconds:
        kept |= _history(root, at - keep_seconds)
    _place(root, places, listed)
    _delete(root, _leftovers(opened, listed, kept, at))
    if keep_seconds:
        _tidy(root)
        return snapshot
    commits.commit_places(opened, hidden)
    _delete(root, deletable.deletable(root, places, (), places.keys, places.values()))
    _tidy(root)
    moved = (file._replace(path=places.get(file.path, file.path)) for file in files)
    now = lineage._replace(version=lineage.version + bool(hidden))
    return Snapshot(now, tuple(sorted(moved)), snapshot.layout)


def drop_uncommitted(table: Table, run_id: str, keep_seconds: float = LOG_DAYS * 86_400.0) -> None:
    """Deletes what a dead run has written under the hidden folder, but for what the log names.

    Live files may lie there (see `keep_seconds` of `settle`), long after the log has forgotten
    which run has committed them. So nothing is concluded from that: each file is looked for in a
    log that is read after the files were listed.

    Args:
        table: The table.
        run_id: The run; it must have ended.
        keep_seconds: Files removed within this time stay: they may be history.

    Raises:
        TableError: As `load`. Nothing was deleted.
    """
    root = storage.absolute(table.root)
    folder = datafiles.new_folder(run_id)
    listed = {relative(root, file): file for file in storage.list_files(f"{root}/{folder}")}
    if not listed:
        return
    live = delta.open_newest(table).paths()
    if any(path not in live for path in listed):
        at = deletable.now([*listed.values(), *log.commits(root).values()])
        kept = live | log.removed_since(root, at - keep_seconds)
        unnamed = [path for path in listed if path not in kept]
        _delete(root, deletable.deletable(root, unnamed, (), set, kept))
    storage.remove_empty_directories([storage.join(root, folder)])


def _lost(
    root: str, hidden: Iterable[DataFile], listed: Mapping[str, storage.FileInfo]
) -> list[DataFile]:
    """Returns the hidden live files that are neither there nor in their partition."""
    unseen = [file for file in hidden if not listed.keys() & {file.path, settled_path(file)}]
    return [
        file
        for file in unseen
        if not any(
            storage.exists(storage.join(root, path)) for path in (file.path, settled_path(file))
        )
    ]


def _place(root: str, places: Mapping[str, str], listed: Mapping[str, storage.FileInfo]) -> None:
    """Makes every hidden live file appear in its partition."""
    storage.copy_all(
        [
            (storage.join(root, hidden), storage.join(root, place))
            for hidden, place in places.items()
            if place not in listed
        ]
    )
    # Two names of one file, whose content was synced before it was committed.
    durable.sync_names((storage.join(root, place) for place in places.values()), root)


def _leftovers(
    opened: Opened,
    listed: Mapping[str, storage.FileInfo],
    kept: Collection[str],
    at: float,
) -> Iterator[str]:
    """Yields the files that nobody needs any more, of those listed before the log was read."""
    root = opened.table.root
    return deletable.leftovers(
        root,
        listed,
        kept,
        lambda: log.removed(root),
        lambda run_id: opened.published(run_id) is not None,
        at,
    )


def _history(root: str, since: float) -> set[str]:
    """Returns the hidden paths that commits have removed since then (Delta protocol, "remove")."""
    removed = log.removed_since(root, since)
    return {path for path in removed if path.startswith(f"{NEW_FOLDER}/")}


def _delete(root: str, paths: Iterable[str]) -> None:
    storage.delete(storage.join(root, path) for path in paths)


def _tidy(root: str) -> None:
    partitions = [name for name in storage.folders(root) if name.startswith(PARTITION_COLUMNS[0])]
    storage.remove_empty_directories(storage.join(root, name) for name in [*partitions, NEW_FOLDER])
