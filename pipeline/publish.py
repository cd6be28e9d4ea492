"""Publishing: the sums are checked, then the run becomes the table in one commit.

In this order, so that being killed anywhere does no harm: check, stage the journal, commit, settle
the files, keep the journal (dead letters, ledger, record), remove what was staged. The commit alone
decides: what comes before it is invisible, what comes after it is repeated, or done by the next
run.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline import journal, places, storage, table
from pipeline.datafiles import DataFile
from pipeline.errors import EventsiftError
from pipeline.partitions import directory
from pipeline.plan import Plan, Run
from pipeline.table import Snapshot
from pipeline.tally import Tally, add_up, disagreements
from pipeline.write import Written


class ReconciliationError(EventsiftError):
    """The steps' counts do not agree, so nothing was published."""


class TooManyPartitionsError(EventsiftError):
    """The run would write more partitions than its limit allows."""


class Outcome(NamedTuple):
    """All that the steps before have to say.

    Attributes:
        plans: The run's plan; more than one, or none, if the runner has erred.
        tallies: Of every call of every step.
        written: Of every destination with new or replaced files.
        dead_letters: Staged files with rejects.
    """

    plans: Sequence[Plan]
    tallies: Sequence[Tally]
    written: Sequence[Written]
    dead_letters: Sequence[str]


def publish(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Checks, commits, settles and records a run; again after it did so, only returns the record.

    Returns:
        The run's record, which is also stored as JSON; see `journal`.

    Raises:
        ReconciliationError, TooManyPartitionsError: Nothing was published.
        datafiles.TableError: Another run was faster, or the table cannot be written.
    """
    started = time.perf_counter()
    done = journal.recorded(run.root, run.id, run.id)
    if done is not None:  # the runner repeats a step that was done
        _remove_staged(run)
        return done
    if len(outcome.plans) != 1:
        raise ReconciliationError(
            f"nothing was published: the run has {len(outcome.plans)} plans, it must have one"
        )
    (planned,) = outcome.plans
    counts, seconds = add_up(outcome.tallies)
    snapshot = table.load(run.root, run.storage_options)
    live = snapshot.files if snapshot.version == planned.version else ()
    add = [file for written in outcome.written for file in written.files]
    replaced = [file for written in outcome.written for file in written.replaced]
    remove: Sequence[DataFile] = live if run.rebuild and add else replaced
    counts["commit.files"] = len(add)
    counts["commit.replaced"] = len(replaced)
    counts["commit.dead_letter_files"] = len(outcome.dead_letters)
    counts["commit.rows_added"] = sum(file.rows for file in add)
    counts["commit.rows_replaced"] = sum(file.rows for file in replaced)
    if wrong := disagreements(counts):
        raise ReconciliationError(f"nothing was published, the counts disagree: {'; '.join(wrong)}")
    partitions = {directory(file.destination) for file in add}
    if len(partitions) > run.max_partitions:
        raise TooManyPartitionsError(
            f"nothing was published: the run has {len(partitions):,} partitions, the limit is"
            f" {run.max_partitions:,}; raise it with --max-partitions"
        )
    touched = partitions | {directory(file.destination) for file in remove}
    record: dict[str, Any] = {
        "run": run.id,
        "output": run.root,
        "version": planned.version + bool(add or remove),
        "published": bool(add or remove),
        "rebuild": run.rebuild,
        "files": {"matched": planned.matched, "skipped": planned.skipped},
        "bytes": counts["read.bytes"],
        "events": {
            "read": counts["read.events"],
            "kept": counts["write.kept"],
            "superseded": counts["latest.superseded_events"],
            "exact_duplicates": counts["latest.exact_duplicate_events"],
            "rejected": counts["read.rejected"],
        },
        "rejected": {
            name.removeprefix("read.rejected."): count
            for name, count in sorted(counts.items())
            if name.startswith("read.rejected.")
        },
        "rejects": journal.rejects_path(run.root, run.id) if outcome.dead_letters else None,
        "horizon": None
        if run.dedup_days is None
        else {
            "days": run.dedup_days,
            "files_not_searched": counts["scan.files_passed_over"],
            "rows_not_searched": counts["scan.rows_passed_over"],
        },
        "table": {
            "replaced_rows": counts["latest.superseded"] - counts["latest.superseded_events"],
            "partitions_written": len(partitions),
            "partitions_touched": len(touched),
            "files_written": len(add),
            "files_replaced": len(remove),
        },
        "wall_seconds": round(time.time() - planned.began, 3),
        "seconds": {step: round(total, 3) for step, total in seconds.items()},
        "counts": dict(sorted(counts.items())),
    }
    staged = journal.make(record, run.staging, planned.inputs, outcome.dead_letters, planned.table)
    journal.stage(staged, run.staging)
    published = -1
    if add or planned.version >= 0:  # no valid event and no table: none is made
        base = Snapshot(planned.version, tuple(live))
        published = table.commit(
            run.root, base, run.id, add, remove, run.storage_options, rebuild=run.rebuild
        )
    after = table.settle(run.root, run.storage_options, run.keep_seconds)
    record["version"] = after.version
    record["wall_seconds"] = round(time.time() - planned.began, 3)
    record["seconds"] |= {"commit": round(time.perf_counter() - started, 3)}
    record = journal.keep(
        run.root, run.id, run.staging, staged, published, after, run.storage_options
    )
    _remove_staged(run)
    return record


def _remove_staged(run: Run) -> None:
    storage.delete_tree(run.staging, places.boundary(run.root, run.staging))
