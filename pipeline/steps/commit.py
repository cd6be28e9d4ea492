"""Committing a run: the sums are checked, then the run becomes the table in one commit.

The order makes a kill at any point harmless: check, stage the journal, commit, settle the files,
keep the journal (dead letters, ledger, summary), remove what was staged. The commit alone decides:
what comes before it is invisible, what comes after it is repeated, or done by the next run.
"""

import time

import msgspec

from pipeline import storage
from pipeline.bookkeeping import journal, places
from pipeline.bookkeeping.summary import RunSummary
from pipeline.input.counts import together
from pipeline.run import Run
from pipeline.steps.checks import ReconciliationError, check
from pipeline.steps.outcome import Outcome, change_of
from pipeline.steps.summing_up import sum_up
from pipeline.steps.tally import add_up
from pipeline.table import commits, delta, settling


def commit(run: Run, outcome: Outcome) -> RunSummary:
    """Publishes a run: checks, commits, settles and records it.

    Idempotent: a repeated call, as runners make it, returns the stored summary.

    Returns:
        The run's summary, which is also stored as JSON; see `journal`.

    Raises:
        ReconciliationError, TooManyPartitionsError, TooManyRejectedError, BrokenContractError:
            Nothing was published.
        datafiles.ConflictError: Another run was faster.
        datafiles.TableError: The table cannot be written.
    """
    started = time.perf_counter()
    done = journal.recorded(run.root, run.id, run.id)
    if done is not None:
        _remove_staged(run)
        return done
    if len(outcome.plans) != 1:
        raise ReconciliationError(
            f"nothing was published: the run has {len(outcome.plans)} plans, it must have one"
        )
    (planned,) = outcome.plans
    snapshot = delta.load(run.table) if run.rebuild else delta.NO_TABLE
    # If another run has committed, the commit below is refused, whatever it would remove.
    live = snapshot.files if snapshot.version == planned.version else ()
    change = change_of(run, outcome, live)
    counts, seconds = add_up(outcome.tallies)
    counts.update(change.counts(outcome))
    catalogue = outcome.catalogue()
    counts["commit.sampled"] += catalogue.payloads
    check(run, outcome, change, counts)
    found = sum_up(run, outcome, change, counts, seconds)
    staged = journal.make(
        found, run.staging, planned.inputs, outcome.dead_letters, planned.table, catalogue
    )
    staged = journal.with_counts(staged, together(tally.files for tally in outcome.tallies))
    journal.stage(staged, run.staging)
    published = -1
    if change.add or planned.version >= 0:  # no valid event and no table: none is made
        published = commits.commit(
            run.table,
            planned.version,
            run.id,
            change.add,
            change.remove,
            rebuild=run.rebuild,
            layout=planned.layout if run.rebuild or planned.version < 0 else None,
        )
    after = settling.settle(run.table, run.keep_seconds)
    complete = msgspec.structs.replace(
        found,
        version=after.version,
        wall_seconds=round(time.time() - planned.began, 3),
        seconds=found.seconds | {"commit": round(time.perf_counter() - started, 3)},
    )
    kept = journal.keep(
        run.table,
        run.id,
        run.staging,
        msgspec.structs.replace(staged, summary=complete),
        published,
        after,
    )
    _remove_staged(run)
    return kept


def _remove_staged(run: Run) -> None:
    storage.delete_tree(run.staging, places.boundary(run.root, run.staging))
