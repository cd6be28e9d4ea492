"""The two kinds of commits: one publishes a run, the other says where its files were moved."""

import datetime
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from pipeline import storage
from pipeline.keys.partitions import PARTITION_COLUMNS, partition_values
from pipeline.storage import durable
from pipeline.table import datafiles, delta, log
from pipeline.table.address import Table
from pipeline.table.datafiles import (
    ConflictError,
    DataFile,
    TableError,
    relative,
    settled_path,
)
from pipeline.table.delta import REBUILT, Opened
from pipeline.table.layout import Layout, schema
from pipeline.table.retention import LOG_DAYS

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

_EPOCH = datetime.datetime(1970, 1, 1)


def commit(
    table: Table,
    version: int,
    run_id: str,
    add: Sequence[DataFile],
    remove: Sequence[DataFile],
    *,
    same_rows: bool = False,
    rebuild: bool = False,
    layout: Layout | None = None,
) -> int:
    """Publishes a run: in one step `add` become live and `remove` cease to be.

    The first commit makes the table. A run that has already committed is not committed again: its
    transaction id is in the log for `LOG_DAYS` days. A run that changes nothing makes no commit.

    Args:
        table: The table.
        version: The version that the run has worked on; all of `remove` are live in it. -1 if
            there was no table.
        run_id: The run; the same for a retry of the same work.
        add: Files of the run, written to `new_path`.
        remove: Files whose rows are superseded, or are in `add` again.
        same_rows: Whether `add` holds just the rows of `remove`, so that readers of changes can
            skip it (Delta protocol, `dataChange`).
        rebuild: Whether the table is rebuilt: what was published before is no longer in it.
        layout: What the table keeps of how it was made; None if that does not change. It may only
            change if `remove` are all live files.

    Returns:
        The version in which the run's files are live.

    Raises:
        ConflictError: The table has another version by now. Nothing was published.
        TableError: A file to add is missing, or one to remove is not live.
    """
    opened = delta.open_newest(table)
    root = opened.table.root
    published = opened.published(run_id)
    if published is not None:
        return published
    if opened.version != version:
        raise _conflict(root, run_id, version, opened.version)
    _check_added(root, run_id, add)
    _check_removed(opened, remove)
    durable.sync((storage.join(root, file.path) for file in add), root)
    if version >= 0 and not add and not remove:
        return version
    now = _now_millis()
    adds = [_add_action(file, file.path, now, data_change=not same_rows) for file in add]
    removes = [_remove_action(file, now, data_change=not same_rows) for file in remove]
    try:
        properties = _properties(run_id, version + 1, now, rebuild=rebuild)
        _publish(opened, adds, removes, properties, layout or opened.layout())
    except (DeltaError, OSError) as error:
        # The commit may have been made: its answer was lost, or the checkpoint after it failed.
        opened = delta.open_newest(table)
        published = opened.published(run_id)
        if published is not None:
            _sync_log(root, published)
            return published
        if opened.version != version:
            raise _conflict(root, run_id, version, opened.version) from error
        said = log.said(error)
        raise TableError(f"{root}: run {run_id} could not be committed: {said}") from error
    _sync_log(root, version + 1)
    return version + 1


def commit_places(opened: Opened, hidden: Sequence[DataFile]) -> None:
    """Commits the partition paths of hidden files, unless another commit has come first.

    Args:
        opened: The version of the table that they are live in.
        hidden: The files, by their hidden paths; if there are none, there is no commit.

    Raises:
        DeltaError: Another commit has come first.
    """
    if opened.delta_table is None or not hidden:
        return
    now = _now_millis()
    adds = [_add_action(file, settled_path(file), now, data_change=False) for file in hidden]
    removes = [_remove_action(file, now, data_change=False) for file in hidden]
    _write(opened.delta_table, [*adds, *removes], CommitProperties(max_commit_retries=0))
    _sync_log(opened.table.root, opened.version + 1)


def _properties(run_id: str, version: int, now: int, *, rebuild: bool) -> CommitProperties:
    """Returns what the log is to remember of a run's commit.

    The run gets the next version or none, so its number is known here, and the log remembers where
    the run was published.
    """
    transactions = [Transaction(delta.transaction_id(run_id), version, now)]
    if rebuild:
        transactions.append(Transaction(REBUILT, version))  # without a time it never expires
    return CommitProperties(
        custom_metadata={"run": run_id}, max_commit_retries=0, app_transactions=transactions
    )


def _publish(
    opened: Opened,
    adds: list[AddAction],
    removes: list[RemoveAction],
    properties: CommitProperties,
    layout: Layout,
) -> None:
    """Makes the commit; with it the table, if there is none."""
    columns = schema(layout)
    if opened.delta_table is not None and layout != opened.layout():
        # What is new in a schema gets into the log where deltalake removes all live files itself.
        _write(opened.delta_table, adds, properties, columns)
        return
    if opened.delta_table is not None:
        _write(opened.delta_table, [*adds, *removes], properties)
        return
    create_table_with_add_actions(
        opened.table.root,
        Schema.from_arrow(columns),
        adds,
        mode="error",
        partition_by=list(PARTITION_COLUMNS),
        name="eventsift",
        configuration=TABLE_PROPERTIES,
        storage_options=dict(opened.table.storage_options),
        commit_properties=properties,
    )


def _write(
    opened: DeltaTable,
    actions: Sequence[AddAction | RemoveAction],
    properties: CommitProperties,
    columns: pa.Schema | None = None,
) -> None:
    """Commits `actions` as the version right after the one that is open, or raises `DeltaError`.

    If `columns` are given, they are the table's from now on, and all live files leave it.

    `properties` must allow no retries. By default deltalake 1.6 tries again on top of commits that
    came in between, and then lets two appends pass, and of commits without a change of data any
    two: a settled file could come back after another run has superseded it.
    """
    opened.create_write_transaction(
        list(actions),
        mode="overwrite" if columns else "append",
        schema=columns or opened.schema(),
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
    """Returns what lets readers skip the file (Delta protocol, "Per-file Statistics")."""
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
    """Checks that each file to add is listed once, and lies where `new_path` says in its size."""
    folder = datafiles.new_folder(run_id)
    there = {
        relative(root, file): file.bytes
        for file in (storage.list_files(storage.join(root, folder)) if add else [])
    }
    wrong = sorted(file.path for file in add if there.pop(file.path, None) != file.bytes)
    if wrong:
        raise TableError(
            f"{root}: run {run_id} has lost {len(wrong)} of the {len(add)} files it wrote: "
            f"{wrong[0]} is not there, of another size, or listed twice; run again"
        )


def _check_removed(opened: Opened, remove: Sequence[DataFile]) -> None:
    """Refuses files that are not live: the log takes any path as removed (deltalake 1.6)."""
    live = opened.paths() if remove else set()
    for file in remove:
        if file.path not in live:
            raise TableError(
                f"{opened.table.root}: {file.path} cannot be superseded: "
                f"it is not live in version {opened.version}"
            )


def _conflict(root: str, run_id: str, read: int, found: int) -> ConflictError:
    began = f"worked on version {read}" if read >= 0 else "was making the table"
    return ConflictError(
        f"{root}: another run has committed version {found} while run {run_id} {began}; "
        "nothing of this run was published: run again"
    )


def _now_millis() -> int:
    return time.time_ns() // 1_000_000
