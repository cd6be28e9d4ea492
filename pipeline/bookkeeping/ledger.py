"""The ledger: which input files were published, so that they are not read again.

A file is known by path, size and modification time. The ledger saves work, nothing else: reading a
file twice changes nothing in the table (design: the latest version is a total order), so a ledger
that is lost, or misses a run, costs time only. It must never name a file whose events are not in
the table. So the ledger carries the table's identity, each entry the version of the table
that has its events, and the whole ledger the version up to which it was checked. Void are:

- all entries, if the table is another one, or its history is not the one that was checked, or the
  log has forgotten commits since then (one of them may have set the table back);
- those of a version that the table does not have (yet), that is older than the last rebuild, or
  that was undone when the table was set back to an older one.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline import storage
from pipeline.bookkeeping import listings, state
from pipeline.bookkeeping.listings import LIMIT_BYTES
from pipeline.bookkeeping.state import DamagedError
from pipeline.input import counts
from pipeline.storage import FileInfo
from pipeline.storage.paths import STATE
from pipeline.table import delta, log
from pipeline.table.address import Table
from pipeline.table.delta import Lineage

LEDGER = f"{STATE}/ledger.arrow.zst"

# What earlier versions wrote. Readers of Parquet took it for data.
_OLD_LEDGER = f"{STATE}/ledger.parquet"
# A list of files, each with the version of the table that has its events.
_OLD_SCHEMA = listings.SCHEMA.append(pa.field("version", pa.int64()))
# And with the run that has read it, and what it had; null where earlier versions have written it.
_COUNTS = [field for field in counts.SCHEMA if field.name != "path"]
_SCHEMA = pa.schema([*_OLD_SCHEMA, ("run", pa.string()), *_COUNTS])
_GAPS = _SCHEMA.names[len(_OLD_SCHEMA) :]
_CHECKED = b"eventsift"


class _Checked(msgspec.Struct, frozen=True):
    """What the entries of a ledger were checked against.

    Attributes:
        table: The table's identity; "" if there was no table.
        version: Its newest version then.
        commit: A digest of that version's commit file; "" if the log had forgotten it.
    """

    table: str = ""
    version: int = -1
    commit: str = ""


class _Ledger(NamedTuple):
    """A ledger as it is stored: its entries, and what they were checked against."""

    entries: pa.Table
    checked: _Checked


_EMPTY = _Ledger(_SCHEMA.empty_table(), _Checked())


def published(table: Table, run_id: str = "run", lineage: Lineage | None = None) -> list[FileInfo]:
    """Returns the files whose events a table has.

    Args:
        table: The table.
        run_id: The run that asks; a damaged ledger is set aside under its name.
        lineage: Of the table as it is now, if that is known.
    """
    found = _load(table.root, run_id)
    if not len(found.entries):
        return []
    lineage = lineage or delta.open_newest(table).lineage()
    valid = _valid(found, lineage, table.root, log.commits(table.root))
    return listings.files_of(valid)


def known(table: Table, lineage: Lineage) -> list[FileInfo]:
    """As `published`, for those who only look: a damaged ledger stays where it is, and knows none.

    Args:
        table: The table.
        lineage: Of the table as it is now.
    """
    return listings.files_of(_known(table, lineage))


def _known(table: Table, lineage: Lineage) -> pa.Table:
    try:
        found = _read(table.root)
    except DamagedError:
        return _EMPTY.entries
    if not len(found.entries):
        return found.entries
    return _valid(found, lineage, table.root, log.commits(table.root))


def unpublished(files: Iterable[FileInfo], published: Iterable[FileInfo]) -> list[FileInfo]:
    """Returns those of `files` that were not published as they are now, in their order."""
    known = set(published)
    return [file for file in files if file not in known]


class Entry(NamedTuple):
    """A published file; None for what is not known of it.

    Attributes:
        file: The file.
        version: The version of the table that has its events.
        run: The run that has read it.
        events: The events that were read, whatever became of them.
        rejects: The records that were refused.
        first_event: The time of the earliest event, in microseconds since 1970.
        last_event: The time of the latest event.
    """

    file: FileInfo
    version: int
    run: str | None
    events: int | None
    rejects: int | None
    first_event: int | None
    last_event: int | None


def entries(table: Table, lineage: Lineage) -> list[Entry]:
    """Returns all that is known of the published files, for those who only look; see `known`.

    Args:
        table: The table.
        lineage: Of the table as it is now.
    """
    valid = _known(table, lineage)
    columns = (valid[name].to_pylist() for name in _SCHEMA.names[len(listings.SCHEMA) :])
    return list(map(Entry, listings.files_of(valid), *columns))


def extend(
    table: Table,
    listing: str,
    version: int,
    lineage: Lineage,
    run_id: str = "run",
    packed: bytes = b"",
) -> None:
    """Adds files that are published as of a version of the table, and drops void entries.

    The newest entry of a path is the one that counts.

    Args:
        table: The table.
        listing: Where `listings.write` has put the files; nothing is added if it is damaged.
        version: The version of the table that has their events.
        lineage: Of the table as it is now.
        run_id: The run; see `published`.
        packed: What each file had, as a journal has it; nothing if it is not known.
    """
    try:
        added = listings.unpack(state.read(listing, LIMIT_BYTES), listings.SCHEMA)
    except FileNotFoundError:
        return
    except DamagedError as error:
        state.set_aside(listing, run_id, str(error))
        return
    if not len(added):
        return
    versions = pa.array([version] * len(added), pa.int64())
    added = added.append_column(_SCHEMA.field("version"), versions)
    runs = pa.array([run_id] * len(added), pa.string())
    added = added.append_column(_SCHEMA.field("run"), runs)
    _renew(table, _counted(added, packed), lineage, run_id)


def _counted(added: pa.Table, packed: bytes) -> pa.Table:
    """Adds what each file had; of a file that was read and had nothing, that it had nothing."""
    try:
        had = listings.unpack(packed, counts.SCHEMA, _GAPS) if packed else None
    except DamagedError:
        had = None
    for field in _COUNTS:
        if had is None:
            column = pa.nulls(len(added), field.type)
        else:
            rows = pc.index_in(added["path"].combine_chunks(), had["path"].combine_chunks())
            column = had[field.name].combine_chunks().take(rows)
            if field.name in ("events", "rejects"):
                column = column.fill_null(0)
        added = added.append_column(field, column)
    return added


def refresh(table: Table, lineage: Lineage, run_id: str) -> None:
    """Drops void entries, and notes that the rest was checked with the log as it is now.

    For commits that add no entry: the log forgets them, and then nobody could check any more.
    """
    if storage.exists(storage.join(table.root, LEDGER)):
        _renew(table, _SCHEMA.empty_table(), lineage, run_id)


def _renew(table: Table, added: pa.Table, lineage: Lineage, run_id: str) -> None:
    root = table.root
    found = _load(root, run_id)
    if found.checked.version > lineage.version:  # a run that published later was faster
        lineage = delta.open_newest(table).lineage()
    commits = log.commits(root)
    before = _valid(found, lineage, root, commits)
    kept = pc.invert(pc.is_in(before["path"], added["path"].combine_chunks()))
    entries = pa.concat_tables([before.filter(kept), added])
    while entries.nbytes > LIMIT_BYTES:  # the oldest are forgotten, which costs time only
        entries = entries.slice(len(entries) // 2 + 1).combine_chunks()
    checked = _Checked(lineage.identity, lineage.version, _commit_digest(commits, lineage.version))
    metadata = {_CHECKED: msgspec.json.encode(checked)}
    content = listings.pack(entries.replace_schema_metadata(metadata))
    storage.write_bytes(storage.join(root, LEDGER), content)
    if found is _EMPTY:
        with contextlib.suppress(OSError):
            storage.delete([storage.join(root, _OLD_LEDGER)])


# What is void


def _valid(
    ledger: _Ledger, lineage: Lineage, root: str, commits: Mapping[int, FileInfo]
) -> pa.Table:
    """Returns the entries whose events the table has."""
    entries, checked = ledger.entries, ledger.checked
    none = entries.slice(0, 0)
    versions = entries["version"].to_numpy()
    valid = (versions >= lineage.rebuilt) & (versions <= lineage.version)
    if checked.version < 0:  # there was no table yet: these files had no event to publish
        return entries.filter(pa.array(valid & (versions < 0)))
    if checked.table != lineage.identity:
        return none
    then = commits.get(checked.version)
    if then and checked.commit and _digest(then.path) != checked.commit:
        return none
    since = range(checked.version + 1, lineage.version + 1)
    if any(version not in commits for version in since):
        return none
    for made, restored in log.restores(root, checked.version, commits) if len(since) else ():
        valid &= (versions <= restored) | (versions > made)
    return entries.filter(pa.array(valid))


def _commit_digest(commits: Mapping[int, FileInfo], version: int) -> str:
    file = commits.get(version)
    return _digest(file.path) if file else ""


def _digest(path: str) -> str:
    return xxhash.xxh3_128_hexdigest(storage.read_bytes(path))


def _load(root: str, run_id: str) -> _Ledger:
    """Returns the ledger; an empty one if there is none, or if a damaged one was set aside."""
    try:
        return _read(root)
    except DamagedError as error:
        path = storage.join(root, LEDGER)
        state.set_aside(path, run_id, f"{error}, so its files are read once more")
        return _EMPTY


def _read(root: str) -> _Ledger:
    """Returns the ledger; an empty one if there is none.

    Raises:
        DamagedError: It is something else.
    """
    try:
        entries = _unpacked(state.read(storage.join(root, LEDGER), LIMIT_BYTES))
        checked = msgspec.json.decode(entries.schema.metadata[_CHECKED], type=_Checked)
    except FileNotFoundError:
        return _EMPTY
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("does not name its table") from error
    return _Ledger(entries.replace_schema_metadata(None), checked)


def _unpacked(packed: bytes) -> pa.Table:
    """Returns the entries of a ledger; an older one does not say what its files had.

    Raises:
        DamagedError: It is something else.
    """
    try:
        return listings.unpack(packed, _SCHEMA, _GAPS)
    except DamagedError:
        found = listings.unpack(packed, _OLD_SCHEMA)
    for name in _GAPS:
        field = _SCHEMA.field(name)
        found = found.append_column(field, pa.nulls(len(found), field.type))
    return found
