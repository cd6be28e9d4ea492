"""A published table as tests look at it: its rows, as readers see them, and its files."""

import base64
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from pipeline.bookkeeping import ledger
from pipeline.keys.partitions import PARTITION_COLUMNS, Destination
from pipeline.table.address import Table
from tests.deliveries import Event
from tests.oracle import Row, Rows

# Rows


def delta_rows(root: str | Path, version: int | None = None) -> Rows:
    """What a reader of the Delta log sees; nothing if there is no table."""
    if not DeltaTable.is_deltatable(str(root)):
        return Counter()
    return rows_of(DeltaTable(str(root), version=version).to_pyarrow_table())


def plain_rows(root: str | Path) -> Rows:
    """What a reader of the Parquet files sees."""
    parts = [pa.field(name, pa.string()) for name in PARTITION_COLUMNS[:2]]
    parts += [pa.field(name, pa.int32()) for name in PARTITION_COLUMNS[2:]]
    files = [str(path) for path in data_files(root)]
    if not files:
        return Counter()
    hive = ds.partitioning(pa.schema(parts), flavor="hive")
    return rows_of(ds.dataset(files, partitioning=hive, partition_base_dir=str(root)).to_table())


def rows_of(table: pa.Table, destination: Destination | None = None) -> Rows:
    """The rows in memory, whoever has read them; of one data file if `destination` is given."""
    columns = {name: table[name].to_pylist() for name in Row._fields if name in table.schema.names}
    micros = table["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    columns["micros"] = micros.to_pylist()
    if destination:
        columns |= {name: [value] * len(table) for name, value in destination._asdict().items()}
    for name in ("year", "month", "day"):  # DuckDB takes 01 for a text
        columns[name] = list(map(int, columns[name]))
    return Counter(map(Row, *(columns[name] for name in Row._fields)))


def ids(root: str | Path) -> list[str]:
    """The event_ids in a table, sorted."""
    return sorted(row.event_id for row in delta_rows(root).elements())


def content(events: Iterable[Event]) -> pa.Table:
    """Events as another Delta tool is given them."""
    types: dict[str, pa.DataType] = dict.fromkeys(Row._fields, pa.string())
    types |= {"micros": pa.timestamp("us", "UTC"), "nanos": pa.int16()}
    types |= dict.fromkeys(PARTITION_COLUMNS[2:], pa.int32())
    columns = zip(*(event.row() for event in events), strict=True)
    table = pa.table([list(column) for column in columns], schema=pa.schema(types.items()))
    return table.rename_columns({"micros": "timestamp"})


# Files


def data_files(root: str | Path) -> list[Path]:
    """The data files that a reader of plain files finds."""
    return sorted(Path(root).glob("domain=*/**/*.parquet"))


def files_of(root: str | Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, modification time and content of what readers see, and of the log, by path."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in sorted(Path(root).rglob("*"))
        if path.is_file() and "_eventsift" not in path.parts
    }


def strays(root: Path) -> list[str]:
    """The files under a table that are neither live nor the log's, nor what is kept of its runs."""
    adds = pa.table(DeltaTable(str(root)).get_add_actions()).to_pylist()
    live = {unquote(action["path"]) for action in adds}
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
    return [name for name in names if name not in live and not _is_kept(name)]


def _is_kept(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == "_delta_log":
        return file == "_last_checkpoint" or (
            file[:20].isdigit() and file.endswith((".json", ".checkpoint.parquet"))
        )
    hidden = file.startswith(".")
    return not hidden and (
        name in (ledger.LEDGER, "_eventsift/page.html")
        or folder in ("_eventsift/catalogue", "_eventsift/runs", "_eventsift/rejects")
    )


# Beside the rows


def newest_summary(root: Path) -> dict[str, Any]:
    """The summary of the run that ended last."""
    runs = (root / "_eventsift" / "runs").glob("*.json")
    newest = max(runs, key=lambda path: path.stat().st_mtime_ns)
    summary: dict[str, Any] = json.loads(newest.read_bytes())
    return summary


def recorded(root: Path) -> list[str]:
    """The names of the files that the ledger holds."""
    return sorted(Path(file.path).name for file in ledger.published(Table(str(root))))


def letters_in(path: str | Path) -> list[dict[str, Any]]:
    """The dead letters in a file, by source and offset, with their raw bytes as such."""
    letters = [json.loads(line) for line in Path(path).read_bytes().splitlines()]
    for letter in letters:
        if "raw" in letter:
            letter["raw"] = letter["raw"].encode()
        else:
            letter["raw"] = base64.b64decode(letter.pop("raw_base64"))
    return sorted(letters, key=lambda letter: (letter["source"], letter["offset"]))
