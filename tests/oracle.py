"""What a table must hold, found in the slow and plain way; nothing of the job's code is used.

Whole files are read with `json`, document by document, and the greatest version of each event_id is
kept. docs/formats.md has the rules in words.
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

import xxhash
import zstandard


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
    rest = json.dumps(
        [row.domain, row.event_type, row.extra], ensure_ascii=False, separators=(",", ":")
    )
    seed = xxhash.xxh3_64_intdigest(rest.encode())
    return row.nanos << 53 | xxhash.xxh3_64_intdigest(row.data.encode(), seed) >> 11


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

FIELDS = ("event_id", "timestamp", "domain", "event_type")


def row_of(raw: bytes) -> Row | None:
    """The row that a JSON document becomes; None if it must be rejected."""
    try:
        text = raw.decode()
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or not {*FIELDS, "data"} <= document.keys():
        return None
    if not all(isinstance(document[field], str) and document[field] for field in FIELDS):
        return None
    when = instant(document["timestamp"])
    if when is None:
        return None
    members = dict(_members(text))
    data = members["data"]
    unknown = [
        f"{json.dumps(key, ensure_ascii=False)}:{value}"
        for key, value in sorted(members.items())
        if key not in (*FIELDS, "data")
    ]
    extra = f"{{{','.join(unknown)}}}" if unknown else None
    day = _EPOCH + datetime.timedelta(microseconds=when[0])
    kind = document["domain"], document["event_type"]
    return Row(document["event_id"], *when, data, extra, *kind, day.year, day.month, day.day)


def _members(text: str) -> Iterator[tuple[str, str]]:
    """The names in an object, and the text of each value as it was delivered."""
    space = re.compile(r"[ \t\r\n]*")
    scan = json.JSONDecoder().raw_decode
    at = text.index("{") + 1
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


# Timestamps

_EPOCH = datetime.datetime(1970, 1, 1)
_FIRST_NANOS = -62_135_596_800 * 10**9  # 0001-01-01T00:00:00Z
_END_NANOS = 253_402_300_800 * 10**9  # after 9999-12-31T23:59:59.999999999Z
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:[.,]([0-9]+))?(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


def instant(text: str) -> tuple[int, int] | None:
    """Microseconds since 1970, and nanoseconds beyond them; None if the timestamp is refused."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    *date_time, fraction, sign, offset_hours, offset_minutes = found.groups()
    year, *rest = map(int, date_time)
    hours, minutes = int(offset_hours or 0), int(offset_minutes or 0)
    if hours > 23 or minutes > 59:
        return None
    # Python has no year 0, and no instant near its ends survives an offset. The calendar repeats
    # every 400 years of 146,097 days, so the sum is done in the years 2000 to 2399.
    cycles = year // 400 - 5
    try:
        local = datetime.datetime(year - cycles * 400, *rest)  # type: ignore[arg-type,misc]
    except ValueError:
        return None
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    utc = local + offset if sign == "-" else local - offset
    seconds = (utc - _EPOCH) // datetime.timedelta(seconds=1) + cycles * 146_097 * 86_400
    nanos = seconds * 10**9 + int((fraction or "")[:9].ljust(9, "0"))
    if not _FIRST_NANOS <= nanos < _END_NANOS:
        return None
    return divmod(nanos, 1000)
