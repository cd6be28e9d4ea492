"""The Delta table: read its snapshot, publish a run in one commit, settle the files.

A reader of the Delta log and a reader of the plain Parquet files see the same rows, and neither
ever sees half a run:

1. The pipeline writes its data files to `new_path`, in a folder hidden from plain readers. A data
   file's partition values are in the log's add action, not in its path (Delta protocol, "Add File
   and Remove File"), so it may lie anywhere under the table.
2. `commit` adds these files and removes those they supersede in one atomic Delta commit. Delta
   readers now see the new table, plain readers still the old one.
3. `settle` gives every file that the log has under the hidden folder its place in its partition,
   then deletes the superseded files (from here plain readers see the new table, too), then commits
   the new paths (`dataChange` false: same rows), then deletes the hidden names.

Killed at any point, the table is right for Delta readers, and for plain readers it is old, or new,
or (within step 3) both at once. A row may be seen twice for a moment, but is never missing. Every
run begins with `settle`, which finishes the work from what the log and the folders say.

Why two `settle` at once, or one beside another run, cannot harm:

- Names are never used twice. A file appears in a partition only after its commit. `settle` lists
  the files *before* it reads the log: a listed file that this log does not hold was superseded and
  cannot come back, and a file that appears later is not in the list.
- Each commit fails if any other commit has come since the log was read. `settle` then starts over.
- Files of a run that is not in the log may belong to a run that is still working. They are deleted
  when they are `retention.ABANDONED_SECONDS` old, and `commit` checks that all of its files are
  there.
- What another Delta tool has written and not yet committed is left alone, at any age. Only its
  RESTORE brings removed files back; should one come between our look at the log and our deletion,
  it names files that are missing, as it does when it comes a moment later.
"""

import contextlib
import datetime
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from pipeline import storage
from pipeline.keys.partitions import (
    PARTITION_COLUMNS,
    PARTITION_SCHEMA,
    Destination,
    partition_values,
)
from pipeline.storage import durable
from pipeline.table import deletable, log
from pipeline.table.address import Table
from pipeline.table.datafiles import (
    DAMAGE,
    FILE_SCHEMA,
    NEW_FOLDER,
    ConflictError,
    DataFile,
    TableError,
    missing,
    new_path,
    settled_path,
)
from pipeline.table.retention import LOG_DAYS

TABLE_SCHEMA = pa.unify_schemas([FILE_SCHEMA, PARTITION_SCHEMA])
"""The columns of the table."""

# Two commits every few minutes for years: the log has to stay small to list and quick to replay.
TABLE_PROPERTIES: Mapping[str, str] = {
    # At most this many JSON files are read on top of a checkpoint; writing one takes about 20 ms.
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": f"interval {LOG_DAYS} days",
    # Each run leaves a transaction id, each file it replaces a tombstone. Checkpoints repeat both
    # until these times have passed, so without them they would grow for ever.
    "delta.setTransactionRetentionDuration": f"interval {LOG_DAYS} days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
}

