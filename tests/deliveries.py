"""Deliveries for the tests: small events, the table they must become, and what readers see."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from pipeline.bookkeeping import ledger
from pipeline.command import job
from pipeline.input import events
from pipeline.keys.partitions import PARTITION_COLUMNS
from pipeline.table.address import Table

Row = tuple[Any, ...]
"""event_id, timestamp, nanos, data, extra, domain, event_type, year, month, day."""

_COLUMNS = ("event_id", "timestamp", "nanos", "data", "extra", *PARTITION_COLUMNS)
_MIDNIGHT = datetime.datetime(2021, 1, 8, tzinfo=datetime.timezone.utc)


class Event(NamedTuple):
    """An event in short.

    Attributes:
        id: Its event_id.
        minute: Its timestamp, in minutes after 2021-01-08.
        data: Its payload.
        kind: Its event_type.
        domain: Its domain.
    """

    id: str
    minute: int
    data: int = 0
    kind: str = "created"
    domain: str = "account"

    @property
    def time(self) -> datetime.datetime:
        """Its timestamp."""
        return _MIDNIGHT + datetime.timedelta(minutes=self.minute)

    def line(self) -> str:
        """The event as it is delivered."""
        document = {
            "event_id": self.id,
            "timestamp": self.time.isoformat(),
            "domain": self.domain,
            "event_type": self.kind,
            "data": {"v": self.data},
        }
        return json.dumps(document) + "\n"

    def row(self) -> Row:
        """The event as it stands in the table."""
        day = self.time
        payload = json.dumps({"v": self.data})
        place = (self.domain, self.kind, day.year, day.month, day.day)
        return (self.id, day, 0, payload, None, *place)


def deliver(path: Path, delivered: Iterable[Event], *lines: str) -> Path:
    """Writes a file of events, and of other `lines` after them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join([*(event.line() for event in delivered), *lines]))
    return path


def oracle(delivered: Iterable[Event]) -> Counter[Row]:
    """The rows that a table of these events has, the plain way: the greatest version of each id."""
    latest: dict[str, Event] = {}
    for event in delivered:
        best = latest.get(event.id)
        if best is None or _order(event) > _order(best):
            latest[event.id] = event
    return Counter(event.row() for event in latest.values())


def _order(event: Event) -> tuple[int, int]:
    """What decides between versions; the hash that breaks ties is the job's own."""
    payload = pa.table({"nanos": np.zeros(1, np.int16), "data": [event.row()[3]], "extra": [None]})
    return event.minute, int(events.digest(payload, event.domain, event.kind)[0])


def delta_rows(root: Path, version: int | None = None) -> Counter[Row]:
    """What a reader of the Delta log sees."""
    return _rows(DeltaTable(str(root), version=version).to_pyarrow_table())


def plain_rows(root: Path) -> Counter[Row]:
    """What a reader of the Parquet files sees."""
    parts = [pa.field(name, pa.string()) for name in PARTITION_COLUMNS[:2]]
    parts += [pa.field(name, pa.int32()) for name in PARTITION_COLUMNS[2:]]
    files = [str(path) for path in sorted(root.glob("domain=*/**/*.parquet"))]
    if not files:
        return Counter()
    hive = ds.partitioning(pa.schema(parts), flavor="hive")
    return _rows(ds.dataset(files, partitioning=hive, partition_base_dir=str(root)).to_table())


def _rows(table: pa.Table) -> Counter[Row]:
    return Counter(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))


def run(root: Path, inputs: Path, *options: str) -> int:
    """The job in this process, with all its work in one thread; its exit code."""
    return job.main(["--input", str(inputs), "--output", str(root), "--workers", "0", *options])


def strays(root: Path) -> list[str]:
    """The files under a table that are neither live nor the log's, nor records of its runs."""
    live = {action["path"] for action in _adds(root)}
    found = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        ours = name in live or _is_record(name)
        if path.is_file() and not ours:
            found.append(name)
    return found


def _adds(root: Path) -> Sequence[dict[str, Any]]:
    actions: list[dict[str, Any]] = pa.table(DeltaTable(str(root)).get_add_actions()).to_pylist()
    return actions


def _is_record(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == "_delta_log":
        return file == "_last_checkpoint" or (
            file[:20].isdigit() and file.endswith((".json", ".checkpoint.parquet"))
        )
    hidden = file.startswith(".")
    return not hidden and (
        name in (ledger.LEDGER, "_eventsift/page.html") or folder in ("_eventsift/runs", "_eventsift/rejects")
    )


def recorded(root: Path) -> list[str]:
    """The names of the files that the ledger holds."""
    files = ledger.published(Table(str(root)))
    return sorted(Path(file.path).name for file in files)


def content(delivered: Iterable[Event]) -> pa.Table:
    """Events as another Delta tool is given them."""
    rows = [event.row() for event in delivered]
    types: dict[str, pa.DataType] = dict.fromkeys(_COLUMNS, pa.string())
    types |= {"timestamp": pa.timestamp("us", "UTC"), "nanos": pa.int16()}
    types |= dict.fromkeys(PARTITION_COLUMNS[2:], pa.int32())
    columns = zip(*rows, strict=True)
    return pa.table([list(column) for column in columns], schema=pa.schema(types.items()))
