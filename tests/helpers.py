"""Events in short, the oracle that says what they must become, and ways to take single steps."""

import datetime
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import xxhash
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from deltalake import DeltaTable
from hypothesis import strategies as st

from pipeline import flow, storage
from pipeline.bookkeeping import journal
from pipeline.input import blocks
from pipeline.keys import delivery_keys, versions
from pipeline.keys.partitions import Destination
from pipeline.rows import encoding, staging
from pipeline.run import Run
from pipeline.steps import read, route, write
from pipeline.steps.sizes import Sizes
from pipeline.table.datafiles import DataFile

_TIMESTAMP = re.compile(r"(.{10})[T ](.{8})(?:\.(\d+))?(Z|[+-]..:..)?")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

NO_FILTER = delivery_keys.Size(0, False)
ID_SEED = 7
NO_ROWS = np.empty(0, np.int64)
MIDNIGHT = 1_610_064_000_000_000
"""2021-01-08T00:00:00Z in microseconds since 1970."""


class Row(NamedTuple):
    """A row of the table."""

    event_id: str
    micros: int
    nanos: int
    domain: str
    event_type: str
    year: int
    month: int
    day: int
    data: str
    extra: str | None


class Event(NamedTuple):
    """An event in short.

    Attributes:
        id: Its event_id.
        timestamp: As delivered.
        data: The JSON text of its payload.
        event_type: Its type.
        domain: Its domain.
        more: The JSON text of further members, such as ``"v":1``.
    """

    id: str
    timestamp: str = "2021-01-08T00:00:00Z"
    data: str = "1"
    event_type: str = "created"
    domain: str = "account"
    more: str = ""

    def line(self) -> str:
        """The event as it is delivered."""
        fields = {
            "event_id": self.id,
            "timestamp": self.timestamp,
            "domain": self.domain,
            "event_type": self.event_type,
        }
        known = json.dumps(fields)[:-1]
        return f'{known}, "data": {self.data}{self.more and ", "}{self.more}}}'

    def row(self) -> Row:
        """The event as it stands in the table."""
        found = _TIMESTAMP.fullmatch(self.timestamp)
        assert found
        date, time, fraction, offset = found.groups("")
        instant = datetime.datetime.fromisoformat(
            f"{date}T{time}{'+00:00' if offset in ('', 'Z') else offset}"
        ).astimezone(datetime.timezone.utc)
        nanos = int(fraction.ljust(9, "0")) if fraction else 0
        return Row(
            self.id,
            (instant - _EPOCH) // datetime.timedelta(microseconds=1) + nanos // 1000,
            nanos % 1000,
            self.domain,
            self.event_type,
            instant.year,
            instant.month,
            instant.day,
            self.data,
            f"{{{self.more}}}" if self.more else None,
        )


def digest(row: Row) -> int:
    """The digest of a row by the book: nanoseconds, then a hash of all the rest."""
    kind = json.dumps([row.domain, row.event_type, row.extra], separators=(",", ":"))
    seed = xxhash.xxh3_64_intdigest(kind.encode())
    return row.nanos << 53 | xxhash.xxh3_64_intdigest(row.data.encode(), seed) >> 11


def oracle(events: Iterable[Event]) -> list[Row]:
    """What the table must hold after these events, however they are delivered; sorted."""
    latest: dict[str, Row] = {}
    for row in (event.row() for event in events):
        old = latest.setdefault(row.event_id, row)
        latest[row.event_id] = max(old, row, key=lambda row: (row.micros, digest(row)))
    return sorted(latest.values(), key=repr)


EVENTS = st.builds(
    Event,
    id=st.sampled_from("abcdefgh"),
    timestamp=st.sampled_from(
        [
            "2021-01-08T00:00:00Z",
            "2021-01-08 00:00:00",
            "2021-01-08T01:30:00+01:30",
            "2021-01-08T00:00:00.000000001Z",
            "2021-01-08T00:00:00.000000002Z",
            "2021-01-07T23:59:59.999999Z",
            "2021-01-08T00:00:01-01:00",
            "1969-12-31T23:59:59.5Z",
        ]
    ),
    data=st.sampled_from(['{"a": 1}', '{"a":1}', "null", "1.50"]),
    event_type=st.sampled_from(["created", "closed"]),
    domain=st.sampled_from(["account", "Shop/EU"]),
    more=st.sampled_from(["", '"v":1', '"v":2']),
)
"""Few ids, few instants written in several ways: most versions compete, many tie."""