_ATTEMPTS = 10
_REBUILT = "eventsift/rebuilt"  # no run is called that: their ids begin with a date
# What deltalake 1.6 takes for a URL's syntax, or decodes, in the name of a local folder.
_UNUSABLE = re.compile(r"[\[\]\\|^\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
# A path in the log that is a URL, or absolute, or leads upwards.
_PLAIN = (f"{PARTITION_COLUMNS[0]}=", f"{NEW_FOLDER}/")  # nearly all paths, and quickly told
_OUTSIDE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:|^/|(?:^|/)\.\.(?:/|$)")
_EPOCH = datetime.datetime(1970, 1, 1)


class Snapshot(NamedTuple):
    """The table as of one commit.

    Attributes:
        version: the commit's number; -1 if there is no table yet.
        files: the live files, sorted by path.
    """

    version: int
    files: tuple[DataFile, ...]


_NO_TABLE = Snapshot(-1, ())


def load(table: Table) -> Snapshot:
    """Returns the newest snapshot of a table; one with version -1 if nothing is there.

    Raises:
        TableError: Its folder holds something else than a table of ours, or cannot be read.
    """
    table = _usable(table)
    opened = _open(table)
    return _NO_TABLE if opened is None else _snapshot(table.root, opened)


def commit(
    table: Table,
    snapshot: Snapshot,
    run_id: str,
    add: Sequence[DataFile],
    remove: Sequence[DataFile],
    *,
    same_rows: bool = False,
    rebuild: bool = False,
) -> int:
    """Publishes a run: in one step `add` become live and `remove` cease to be.

    The first commit makes the table. A run that has already committed is not committed again: its
    transaction id is in the log for `LOG_DAYS` days. A run that changes nothing makes no commit.

    Args:
        table: The table.
        snapshot: What the run has read; it holds all of `remove`.
        run_id: The run; the same for a retry of the same work.
        add: Files of the run, written to `new_path`.
        remove: Files whose rows are superseded, or are in `add` again.
        same_rows: Whether `add` holds just the rows of `remove`, so that readers of changes can
            skip it (Delta protocol, `dataChange`).
        rebuild: Whether the table is rebuilt: what was published before is no longer in it.

    Returns:
        The version in which the run's files are live.

    Raises:
        ConflictError: The table is no longer that of `snapshot`. Nothing was published.
        TableError: A file to add is missing, or one to remove is not in the snapshot.
    """
    table = _usable(table)
    root = table.root
    opened = _open(table)
    published = None if opened is None else opened.transaction_version(_app_id(run_id))
    if published is not None:
        return published
    version = -1 if opened is None else opened.version()
    if version != snapshot.version:
        raise _conflict(root, run_id, snapshot.version, version)
    _check_added(root, run_id, add)
    _check_removed(root, snapshot, remove)
    durable.sync((storage.join(root, file.path) for file in add), root)
    if opened is not None and not add and not remove:
        return version
    # Only the very next version will do (no retries), so it is known already, and what the log
    # remembers of this run is where it was published.
    now = _now_millis()
    transactions = [Transaction(_app_id(run_id), version + 1, now)]
    if rebuild:
        transactions.append(Transaction(_REBUILT, version + 1))  # without a time it never expires
    properties = CommitProperties(
        custom_metadata={"run": run_id}, max_commit_retries=0, app_transactions=transactions
    )
    adds = [_add_action(file, file.path, now, data_change=not same_rows) for file in add]
    removes = [_remove_action(file, now, data_change=not same_rows) for file in remove]
    try:
        if opened is None:
            create_table_with_add_actions(
                root,
                Schema.from_arrow(TABLE_SCHEMA),
                adds,
                mode="error",
                partition_by=list(PARTITION_COLUMNS),
                name="eventsift",
                configuration=TABLE_PROPERTIES,
                storage_options=dict(table.storage_options),
                commit_properties=properties,
            )
        else:
            _write(opened, [*adds, *removes], properties)
    except (DeltaError, OSError) as error:
        # Also when the commit was made but its answer was lost, or the checkpoint after it failed.
        opened = _open(table)
        published = None if opened is None else opened.transaction_version(_app_id(run_id))
        if published is not None:
            _sync_log(root, published)
            return published
        found = -1 if opened is None else opened.version()
        if found != version:
            raise _conflict(root, run_id, version, found) from error
        said = log.said(error)
        raise TableError(f"{root}: run {run_id} could not be committed: {said}") from error
    _sync_log(root, version + 1)
    return version + 1


def published(table: Table, run_id: str) -> int | None:
    """Returns the version in which a run was committed.

    None if it was not, or more than `LOG_DAYS` days ago.
    """
    opened = _open(_usable(table))
    return None if opened is None else opened.transaction_version(_app_id(run_id))


def identity(table: Table) -> str:
    """Returns a table's id, which only a copy of it has as well; "" if there is no table."""
    return origin(table).identity


class Origin(NamedTuple):
    """Where a table's content comes from.

    Attributes:
        identity: The table's id; see `identity`.
        version: Its newest version; -1 if there is no table.
        rebuilt: The version in which it was last rebuilt; -1 if it never was.
    """

    identity: str
    version: int
    rebuilt: int


def origin(table: Table) -> Origin:
    """Returns where a table's content comes from, by one look at its log."""
    opened = _open(_usable(table))
    if opened is None:
        return Origin("", -1, -1)
    rebuilt = opened.transaction_version(_REBUILT)
    return Origin(str(opened.metadata().id), opened.version(), -1 if rebuilt is None else rebuilt)


def drop_uncommitted(table: Table, run_id: str, keep_seconds: float = LOG_DAYS * 86_400.0) -> None:
    """Deletes what a dead run has written under the hidden folder, but for what the log names.

    Live files may lie there (see `keep_seconds` of `settle`), long after the log has forgotten
    which run has committed them. So nothing is concluded from that: each file is looked for in a
    log that is read after the files were listed.

    Args:
        table: The table.
        run_id: The run; it must have ended.
        keep_seconds: Files stay, too, that were removed so lately: they may be history.

    Raises:
        TableError: As `load`. Nothing was deleted.
    """
    table = _usable(table)
    root = table.root
    folder = new_path(run_id, "0").rpartition("/")[0]
    listed = {_relative(root, file): file for file in storage.list_files(f"{root}/{folder}")}
    if not listed:
        return
    live = {file.path for file in load(table).files}
    if any(path not in live for path in listed):
        at = deletable.now([*listed.values(), *log.commits(root).values()])
        kept = live | log.removed_since(root, at - keep_seconds)
        unnamed = [path for path in listed if path not in kept]
        _delete(root, deletable.deletable(root, unnamed, (), set, kept))
    storage.remove_empty_directories([storage.join(root, folder)])


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
    table = _usable(table)
    root = table.root
    failure: Exception | None = None
    for _ in range(_ATTEMPTS):
        listed = deletable.listed(root)
        opened = _open(table)
        if opened is None:
            return _NO_TABLE
        snapshot = _snapshot(root, opened)
        hidden = [file for file in snapshot.files if file.path.startswith(f"{NEW_FOLDER}/")]
        try:
            lost = _lost(root, hidden, listed)
            if lost and _is_newest(table, snapshot):
                if not rebuild:
                    raise TableError(
                        f"{root}: its files could not be settled: {missing(lost[0].path)}"
                    )
                hidden = [file for file in hidden if file not in lost]
            places = {file.path: settled_path(file) for file in hidden}
            kept = {*places.values(), *(file.path for file in snapshot.files)}
            at = deletable.now([*listed.values(), *log.commits(root).values()])
            if keep_seconds:
                kept |= _history(root, at - keep_seconds)
            _place(root, places, listed)
            _delete(root, _leftovers(root, opened, listed, kept, at))
            if not keep_seconds:
                _commit_places(root, opened, hidden)
        except (DeltaError, FileNotFoundError) as error:  # another process was faster
            failure = error
            continue
        if keep_seconds:
            _tidy(root)
            return snapshot
        _delete(root, deletable.deletable(root, places, (), places.keys, places.values()))
        _tidy(root)
        moved = (file._replace(path=places.get(file.path, file.path)) for file in snapshot.files)
        return Snapshot(snapshot.version + bool(hidden), tuple(sorted(moved)))
    raise TableError(f"{root}: its files could not be settled: {log.said(failure)}") from failure


# The steps of `settle`


def _lost(
    root: str, hidden: Iterable[DataFile], listed: Mapping[str, storage.FileInfo]
) -> list[DataFile]:
    """The hidden live files that are neither there nor in their partition."""
    unseen = [file for file in hidden if not listed.keys() & {file.path, settled_path(file)}]
    return [
        file
        for file in unseen
        if not any(
            storage.exists(storage.join(root, path)) for path in (file.path, settled_path(file))
        )
    ]


def _is_newest(table: Table, snapshot: Snapshot) -> bool:
    opened = _open(table)
    return opened is not None and opened.version() == snapshot.version


def _place(root: str, places: Mapping[str, str], listed: Mapping[str, storage.FileInfo]) -> None:
    """Make every hidden live file appear in its partition."""
    storage.copy_all(
        [
            (storage.join(root, hidden), storage.join(root, place))
            for hidden, place in places.items()
            if place not in listed
        ]
    )
    # Two names of one file, whose content was synced before it was committed.
    durable.sync_names((storage.join(root, place) for place in places.values()), root)


def _commit_places(root: str, opened: DeltaTable, hidden: Sequence[DataFile]) -> None:
    """Commit the partition paths of `hidden`, unless another commit has come first."""
    if hidden:
        now = _now_millis()
        adds = [_add_action(file, settled_path(file), now, data_change=False) for file in hidden]
        removes = [_remove_action(file, now, data_change=False) for file in hidden]
        _write(opened, [*adds, *removes], CommitProperties(max_commit_retries=0))
        _sync_log(root, opened.version() + 1)


def _leftovers(
    root: str,
    opened: DeltaTable,
    listed: Mapping[str, storage.FileInfo],
    kept: Collection[str],
    at: float,
) -> Iterator[str]:
    """The files, among those listed before the log was read, that nobody needs any more."""
    return deletable.leftovers(
        root,
        listed,
        kept,
        lambda: log.removed(root),
        lambda run_id: opened.transaction_version(_app_id(run_id)) is not None,
        at,
    )


def _history(root: str, since: float) -> set[str]:
    """The hidden paths removed by the commits since then (Delta protocol, "remove")."""
    removed = log.removed_since(root, since)
    return {path for path in removed if path.startswith(f"{NEW_FOLDER}/")}


def _delete(root: str, paths: Iterable[str]) -> None:
    storage.delete(storage.join(root, path) for path in paths)


def _tidy(root: str) -> None:
    partitions = [name for name in storage.folders(root) if name.startswith(PARTITION_COLUMNS[0])]
    storage.remove_empty_directories(storage.join(root, name) for name in [*partitions, NEW_FOLDER])


# The log


def _usable(table: Table) -> Table:
    """Returns a table with an absolute root, if deltalake takes it for what it is."""
    root = storage.absolute(table.root)
    unusable = _UNUSABLE.search(root) if storage.is_local(root) else None
    if unusable:
        raise TableError(
            f"{root}: {unusable[0]!r} in the name of a table's folder is misread by deltalake; "
            "choose a folder with a plainer name"
        )
    return table._replace(root=root)


def _relative(root: str, file: storage.FileInfo) -> str:
    return file.path[len(root) + 1 :]


def _open(table: Table) -> DeltaTable | None:
    """Opens the newest version of a table; None if its folder is empty or not there."""
    root = table.root
    opened = _open_any(table)
    if opened is None:
        foreign = [_relative(root, file) for file in storage.list_files(root, hidden=False)]
        # Listed first: the files of a table that is made at this moment are none the second time.
        opened = _open_any(table) if foreign else None
        if foreign and opened is None:
            raise TableError(
                f"{root}: not empty, but no Delta table either: it has {min(foreign)!r}; "
                "choose an empty or a new folder"
            )
    if opened is not None:
        _check_ours(root, opened)
    return opened


def _open_any(table: Table) -> DeltaTable | None:
    root = table.root
    log.check_kinds(root)
    try:
        return DeltaTable(root, storage_options=dict(table.storage_options))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise TableError(f"{root}: its Delta log cannot be read: {log.why(root, error)}") from error


def _check_ours(root: str, opened: DeltaTable) -> None:
    columns = [(field.name, str(field.type)) for field in opened.schema().fields]
    ours = [(field.name, str(field.type)) for field in Schema.from_arrow(TABLE_SCHEMA).fields]
    if columns != ours or tuple(opened.metadata().partition_columns) != PARTITION_COLUMNS:
        names = ", ".join(name for name, _ in columns)
        raise TableError(
            f"{root}: a Delta table, but not of eventsift: its columns are {names}; "
            "choose another folder"
        )
    # Reader version 2 and up: column mapping, deletion vectors. A file that replaced one with a
    # deletion vector would bring deleted rows back.
    if opened.protocol().min_reader_version != 1:
        raise TableError(
            f"{root}: another tool has switched on Delta features that eventsift does not know "
            f"(reader version {opened.protocol().min_reader_version}); write a new table"
        )


def _snapshot(root: str, opened: DeltaTable) -> Snapshot:
    actions = pa.table(opened.get_add_actions(flatten=True))
    count = actions.num_rows

    def column(name: str) -> list[Any]:
        return actions[name].to_pylist() if name in actions.column_names else [None] * count

    def micros(name: str) -> list[int | None]:
        if name not in actions.column_names:
            return [None] * count
        return actions[name].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()

    destinations = map(Destination, *(column(f"partition.{name}") for name in PARTITION_COLUMNS))
    files = map(
        DataFile,
        map(unquote, column("path")),  # encoded in the log: Delta protocol, "Add File"
        destinations,
        column("num_records"),
        column("size_bytes"),
        micros("min.timestamp"),
        micros("max.timestamp"),
    )
    live = sorted(files)
    for number, file in enumerate(live):
        _check_live(root, file)
        if file.rows is None:
            live[number] = file._replace(rows=_rows_of(root, file))
    return Snapshot(opened.version(), tuple(live))


def _rows_of(root: str, file: DataFile) -> int:
    """The number of rows of a live file, from its footer: the log need not say it.

    If the footer cannot be read, whoever is to read the rows says why.
    """
    with contextlib.suppress(*DAMAGE), storage.open_read(storage.join(root, file.path)) as stream:
        return int(pq.read_metadata(stream).num_rows)
    return 0


def _check_live(root: str, file: DataFile) -> None:
    """Another tool may have made it so that its rows have no place in a table of ours."""
    plain = file.path.startswith(_PLAIN) and ".." not in file.path
    if not plain and _OUTSIDE.search(file.path):
        raise TableError(
            f"{root}: its log has {file.path}, which lies outside of the table, as files of a"
            " shallow clone do; copy the rows into a table of their own"
        )
    if None in file.destination:
        name = PARTITION_COLUMNS[file.destination.index(None)]
        raise TableError(
            f"{root}: {file.path} has rows without a value for {name}; another tool has written"
            f' them: remove them with it, e.g. DeltaTable("{root}").delete("{name} IS NULL")'
        )


def _write(
    opened: DeltaTable, actions: list[AddAction | RemoveAction], properties: CommitProperties
) -> None:
    """Commits `actions` as the version right after the one that is open, or raises `DeltaError`.

    `properties` must allow no retries. By default deltalake 1.6 tries again on top of commits that
    came in between, and then lets two appends pass, and of commits without a change of data any
    two: a settled file could come back after another run has superseded it.
    """
    opened.create_write_transaction(
        actions,
        mode="append",
        schema=TABLE_SCHEMA,
        partition_by=list(PARTITION_COLUMNS),
        commit_properties=properties,
    )


def _sync_log(root: str, version: int) -> None:
    """Returns when a commit is on disk, with the checkpoint that deltalake may have made of it."""
    if not storage.is_local(root):
        return
    folder = storage.local(storage.join(root, "_delta_log"))
    names = [name for name in os.listdir(folder) if name.startswith(f"{version:020}.")]
    if len(names) > 1:
        names.append("_last_checkpoint")
    durable.sync((os.path.join(folder, name) for name in names), root)
    if version == 0:
        durable.sync_parents(root)


def _add_action(file: DataFile, path: str, now: int, *, data_change: bool) -> AddAction:
    return AddAction(
        path=path,  # as on disk; deltalake encodes it for the log
        size=file.bytes,
        partition_values=partition_values(file.destination),
        modification_time=now,
        data_change=data_change,
        stats=_stats(file),
    )


def _remove_action(file: DataFile, now: int, *, data_change: bool) -> RemoveAction:
    values: dict[str, str | None] = {**partition_values(file.destination)}
    return RemoveAction(file.path, data_change, now, file.bytes, values)


def _stats(file: DataFile) -> str:
    """What lets readers skip the file (Delta protocol, "Per-file Statistics")."""
    stats: dict[str, Any] = {"numRecords": file.rows}
    if file.min_timestamp is not None and file.max_timestamp is not None:
        stats["minValues"] = {"timestamp": _instant(file.min_timestamp)}
        stats["maxValues"] = {"timestamp": _instant(file.max_timestamp)}
        # Where times are not known, there may be nulls, too: another tool has written the rows.
        stats["nullCount"] = dict.fromkeys(("event_id", "timestamp", "data"), 0)
    return msgspec.json.encode(stats).decode()


def _instant(micros: int) -> str:
    instant = _EPOCH + datetime.timedelta(microseconds=micros)
    return f"{instant.isoformat(timespec='microseconds')}Z"


def _check_added(root: str, run_id: str, add: Sequence[DataFile]) -> None:
    """All files to add lie where `new_path` says, as large as they should be, and once."""
    folder = new_path(run_id, "0").rpartition("/")[0]
    there = {
        _relative(root, file): file.bytes
        for file in (storage.list_files(storage.join(root, folder)) if add else [])
    }
    wrong = sorted(file.path for file in add if there.pop(file.path, None) != file.bytes)
    if wrong:
        raise TableError(
            f"{root}: run {run_id} has lost {len(wrong)} of the {len(add)} files it wrote: "
            f"{wrong[0]} is not there, of another size, or listed twice; run again"
        )


def _check_removed(root: str, snapshot: Snapshot, remove: Sequence[DataFile]) -> None:
    """The log takes any path as removed (deltalake 1.6), also one that is not live."""
    live = {file.path for file in snapshot.files}
    for file in remove:
        if file.path not in live:
            raise TableError(
                f"{root}: {file.path} cannot be superseded: "
                f"it is not live in version {snapshot.version}"
            )


def _conflict(root: str, run_id: str, read: int, found: int) -> ConflictError:
    began = f"worked on version {read}" if read >= 0 else "was making the table"
    return ConflictError(
        f"{root}: another run has committed version {found} while run {run_id} {began}; "
        "nothing of this run was published: run again"
    )


def _app_id(run_id: str) -> str:
    """One application a run: of an application the log keeps only the latest transaction."""
    return f"eventsift/{run_id}"


def _now_millis() -> int:
    return time.time_ns() // 1_000_000
