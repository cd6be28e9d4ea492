"""Publishing: the sums are checked, then the run becomes the table in one commit.

In this order, so that being killed anywhere does no harm: check, stage the journal, commit, settle
the files, keep the journal (dead letters, ledger, record), remove what was staged. The commit alone
decides: what comes before it is invisible, what comes after it is repeated, or done by the next
run.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline import storage
from pipeline.bookkeeping import journal, places
from pipeline.errors import EventsiftError
from pipeline.keys.partitions import directory
from pipeline.run import Run
from pipeline.steps.plan import Plan
from pipeline.steps.tally import Tally, add_up, disagreements
from pipeline.steps.write import Written
from pipeline.table import commits, delta, settling
from pipeline.table.datafiles import DataFile


class ReconciliationError(EventsiftError):
    """The steps' counts do not agree, so nothing was published."""


class TooManyPartitionsError(EventsiftError):
    """The run would write more partitions than its limit allows."""


class TooManyRejectedError(EventsiftError):
    """The run has rejected more records than its limit allows."""


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
        ReconciliationError, TooManyPartitionsError, TooManyRejectedError: Nothing was published.
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
    snapshot = delta.load(run.table) if run.rebuild else delta.NO_TABLE
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
    _check_rejected(run, counts, outcome.dead_letters)
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
        "left_out": {
            "count": planned.left_out_count,
            "first": [
                {"path": storage.shown(path), "reason": reason} for path, reason in planned.left_out
            ],
        },
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
        "first_reject": _first_reject(counts, outcome.dead_letters),
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
        published = commits.commit(
            run.table, planned.version, run.id, add, remove, rebuild=run.rebuild
        )
    after = settling.settle(run.table, run.keep_seconds)
    record["version"] = after.version
    record["wall_seconds"] = round(time.time() - planned.began, 3)
    record["seconds"] |= {"commit": round(time.perf_counter() - started, 3)}
    record = journal.keep(run.table, run.id, run.staging, staged, published, after)
    _remove_staged(run)
    return record


def _check_rejected(run: Run, counts: Counter[str], dead_letters: Sequence[str]) -> None:
    """Refuses a run that rejects too much; its dead letters are kept for a person to look at."""
    rejected, records = counts["read.rejected"], counts["read.events"]
    if run.max_rejected is None or run.max_rejected.allows(rejected, records):
        return
    journal.keep_rejects_only(run.root, run.id, dead_letters)
    reasons = {
        name.removeprefix("read.rejected."): count
        for name, count in sorted(counts.items())
        if name.startswith("read.rejected.")
    }
    reason = max(reasons, key=lambda name: reasons[name])
    raise TooManyRejectedError(
        f"nothing was published: {rejected:,} of {records:,} records"
        f" ({100 * rejected / records:.3g}%) were rejected, --max-rejected"
        f" {run.max_rejected.text} allows no more than that; most often: {reason}"
        f" ({reasons[reason]:,}); see {journal.rejects_path(run.root, run.id)}"
    )


def _first_reject(counts: Counter[str], dead_letters: Sequence[str]) -> str | None:
    """Returns the message of the first dead letter where a run has nothing else."""
    if not dead_letters or counts["read.rejected"] < counts["read.events"]:
        return None
    with storage.open_read(min(dead_letters)) as letters:
        letter = msgspec.json.decode(letters.readline())
    return f"{letter['reason']}: {letter['message']}"


def _remove_staged(run: Run) -> None:
    storage.delete_tree(run.staging, places.boundary(run.root, run.staging))
