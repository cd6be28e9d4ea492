"""What the page is made of: the log, the summaries of the last runs, the first dead letters.

Nothing is changed here, and nothing damaged is set aside: what cannot be read is counted.
"""

import concurrent.futures
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from pipeline import storage
from pipeline.bookkeeping import catalogues, journal, state, summary
from pipeline.bookkeeping.state import DamagedError
from pipeline.bookkeeping.summary import RunSummary
from pipeline.catalogue.nodes import Catalogue
from pipeline.storage import FileInfo
from pipeline.table import delta
from pipeline.table.address import Table
from pipeline.table.delta import Snapshot

# A year of daily runs, and some. Each takes 0.05 ms to read; from an object store, a request.
RUNS_LIMIT, REMOTE_RUNS_LIMIT = 400, 60
_CALLS = 16
_SUMMARY_BYTES = 16 << 20
# Dead letters are not sorted by their reasons, and may be gigabytes: the first of the newest files
# are looked at, until there are enough samples.
SAMPLES = 3
_LETTER_FILES = 5
_LETTER_BYTES = 1 << 20


class Letter(msgspec.Struct, frozen=True):
    """A dead letter; see `rejects.Reject`."""

    run: str
    source: str
    offset: int
    length: int
    reason: str
    message: str
    raw: str | None = None
    raw_base64: str | None = None


class Gathered(NamedTuple):
    """All that is known of a table without opening a data file.

    Attributes:
        root: The table.
        snapshot: Its newest version.
        runs: The summaries of the last runs, the oldest first.
        older: How many runs before them have left a summary.
        unreadable: How many of the summaries cannot be read.
        letters: Dead letters, at most `SAMPLES` for each reason, the newest file's first.
        catalogue: What the runs have seen in `data`.
    """

    root: str
    snapshot: Snapshot
    runs: Sequence[RunSummary]
    older: int
    unreadable: int
    letters: Sequence[Letter]
    catalogue: Catalogue = Catalogue()


def gather(table: Table) -> Gathered:
    """Returns what is known of a table.

    Raises:
        datafiles.TableError: It cannot be read, or is not a table of ours.
        OSError: A folder cannot be listed.
    """
    root = storage.absolute(table.root)
    snapshot = delta.load(table)
    limit = RUNS_LIMIT if storage.is_local(root) else REMOTE_RUNS_LIMIT
    found = _files(root, journal.RUNS, ".json")
    newest = found[-limit:]
    read = list(_each(newest))
    runs = [run for run in read if run is not None]
    reasons = {reason for run in runs for reason in run.rejected}
    letters = _files(root, journal.REJECTS, ".jsonl")[::-1][:_LETTER_FILES]
    return Gathered(
        root,
        snapshot,
        runs,
        len(found) - len(newest),
        len(read) - len(runs),
        _samples(letters, reasons),
        catalogues.load(root, snapshot.lineage),
    )


def _files(root: str, folder: str, ending: str) -> list[FileInfo]:
    """Returns the files of a folder beside the table, sorted by their names, and so by time."""
    files = storage.list_files(storage.join(root, folder))
    return sorted(file for file in files if file.path.endswith(ending))


def _each(files: Sequence[FileInfo]) -> Iterator[RunSummary | None]:
    if all(storage.is_local(file.path) for file in files):
        yield from map(_summary, files)
        return
    with concurrent.futures.ThreadPoolExecutor(_CALLS) as pool:
        yield from pool.map(_summary, files)


def _summary(file: FileInfo) -> RunSummary | None:
    """Returns a run's summary; None if it cannot be read."""
    try:
        found = summary.decode(state.read(file.path, _SUMMARY_BYTES))
    except (DamagedError, OSError, ValueError, RecursionError):
        return None
    return found if os.path.basename(file.path) == f"{found.run}.json" else None


def _samples(files: Sequence[FileInfo], reasons: set[str]) -> list[Letter]:
    """Returns the first dead letters of each reason."""
    decoder = msgspec.json.Decoder(Letter)
    counts: Counter[str] = Counter()
    samples = []
    for file in files:
        for line in _beginning(file.path).splitlines():
            try:
                letter = decoder.decode(line)
            except (ValueError, RecursionError):
                continue
            if counts[letter.reason] < SAMPLES:
                counts[letter.reason] += 1
                samples.append(letter)
        if all(counts[reason] == SAMPLES for reason in reasons):
            break
    return samples


def _beginning(path: str) -> bytes:
    """Returns the first whole lines of a file; nothing if it cannot be read."""
    try:
        with storage.open_read(path) as file:
            content = file.read(_LETTER_BYTES)
    except OSError:
        return b""
    return content if len(content) < _LETTER_BYTES else content[: content.rfind(b"\n") + 1]
