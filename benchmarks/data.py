"""Input for the benchmarks, made by the generator once and kept in the work folder."""

import json
import pathlib
import re
import shutil
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from generator.files import Summary, deliver
from generator.options import Options

_GENERATOR = pathlib.Path(__file__).resolve().parent.parent / "generator"


class Delivery(NamedTuple):
    """Files of events.

    Attributes:
        folder: Where they are; nothing else is in it.
        summary: What the generator said about them.
    """

    folder: pathlib.Path
    summary: Summary

    @property
    def pattern(self) -> str:
        """Matches all the files."""
        return str(self.folder / "*")


def work_folder(path: pathlib.Path) -> pathlib.Path:
    """Makes the folder for input and output, which git is told to ignore."""
    path = path.resolve()
    path.mkdir(parents=True, exist_ok=True)
    (path / ".gitignore").write_text("*\n")
    return path


def made(options: Options) -> Delivery:
    """The delivery that `options` describe: made now, or earlier by the same generator."""
    mark = _mark(options.output)
    wanted = f"{_generator_checksum():08x} {options._replace(output=pathlib.Path())!r}\n"
    if mark.exists() and mark.read_text().startswith(wanted):
        return Delivery(options.output, _summary(mark.read_text()[len(wanted) :]))
    mark.unlink(missing_ok=True)
    shutil.rmtree(options.output, ignore_errors=True)
    summary = deliver(options)
    mark.write_text(wanted + " ".join(map(str, summary)))
    return Delivery(options.output, summary)


# The first fields of a line, as the generator writes them.
_FIRST_FIELDS = {
    "event_id": re.compile(rb'(?m)^(\{"event_id":")[^"]*'),
    "timestamp": re.compile(rb'(?m)^(\{"event_id":"[^"]*","timestamp":")[^"]*'),
}
_VALUES = {
    "event_id": b"00000000-0000-4000-8000-000000000000",
    "timestamp": b"2021-01-01T12:00:00Z",
}


def with_same(delivery: Delivery, fields: Sequence[str]) -> Delivery:
    """The delivery with the same value of some fields in all events; the other one goes."""
    mark = _mark(delivery.folder)
    if not mark.read_text().endswith(_same(fields)):
        wanted = mark.read_text()
        mark.unlink()
        for path in delivery.folder.iterdir():
            hidden = path.with_name(f".{path.name}")
            with path.open("rb") as source, hidden.open("wb") as target:
                while lines := b"".join(source.readlines(1 << 24)):
                    for field in fields:
                        lines = _FIRST_FIELDS[field].sub(rb"\g<1>" + _VALUES[field], lines)
                    target.write(lines)
            hidden.replace(path)
        mark.write_text(wanted + _same(fields))
    size = sum(path.stat().st_size for path in delivery.folder.iterdir())
    return delivery._replace(summary=delivery.summary._replace(size_bytes=size))


def _same(fields: Sequence[str]) -> str:
    return f" {' '.join(fields)} the same"


def _mark(folder: pathlib.Path) -> pathlib.Path:
    return folder.with_name(folder.name + ".made")


def _summary(text: str) -> Summary:
    return Summary(*map(int, text.split()[: len(Summary._fields)]))


def _generator_checksum() -> int:
    """Changes when the generator does."""
    checksum = 0
    for source in sorted(_GENERATOR.glob("*.py")):
        checksum = zlib.crc32(source.read_bytes(), checksum)
    return checksum


class Reference(NamedTuple):
    """What the tables made of a delivery are compared with; Parquet files.

    Attributes:
        tied_ids: event_id of events that have unlike versions at one instant. Programs break such
            ties each in their own way, so of these rows only id and instant can be compared.
        lines: event_id and line of all versions of a sample of the events.
    """

    tied_ids: pathlib.Path
    lines: pathlib.Path


# One id in 256: it begins with two random hexadecimal digits.
_SAMPLED = '{"event_id":"00'


def reference(delivery: Delivery) -> Reference:
    """Makes the reference of a delivery of JSON Lines, unless it is there."""
    folder = delivery.folder.with_name(delivery.folder.name + ".reference")
    found = Reference(folder / "ties.parquet", folder / "lines.parquet")
    made_at = _mark(delivery.folder).stat().st_mtime
    if found.lines.exists() and found.lines.stat().st_mtime >= made_at:
        return found
    folder.mkdir(exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"""
            COPY (
              SELECT DISTINCT event_id
              FROM read_json('{delivery.pattern}', format = 'newline_delimited', columns =
                {{event_id: 'VARCHAR', timestamp: 'VARCHAR', domain: 'VARCHAR',
                  event_type: 'VARCHAR', data: 'JSON'}})
              GROUP BY event_id, timestamp::TIMESTAMPTZ
              HAVING min(hash(domain, event_type, data)) <> max(hash(domain, event_type, data))
            ) TO '{found.tied_ids}' (FORMAT parquet)
            """
        )
    lines = [
        line
        for path in sorted(delivery.folder.iterdir())
        for line in path.open(encoding="utf-8", errors="surrogateescape")
        if line.startswith(_SAMPLED)
    ]
    ids = [json.loads(line)["event_id"] for line in lines]
    pq.write_table(pa.table({"event_id": ids, "line": lines}), found.lines)
    return found


def warm(delivery: Delivery) -> None:
    """Reads every file once, so that all programs find them in the page cache."""
    for path in delivery.folder.iterdir():
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass
