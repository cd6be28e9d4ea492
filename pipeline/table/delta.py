"""Opening the log of a table, and what one look tells: its snapshot, its lineage, who published."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from pipeline import storage
from pipeline.keys.partitions import PARTITION_COLUMNS, PARTITION_SCHEMA, Destination
from pipeline.table import layout, log
from pipeline.table.address import Table
from pipeline.table.datafiles import DAMAGE, FILE_SCHEMA, NEW_FOLDER, DataFile, TableError, relative
from pipeline.table.layout import Layout

# The columns of a table, where nothing else was asked for.
TABLE_SCHEMA = pa.unify_schemas([FILE_SCHEMA, PARTITION_SCHEMA])

# The transaction of the last rebuild. No run has this id: a run's begins with a date.
REBUILT = "eventsift/rebuilt"

# What deltalake 1.6 takes for a URL's syntax, or decodes, in the name of a local folder.
_UNUSABLE = re.compile(r"[\[\]\\|^\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
_PLAIN = (f"{PARTITION_COLUMNS[0]}=", f"{NEW_FOLDER}/")  # nearly all paths, and quickly told
# A path in the log that is a URL, or absolute, or leads upwards.
_OUTSIDE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:|^/|(?:^|/)\.\.(?:/|$)")


class Lineage(NamedTuple):
    """Which table it is, and how its content came about.

    Attributes:
        identity: The table's id, which only a copy of it has as well; "" if there is no table.
        version: Its newest version; -1 if there is no table.
        rebuilt: The version in which it was last rebuilt; -1 if it never was.
    """

    identity: str = ""
    version: int = -1
    rebuilt: int = -1


class Snapshot(NamedTuple):
    """The table as of one commit.

    Attributes:
        lineage: Which table, in which version.
        files: The live files, sorted by path.
        layout: What it keeps of how it was made.
    """

    lineage: Lineage
    files: tuple[DataFile, ...]
    layout: Layout = Layout()

    @property
    def version(self) -> int:
        """The commit's number; -1 if there is no table yet."""
        return self.lineage.version


NO_TABLE = Snapshot(Lineage(), ())


class Opened(NamedTuple):
    """A table's log, open at what was the newest version.

    Attributes:
        table: The table; its root is absolute.
        delta_table: What deltalake has opened; None if there is no table.
    """

    table: Table
    delta_table: DeltaTable | None

    @property
    def version(self) -> int:
        """The number of the newest commit; -1 if there is no table."""
        return -1 if self.delta_table is None else self.delta_table.version()

    def lineage(self) -> Lineage:
        """Returns which table it is, and in which version."""
        if self.delta_table is None:
            return Lineage()
        rebuilt = self.delta_table.transaction_version(REBUILT)
        identity = str(self.delta_table.metadata().id)
        return Lineage(identity, self.version, -1 if rebuilt is None else rebuilt)

    def published(self, run_id: str) -> int | None:
        """Returns the version in which a run was committed.

        None if it was not, or more than `LOG_DAYS` days ago.
        """
        if self.delta_table is None:
            return None
        return self.delta_table.transaction_version(transaction_id(run_id))

    def paths(self) -> set[str]:
        """Returns the paths of the live files."""
        if self.delta_table is None:
            return set()
        return set(_paths(_adds(self.delta_table)))

    def layout(self) -> Layout:
        """Returns what the table keeps of how it was made.

        Raises:
            TableError: It cannot be understood.
        """
        if self.delta_table is None:
            return Layout()
        try:
            return layout.of(self.delta_table.schema().fields)
        except ValueError as error:
            raise TableError(
                f"{self.table.root}: the metadata of its columns names fields of the input that"
                f" cannot be: {error}; give --rebuild and --fields to make the table again"
            ) from error

    def snapshot(self) -> Snapshot:
        """Returns the live files with all that the log says of them.

        Raises:
            TableError: Another tool has given the table files that have no place in ours.
        """
        if self.delta_table is None:
            return NO_TABLE
        files = tuple(_live_files(self.table.root, self.delta_table))
        return Snapshot(self.lineage(), files, self.layout())


def load(table: Table) -> Snapshot:
    """Returns the newest snapshot of a table; `NO_TABLE` if nothing is there.

    Raises:
        TableError: Its folder holds something else than a table of ours, or cannot be read.
    """
    return open_newest(table).snapshot()


def open_newest(table: Table) -> Opened:
    """Opens the newest version of a table; there is none if its folder is empty or missing.

    Raises:
        TableError: Its folder holds something else than a table of ours, or cannot be read.
    """
    table = _usable(table)
    root = table.root
    found = _open_any(table)
    if found is None:
        foreign = [relative(root, file) for file in storage.list_files(root, hidden=False)]
        # Listed first: the files of a table that is made at this moment are none the second time.
        found = _open_any(table) if foreign else None
        if foreign and found is None:
            raise TableError(
                f"{root}: not empty, but no Delta table either: it has {min(foreign)!r}; "
                "choose an empty or a new folder"
            )
    if found is not None:
        _check_ours(root, found)
    return Opened(table, found)


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


def _open_any(table: Table) -> DeltaTable | None:
    root = table.root
    log.check_kinds(root)
    try:
        return DeltaTable(root, storage_options=dict(table.storage_options))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise TableError(f"{root}: its Delta log cannot be read: {log.why(root, error)}") from error


def _check_ours(root: str, found: DeltaTable) -> None:
    schema = found.schema()
    partitioned = tuple(found.metadata().partition_columns) == PARTITION_COLUMNS
    if not partitioned or not layout.same_columns(schema):
        names = ", ".join(field.name for field in schema.fields)
        raise TableError(
            f"{root}: a Delta table, but not of eventsift: its columns are {names}; "
            "choose another folder"
        )
    # Reader version 2 and up: column mapping, deletion vectors. A file that replaced one with a
    # deletion vector would bring deleted rows back.
    if found.protocol().min_reader_version != 1:
        raise TableError(
            f"{root}: another tool has switched on Delta features that eventsift does not know "
            f"(reader version {found.protocol().min_reader_version}); write a new table"
        )


def _live_files(root: str, delta_table: DeltaTable) -> Iterator[DataFile]:
    """Yields the live files, sorted by path."""
    actions = _adds(delta_table)
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
        _paths(actions),
        destinations,
        column("num_records"),
        column("size_bytes"),
        micros("min.timestamp"),
        micros("max.timestamp"),
    )
    for file in sorted(files):
        _check_live(root, file)
        yield file if file.rows is not None else file._replace(rows=_rows_of(root, file))


def _adds(delta_table: DeltaTable) -> pa.Table:
    """Returns the log's add actions of the live files."""
    return pa.table(delta_table.get_add_actions(flatten=True))


def _paths(adds: pa.Table) -> Iterator[str]:
    """Yields the paths of add actions; the log has them encoded (Delta protocol, "Add File")."""
    return map(unquote, adds["path"].to_pylist())


def _rows_of(root: str, file: DataFile) -> int:
    """Returns the number of rows of a live file from its footer: the log need not say it.

    If the footer cannot be read, the step that reads the rows says why.
    """
    with contextlib.suppress(*DAMAGE), storage.open_read(storage.join(root, file.path)) as stream:
        return int(pq.read_metadata(stream).num_rows)
    return 0


def _check_live(root: str, file: DataFile) -> None:
    """Refuses a file of another tool whose rows have no place in a table of ours."""
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


def transaction_id(run_id: str) -> str:
    """Returns the application id of a run's transaction.

    Each run is an application of its own: the log keeps an application's latest transaction only.
    """
    return f"eventsift/{run_id}"