def deliver(folder: Path, name: str, events: Iterable[Event], *lines: str) -> Path:
    """Writes a file of events, and of any other lines, to the input folder."""
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in [*(e.line() for e in events), *lines]))
    return path


def new_run(folder: Path, run_id: str = "r1", **changes: Any) -> Run:
    """A run that reads `folder`/in and keeps its table in `folder`/out."""
    run = Run(
        id=run_id,
        inputs=(f"{folder}/in/*",),
        root=f"{folder}/out",
        temp=f"{folder}/tmp",
        rebuild=False,
        max_partitions=1000,
        max_event_bytes=1 << 20,
        target_file_bytes=1 << 28,
        storage_options={},
    )
    return run._replace(**changes)


def local_pipeline() -> TestPipeline:
    """A pipeline that runs in this process when its ``with`` block ends."""
    return TestPipeline(runner="FnApiRunner")


def run_job(run: Run, workers: int = 0, **beam_options: Any) -> dict[str, Any]:
    """Runs the whole graph; the run's record."""
    pipeline = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(**beam_options))
    flow.build(pipeline, run, workers)
    pipeline.run().wait_until_finish()
    return record(run)


def record(run: Run) -> dict[str, Any]:
    """The record of a run that was published."""
    path = journal.record_path(run.root, run.id)
    found: dict[str, Any] = msgspec.json.decode(storage.read_bytes(path))
    return found


def table_rows(root: str) -> list[Row]:
    """The table as its readers find it; sorted."""
    return rows_of(DeltaTable(root).to_pyarrow_table())


def rows_of(found: pa.Table, destination: Destination | None = None) -> list[Row]:
    """The rows of a table in memory, sorted; of one data file if `destination` is given."""
    micros = found["timestamp"].cast(pa.int64()).to_pylist()
    return sorted(
        [
            Row(
                row["event_id"],
                at,
                row["nanos"],
                *(destination or [row[name] for name in Destination._fields]),
                row["data"],
                row["extra"],
            )
            for row, at in zip(found.to_pylist(), micros, strict=True)
        ],
        key=repr,
    )


def read_events(
    folder: Path,
    events: Sequence[Event],
    *lines: str,
    number: int = versions.FIRST_BLOCK,
    buckets: int = 1,
    shards: int = 1,
    filter_size: delivery_keys.Size = NO_FILTER,
    store_versions: bool = False,
) -> read.BlockRead:
    """Reads and stages events, and any other lines, as one block."""
    path = deliver(folder / "blocks", f"{number}.jsonl", events, *lines)
    (block,) = blocks.pack(blocks.cut(storage.match([str(path)]).files[0]), number)
    settings = read.ReadSettings(
        run="r1",
        directory=new_run(folder).staging,
        sizes=Sizes(ID_SEED, buckets, shards, filter_size),
        max_event_bytes=1 << 20,
        store_versions=store_versions,
    )
    return read.read_block(block, settings)


def slices_of(block: read.BlockRead) -> list[staging.Slice]:
    """The slices of a block, destination by destination."""
    return [slice_ for slices in block.slices for slice_ in slices.each()]


def content_of(slice_: staging.Slice) -> pa.RecordBatch:
    """The staged rows of one slice."""
    (content,) = staging.read_slices([slice_])
    return content


def write_live(
    folder: Path, events: Sequence[Event], run_id: str = "r0", *, keeps_history: bool = False
) -> DataFile:
    """Writes events of one destination to one data file of the table at `folder`/out."""
    settings = encoding.WriteSettings(f"{folder}/out", run_id, 1 << 28, keeps_history)
    routed = [route.Routed(slices, b"") for slices in read_events(folder, events).slices]
    written, _ = write.write_shard(routed, settings)
    (file,) = written.files
    return file
