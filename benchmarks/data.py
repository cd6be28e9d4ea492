"""Input for the benchmarks, made by the generator once and kept in the work folder."""

import os
import pathlib
import shutil
import zlib
from typing import NamedTuple

import duckdb

from generator.files import Summary, deliver
from generator.options import Options

_GENERATOR = pathlib.Path(__file__).resolve().parent.parent / "generator"

# What a query needs to read events; `data` as DuckDB re-writes it.
EVENT_COLUMNS = (
    "{event_id: 'VARCHAR', timestamp: 'VARCHAR', domain: 'VARCHAR', event_type: 'VARCHAR',"
    " data: 'JSON'}"
)


class Delivery(NamedTuple):
    """Files of events.

    Attributes:
        folder: Where they are; nothing else is in it.
        summary: What the generator said about them.
        pattern: Matches all of them.
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
    mark = options.output.with_name(options.output.name + ".made")
    wanted = f"{_generator_checksum():08x} {options._replace(output=pathlib.Path())!r}\n"
    if mark.exists() and mark.read_text().startswith(wanted):
        return Delivery(options.output, _summary(mark.read_text()[len(wanted) :]))
    mark.unlink(missing_ok=True)
    shutil.rmtree(options.output, ignore_errors=True)
    summary = deliver(options)
    mark.write_text(wanted + " ".join(map(str, summary)))
    return Delivery(options.output, summary)


def _summary(text: str) -> Summary:
    return Summary(*map(int, text.split()))


def _generator_checksum() -> int:
    """Changes when the generator does."""
    checksum = 0
    for source in sorted(_GENERATOR.glob("*.py")):
        checksum = zlib.crc32(source.read_bytes(), checksum)
    return checksum


def tied_ids(delivery: Delivery) -> pathlib.Path:
    """A Parquet file with the ids that have unlike versions at the same instant.

    Programs break such ties each in their own way, so the contents of these rows cannot be
    compared, only that there is one row with that id and instant.
    """
    path = delivery.folder.with_name(delivery.folder.name + ".ties.parquet")
    newer = delivery.folder.with_name(delivery.folder.name + ".made").stat().st_mtime
    if path.exists() and path.stat().st_mtime >= newer:
        return path
    part = path.with_suffix(".part")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"""
            COPY (
              SELECT DISTINCT event_id
              FROM read_json('{delivery.pattern}', format = 'newline_delimited',
                             columns = {EVENT_COLUMNS})
              GROUP BY event_id, timestamp::TIMESTAMPTZ
              HAVING min(hash(domain, event_type, data)) <> max(hash(domain, event_type, data))
            ) TO '{part}' (FORMAT parquet)
            """
        )
    os.replace(part, path)
    return path


def warm(delivery: Delivery) -> None:
    """Reads every file once, so that all programs find them in the page cache."""
    for path in delivery.folder.iterdir():
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass
