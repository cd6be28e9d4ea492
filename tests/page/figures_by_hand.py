"""Tables made up for tests of the page: files, summaries and dead letters, without any run."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from deltalake import Schema

from pipeline.bookkeeping import journal, summary
from pipeline.bookkeeping.summary import Events, Files, RunSummary, TableChange
from pipeline.catalogue.nodes import Catalogue
from pipeline.keys.partitions import (
    PARTITION_COLUMNS,
    Destination,
    directory,
    partition_values,
)
from pipeline.page.gather import Gathered, Letter
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile
from pipeline.table.delta import TABLE_SCHEMA, Lineage, Snapshot

NOW = datetime.datetime(2021, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
NOTHING_SEEN = Catalogue()
HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style></svg><h1>here</h1>",
    "{{ 7 * 7 }}{% raw %}",
    "عربي-עברית",
    "\u202egpj.exe\u2066\u200b",
    "line\nbreak\ttab\x00\x1b[31m",
    "&amp;&lt;",
    "e\u0301́́𐍈🏳️‍🌈",
    "x" * 240,
)


def run_id(number: int) -> str:
    """The id of a made-up run: one each hour."""
    moment = datetime.datetime(2021, 1, 8) + datetime.timedelta(hours=number)
    return f"{moment:%Y%m%dT%H%M%S}-{number:06x}"


def file(destination: Destination, rows: int, size: int = 1000, run: int = 0) -> DataFile:
    """A live file that a run has written."""
    name = f"part-{run_id(run)}-{abs(hash((destination, rows, size))) % 16**16:016x}.parquet"
    return DataFile(f"{directory(destination)}/{name}", destination, rows, size, None, None)


def one_run(
    number: int,
    *,
    kept: int = 0,
    superseded: int = 0,
    exact: int = 0,
    rejected: Mapping[str, int] = {},
    files: int = 1,
    **more: Any,
) -> RunSummary:
    """The summary of a made-up run."""
    refused = sum(rejected.values())
    fields: dict[str, Any] = {
        "run": run_id(number),
        "output": "/table",
        "version": 2 * number + 1,
        "published": bool(kept),
        "rebuild": False,
        "files": Files(files, 0),
        "bytes": 1000 * files,
        "events": Events(kept + superseded + exact + refused, kept, superseded, exact, refused),
        "rejected": dict(rejected),
        "rejects": "/table/rejects.jsonl" if refused else None,
        "table": TableChange(rows=kept, partitions=1, partitions_written=1),
        "wall_seconds": 2.5,
        "seconds": {"plan": 0.1, "read": 3.0, "write": 1.0},
        "counts": {},
    }
    return RunSummary(**fields | more)


def gathered(
    files: Sequence[DataFile] = (),
    runs: Sequence[RunSummary] = (),
    letters: Sequence[Letter] = (),
    root: str = "/table",
    catalogue: Catalogue = NOTHING_SEEN,
) -> Gathered:
    """What is known of a made-up table."""
    snapshot = Snapshot(Lineage("id", 1 if files else -1), tuple(sorted(files)))
    return Gathered(root, snapshot, runs, 0, 0, letters, catalogue)


def letter(reason: str, text: str, source: str = "/in/a.jsonl", run: str = "r") -> Letter:
    """A dead letter."""
    return Letter(run, source, 7, len(text), reason, f"{text!r} is wrong", text)


def _actions(files: Sequence[DataFile]) -> Iterator[dict[str, Any]]:
    """The first commit of a table (Delta protocol, "Actions"); the files need not be there."""
    yield {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
    yield {
        "metaData": {
            "id": "made-up",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": Schema.from_arrow(TABLE_SCHEMA).to_json(),
            "partitionColumns": PARTITION_COLUMNS,
            "configuration": {},
        }
    }
    for one in files:
        yield {
            "add": {
                "path": quote(one.path),
                "partitionValues": partition_values(one.destination),
                "size": one.bytes,
                "modificationTime": 0,
                "dataChange": True,
                "stats": msgspec.json.encode({"numRecords": one.rows}).decode(),
            }
        }


def write(
    folder: Path,
    files: Sequence[DataFile] = (),
    runs: Sequence[RunSummary] = (),
    letters: Sequence[Letter] = (),
) -> Table:
    """Writes a made-up table to a folder: a log that names the files, and what lies beside it."""
    table = Table(str(folder / "table"))
    if files:
        log = Path(table.root, "_delta_log", f"{0:020}.json")
        log.parent.mkdir(parents=True)
        log.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in _actions(files)))
    for run in runs:
        path = Path(journal.summary_path(table.root, run.run))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(summary.encode(run))
    if letters:
        path = Path(journal.rejects_path(table.root, run_id(0)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in letters))
    return table
