"""For the end-to-end tests: the real command, and a naive oracle of what it must publish.

The oracle has no code of the job in it. It reads whole files with `json`, walks every document, and
keeps the greatest version of each event_id, in plain Python.
"""

from __future__ import annotations

import bz2
import datetime
import gzip
import json
import lzma
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import xxhash
import zstandard
from deltalake import DeltaTable

from generator.files import deliver
from generator.options import Options
from pipeline.command import console, job

ROOT = Path(__file__).resolve().parent.parent


# The command


class Finished(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


def command(*arguments: str | Path, module: str = "pipeline", cwd: Path | None = None) -> Finished:
    """Runs ``python -m pipeline`` to its end."""
    return _run("-m", module, *arguments, cwd=cwd)


def script(text: str, *arguments: str | Path) -> Finished:
    """Runs a Python program, for a job to which something happens."""
    return _run("-c", text, *arguments)


def _run(*arguments: str | Path, cwd: Path | None = None) -> Finished:
    """Runs Python; whatever happens, nobody gets to see a traceback."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Finished(done.returncode, done.stdout, done.stderr)


def run_job(inputs: Path | Iterable[Path], output: Path, *options: str) -> dict[str, Any]:
    """Runs the job, which must succeed in silence; gives the run's record."""
    paths = [inputs] if isinstance(inputs, Path) else list(inputs)
    done = command("--input", *paths, "--output", output, *options)
    assert (done.status, done.err) == (0, "")
    return newest_record(output)


def run_here(inputs: Path | Iterable[Path], output: Path, *options: str) -> dict[str, Any]:
    """As `run_job`, in this process: for many runs, since a new one takes two seconds to start."""
    paths = [inputs] if isinstance(inputs, Path) else list(inputs)
    arguments = ["--input", *map(str, paths), "--output", str(output), *options]
    assert job.main(arguments) == console.DONE
    return newest_record(output)


def newest_record(output: Path) -> dict[str, Any]:
    """The record of the run that ended last."""
    runs = (output / "_eventsift" / "runs").glob("*.json")
    newest = max(runs, key=lambda path: path.stat().st_mtime_ns)
    record: dict[str, Any] = json.loads(newest.read_bytes())
    return record


def generate(output: Path, events: int, **options: Any) -> list[Path]:
    """A delivery of the real generator; gives its files."""
    deliver(Options(events=events, output=output, **options))
    return sorted(output.iterdir())


def write_events(path: Path, *events: dict[str, Any]) -> Path:
    """A file of JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def event(event_id: str, timestamp: str, data: object = 1, **fields: object) -> dict[str, Any]:
    """An event; domain and event_type are ``account`` and ``created`` unless given."""
    usual = {"domain": "account", "event_type": "created"}
    return {"event_id": event_id, "timestamp": timestamp, **usual, "data": data, **fields}


# What is published


class Row(NamedTuple):
    """A row of the table, its day left out: that is the timestamp's."""

    event_id: str
    micros: int
    nanos: int
    domain: str
    event_type: str
    data: str
    extra: str | None


def published(output: Path) -> list[Row]:
    """The rows of a table, as a Delta reader gives them, sorted; [] if there is no table."""
    if not (output / "_delta_log").exists():
        return []
    return rows_of(DeltaTable(str(output)).to_pyarrow_table())


def rows_of(table: pa.Table) -> list[Row]:
    """The rows of a table in memory, sorted."""
    micros = table["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    table = table.append_column("micros", micros)
    columns = [table[name].to_pylist() for name in Row._fields]
    return sorted(map(Row, *columns), key=repr)


def files_of(output: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, modification time and content of what readers see, and of the log, by path."""
    return {
        str(path.relative_to(output)): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in sorted(output.rglob("*"))
        if path.is_file() and "_eventsift" not in path.parts
    }


# The oracle


class Record(NamedTuple):
    """One JSON document of a file, or a line that is none.

    Attributes:
        source: The file.
        offset: Of its first byte, in the decompressed file.
        raw: Its bytes.
        row: What it becomes; None if it must be rejected.
    """

    source: str
    offset: int
    raw: bytes
    row: Row | None


class Expected(NamedTuple):
    """What a run on some files must give, on an empty table."""

    rows: list[Row]
    events: dict[str, int]
    rejected: list[tuple[str, int, bytes]]


def expect(paths: Iterable[Path]) -> Expected:
    """The oracle: the greatest version of each event_id, and the counts of the report."""
    records = [record for path in paths for record in records_of(path)]
    versions: dict[str, list[Row]] = defaultdict(list)
    for record in records:
        if record.row:
            versions[record.row.event_id].append(record.row)
    intact = sum(map(len, versions.values()))
    distinct = sum(len(set(rows)) for rows in versions.values())
    rejected = [(r.source, r.offset, r.raw) for r in records if r.row is None]
    counts = {
        "read": len(records),
        "kept": len(versions),
        "superseded": distinct - len(versions),
        "exact_duplicates": intact - distinct,
        "rejected": len(rejected),
    }
    latest = [max(rows, key=_order) for rows in versions.values()]
    return Expected(sorted(latest, key=repr), counts, sorted(rejected))


def _order(row: Row) -> tuple[int, int, int]:
    """The total order of versions: the instant, then a hash of all else (its upper 53 bits)."""
    rest = msgspec.json.encode([row.domain, row.event_type, row.extra])
    digest = xxhash.xxh3_64_intdigest(row.data.encode(), xxhash.xxh3_64_intdigest(rest))
    return row.micros, row.nanos, digest >> 11


def records_of(path: Path) -> Iterator[Record]:
    """The documents of a file: of each line of a ``.jsonl``, one after another in a ``.json``."""
    content = path.read_bytes()
    unpack = {
        ".gz": gzip.decompress,
        ".bz2": bz2.decompress,
        ".xz": lzma.decompress,
        ".zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }.get(path.suffix, bytes)
    content = unpack(content)
    spans = _lines(content) if ".jsonl" in path.suffixes else _values(content)
    for start, end in spans:
        raw = content[start:end]
        yield Record(str(path), start, raw, _row(raw))


def _lines(content: bytes) -> Iterator[tuple[int, int]]:
    start = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    for line in content[start:].splitlines(keepends=True):
        if line.strip():
            yield start, start + len(line.rstrip(b"\r\n"))
        start += len(line)


def _values(content: bytes) -> Iterator[tuple[int, int]]:
    text = content.decode("latin-1")  # one character a byte
    start = 0
    while between := re.compile(r"[ \t\r\n\[\],ï»¿]*").match(text, start):
        start = between.end()
        if start == len(text):
            return
        _, end = json.JSONDecoder().raw_decode(text, start)
        yield start, end
        start = end


def _row(raw: bytes) -> Row | None:
    try:
        raw.decode()
        document = json.loads(raw)
    except ValueError:
        return None
    fields = ("event_id", "timestamp", "domain", "event_type")
    if not isinstance(document, dict) or not {*fields, "data"} <= document.keys():
        return None
    texts = [document[field] for field in fields]
    if not all(isinstance(text, str) and text for text in texts):
        return None
    when = _instant(document["timestamp"])
    if when is None:
        return None
    members = dict(_members(raw))
    data = members["data"]
    unknown = [
        f'"{key}":{text}' for key, text in sorted(members.items()) if key not in (*fields, "data")
    ]
    extra = f"{{{','.join(unknown)}}}" if unknown else None
    return Row(texts[0], *when, texts[2], texts[3], data, extra)


def _members(raw: bytes) -> Iterator[tuple[str, str]]:
    """The keys of an object, and the text of each value as it was delivered."""
    text = raw.decode()
    space = re.compile(r"[ \t\r\n]*")
    scan = json.JSONDecoder().raw_decode
    at = 1
    while True:
        at = space.match(text, at).end()  # type: ignore[union-attr]
        if text[at] == "}":
            return
        key, at = scan(text, at)
        at = space.match(text, text.index(":", at) + 1).end()  # type: ignore[union-attr]
        _, end = scan(text, at)
        yield key, text[at:end]
        at = space.match(text, end).end()  # type: ignore[union-attr]
        at += text[at] == ","


_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):?(\d\d))?"
)
_EPOCH = datetime.datetime(1970, 1, 1)


def _instant(text: str) -> tuple[int, int] | None:
    form = _TIME.fullmatch(text)
    try:
        local = datetime.datetime(*map(int, form.groups()[:6]))  # type: ignore[union-attr,arg-type]
    except (AttributeError, ValueError):
        return None
    assert form is not None
    offset = datetime.timedelta(hours=int(form[9] or 0), minutes=int(form[10] or 0))
    utc = local - offset if form[8] == "+" else local + offset
    micros, nanos = divmod(int(f"{form[7] or '':0<9.9}"), 1000)
    return (utc - _EPOCH) // datetime.timedelta(microseconds=1) + micros, nanos
