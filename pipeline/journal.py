"""What a run leaves beside the table: its record, its dead letters, its files in the ledger.

All of it is staged before the commit and kept after it: by the run itself, or by the next one if it
was killed in between. So no dead letter and no record of a published run is lost.
"""

import contextlib
from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline import durable, ledger, storage, table
from pipeline.alive import Dead
from pipeline.table import Snapshot

RUNS = "_eventsift/runs"
REJECTS = "_eventsift/rejects"

_STAGED = "journal.json"


class Journal(msgspec.Struct, frozen=True):
    """What is known before the commit.

    Attributes:
        record: See `publish.publish`; without what only the commit makes known.
        inputs: Where the list of the files that were read is staged; see `ledger`.
        dead_letters: Staged files with rejects.
    """

    record: dict[str, Any]
    inputs: str
    dead_letters: list[str]


def record_path(root: str, run_id: str) -> str:
    """Where a run's record is kept."""
    return storage.join(root, RUNS, f"{run_id}.json")


def rejects_path(root: str, run_id: str) -> str:
    """Where a run's dead letters are kept, if it has any."""
    return storage.join(root, REJECTS, f"{run_id}.jsonl")


def stage(journal: Journal, staging: str) -> None:
    """Stages a run's journal, to be found by the next run should this one be killed."""
    path = storage.join(staging, _STAGED)
    storage.write_bytes(path, msgspec.json.encode(journal))
    durable.sync([path, journal.inputs, *journal.dead_letters], staging)


def keep(root: str, journal: Journal, published: int, now: Snapshot) -> dict[str, Any]:
    """Keeps a journal beside the table; the record comes last, so where it is, all is.

    Args:
        root: The table.
        journal: Of a run that is published.
        published: The version that made its events live.
        now: The table as it is now.

    Returns:
        The record, complete.
    """
    totals = {
        "rows": sum(file.rows for file in now.files),
        "files": len(now.files),
        "bytes": sum(file.bytes for file in now.files),
        "partitions": len({file.destination for file in now.files}),
    }
    record = journal.record | {"table": totals | journal.record["table"]}
    rejects, known = rejects_path(root, record["run"]), storage.join(root, ledger.LEDGER)
    path = record_path(root, record["run"])
    _keep_rejects(rejects, journal.dead_letters)
    ledger.extend(known, journal.inputs, published)
    storage.write_bytes(path, msgspec.json.format(msgspec.json.encode(record)))
    written = [rejects] if journal.dead_letters else []
    durable.sync([*written, *filter(storage.exists, [known]), path], root)
    return record


def finish(
    root: str, run: Dead, published: int, storage_options: dict[str, str] | None = None
) -> None:
    """Keeps the journal of a run that was killed after its commit, unless it is kept."""
    if storage.exists(record_path(root, run.id)):
        return
    with contextlib.suppress(FileNotFoundError):  # another run is doing the same, and was faster
        staged = storage.read_bytes(storage.join(run.staging, _STAGED))
        journal = msgspec.json.decode(staged, type=Journal)
        keep(root, journal, published, table.load(root, storage_options))


def keep_rejects_only(root: str, run_id: str, dead_letters: Iterable[str]) -> None:
    """Keeps the dead letters of a run that is refused for having too many of them."""
    _keep_rejects(rejects_path(root, run_id), dead_letters)


def _keep_rejects(path: str, dead_letters: Iterable[str]) -> None:
    """Gathers a run's dead letters into one file beside the table."""
    staged = sorted(dead_letters)
    if not staged:
        return
    with storage.create(path) as target:
        for source in staged:
            with storage.open_read(source) as letters:
                while chunk := letters.read(1 << 20):
                    target.write(chunk)
