"""What a table must hold, found in the slow and plain way; nothing of the job's code is used.

Whole files are read with `json`, document by document, and the greatest version of each event_id is
kept. docs/formats.md has the rules in words. What becomes of one document is known by `plain_rows`
of ``verify --input``, which uses nothing of the job's code, either.
"""

import bz2
import datetime
import gzip
import json
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from pipeline.verify import plain_rows


class Row(NamedTuple):
    """A row of the table: the columns of the data files, then those of the partition."""

    event_id: str
    micros: int
    nanos: int
    data: str
    extra: str | None
    domain: str
    event_type: str
    year: int
    month: int
    day: int


# The rows of a table. Readers give them in no order; a row that is there twice must show.
Rows = Counter[Row]


# The latest version


def latest(rows: Iterable[Row]) -> Rows:
    """The greatest version of each event_id."""
    found: dict[str, Row] = {}
    for row in rows:
        best = found.get(row.event_id)
        if best is None or order(row) > order(best):
            found[row.event_id] = row
    return Counter(found.values())


def order(row: Row) -> tuple[int, int]:
    """What decides between two versions of an event: the instant, then all other content."""
    return row.micros, digest(row)


def digest(row: Row) -> int:
    """The nanoseconds, then 53 bits of a hash of all but event_id and timestamp."""
    return plain_rows.digest(plain_rows.Row(*row[:7]))


# Files


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
    """What a run on some files must give, where there is no table yet.

    Attributes:
        rows: The table.
        events: The counts in the report.
        rejected: Source, offset and bytes of each dead letter, sorted.
    """

    rows: Rows
    events: dict[str, int]
    rejected: list[tuple[str, int, bytes]]


def expect(paths: Iterable[Path]) -> Expected:
    """The latest versions in some files, and what becomes of all others."""
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
    rows = latest(record.row for record in records if record.row)
    return Expected(rows, counts, sorted(rejected))


def records_of(path: Path) -> Iterator[Record]:
    """The documents of a file: each line of a ``.jsonl``, one after another in a ``.json``."""
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
        yield Record(str(path), start, raw, row_of(raw))


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


# Documents


def row_of(raw: bytes) -> Row | None:
    """The row that a JSON document becomes; None if it must be rejected."""
    row = plain_rows.row_of(raw)
    if row is None:
        return None
    day = _EPOCH + datetime.timedelta(microseconds=row.micros)
    return Row(*row, day.year, day.month, day.day)


_EPOCH = datetime.datetime(1970, 1, 1)
instant = plain_rows.instant
