"""What the runs of a table have left: their summaries, their dead letters, and signs of life."""

import datetime
import itertools
from collections.abc import Iterator

import msgspec

from pipeline import storage
from pipeline.bookkeeping import journal, summary
from pipeline.bookkeeping.summary import RunSummary
from pipeline.run import began
from pipeline.status.facts import OpenRejects, PastRun

# How many runs are told of. An object store takes a request for each.
LAST_RUNS = 10
# Of so many runs with dead letters, the newest, these are counted.
_REJECTS_LIMIT = 5_000


class _Rejected(msgspec.Struct, frozen=True):
    rejected: int


class _Outcome(msgspec.Struct, frozen=True):
    """The part of a summary that tells how many dead letters there are."""

    version: int
    events: _Rejected


def last(root: str) -> list[RunSummary]:
    """Returns the summaries of the last runs that have ended well, the newest first."""
    summaries = map(_summary, _newest(root, journal.RUNS, ".json"))
    return list(itertools.islice(filter(None, summaries), LAST_RUNS))


def told(found: RunSummary) -> PastRun:
    """Returns what is told of a run."""
    begun = began(found.run)
    return PastRun(
        run=found.run,
        began=f"{begun:%Y-%m-%dT%H:%M:%SZ}" if begun else None,
        seconds=found.wall_seconds,
        version=found.version,
        published=found.published,
        files=found.files.read,
        read=found.events.read,
        kept=found.events.kept,
        rejected=found.events.rejected,
        new_types=found.new_types,
    )


def seconds_since(found: RunSummary, now: float) -> float | None:
    """Returns how long ago a run ended; None if its id does not tell when it began."""
    begun = began(found.run)
    if begun is None:
        return None
    ended = begun + datetime.timedelta(seconds=found.wall_seconds)
    return max(0.0, now - ended.timestamp())


def open_rejects(root: str, rebuilt: int) -> OpenRejects:
    """Returns the dead letters that nobody has dealt with.

    Args:
        root: The table.
        rebuilt: The version in which the table was last rebuilt; -1 if it never was.
    """
    records, files = 0, []
    for path in itertools.islice(_newest(root, journal.REJECTS, ".jsonl"), _REJECTS_LIMIT):
        run_id = path.rpartition("/")[2].removesuffix(".jsonl")
        try:
            content = storage.read_bytes(journal.summary_path(root, run_id))
            outcome = msgspec.json.decode(content, type=_Outcome)
        except (OSError, ValueError):  # a run that has published nothing, or a damaged summary
            continue
        if outcome.version >= rebuilt:
            records += outcome.events.rejected
            files.append(path)
    return OpenRejects(records, files)


def _newest(root: str, folder: str, ending: str) -> Iterator[str]:
    """Yields the paths of the runs' files in a folder; ids sort by time, so the newest first."""
    paths = [file.path for file in storage.list_files(storage.join(root, folder))]
    yield from sorted((path for path in paths if path.endswith(ending)), reverse=True)


def _summary(path: str) -> RunSummary | None:
    """Returns the summary in a file; None if it is damaged, which the next run will say."""
    try:
        return summary.decode(storage.read_bytes(path))
    except (OSError, ValueError):
        return None
