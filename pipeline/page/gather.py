"""What the page is made of: the log, the summaries of the last runs, the first dead letters.

Nothing is changed here, and nothing damaged is set aside: what cannot be read is counted.
"""

import concurrent.futures
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

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
# are looked at.
SAMPLES = 3
_LETTER_FILES = 5
_LETTER_BYTES = 1 << 20

_Read = TypeVar("_Read")


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
    # Side by side: on a store each of these waits for several answers, one after another.
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        loading = pool.submit(delta.load, table)
        reading = pool.submit(_runs, root)
        sampling = pool.submit(_samples, root)
    snapshot, (older, runs) = loading.result(), reading.result()
    found = [run for run in runs if run is not None]
    return Gathered(
        root,
        snapshot,
        found,
        older,
        len(runs) - len(found),
        sampling.result(),
        catalogues.load(root, snapshot.lineage),
    )


def _runs(root: str) -> tuple[int, list[RunSummary | None]]:
    """Returns how many older runs are not read, and the summaries of the last ones."""
    limit = RUNS_LIMIT if storage.is_local(root) else REMOTE_RUNS_LIMIT
    files = _files(root, journal.RUNS, ".json")
    newest = files[-limit:]
    return len(files) - len(newest), list(_each(_summary, newest))


def _files(root: str, folder: str, ending: str) -> list[FileInfo]:
    """Returns the files of a folder beside the table, sorted by their names, and so by time."""
    files = storage.list_files(storage.join(root, folder))
    return sorted(file for file in files if file.path.endswith(ending))


def _each(read: Callable[[FileInfo], _Read], files: Sequence[FileInfo]) -> Iterator[_Read]:
    """Yields what is read of each file, from a store several at a time."""
    if all(storage.is_local(file.path) for file in files):
        yield from map(read, files)
        return
    with concurrent.futures.ThreadPoolExecutor(_CALLS) as pool:
        yield from pool.map(read, files)


def _summary(file: FileInfo) -> RunSummary | None:
    """Returns a run's summary; None if it cannot be read."""
    try:
        found = summary.decode(state.read(file.path, _SUMMARY_BYTES))
    except (DamagedError, OSError, ValueError, RecursionError):
        return None
    return found if os.path.basename(file.path) == f"{found.run}.json" else None


def _samples(root: str) -> list[Letter]:
    """Returns the first dead letters of each reason, of the newest files."""
    decoder = msgspec.json.Decoder(Letter)
    counts: Counter[str] = Counter()
    samples = []
    newest = _files(root, journal.REJECTS, ".jsonl")[::-1][:_LETTER_FILES]
    for lines in _each(_beginning, newest):
        for line in lines.splitlines():
            try:
                letter = decoder.decode(line)
            except (ValueError, RecursionError):
                continue
            if counts[letter.reason] < SAMPLES:
                counts[letter.reason] += 1
                samples.append(letter)
    return samples


def _beginning(file: FileInfo) -> bytes:
    """Returns the first whole lines of a file; nothing if it cannot be read."""
    try:
        with storage.open_read(file.path) as stream:
            content = stream.read(_LETTER_BYTES)
    except OSError:
        return b""
    return content if len(content) < _LETTER_BYTES else content[: content.rfind(b"\n") + 1]
