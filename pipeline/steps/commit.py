"""Committing a run: the sums are checked, then the run becomes the table in one commit.

The order makes a kill at any point harmless: check, stage the journal, commit, settle the files,
keep the journal (dead letters, ledger, summary), remove what was staged. The commit alone decides:
what comes before it is invisible, what comes after it is repeated, or done by the next run.
"""

import datetime
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from pipeline import storage
from pipeline.bookkeeping import journal, places, summary
from pipeline.bookkeeping.summary import RunSummary
from pipeline.catalogue import merging, nodes
from pipeline.catalogue.nodes import Catalogue
from pipeline.errors import EventsiftError
from pipeline.input import contracts, fields
from pipeline.input.counts import together
from pipeline.keys.partitions import directory
from pipeline.run import Run
from pipeline.steps.plan import Plan
from pipeline.steps.tally import Tally, add_up, breaches_of, days_of, disagreements
from pipeline.steps.write import Written
from pipeline.table import commits, delta, settling
from pipeline.table.datafiles import DataFile

# What a run's summary names of the rules that were broken.
_BREACHES_LIMIT = 1000


class ReconciliationError(EventsiftError):
    """The steps' counts do not agree, so nothing was published."""


class TooManyPartitionsError(EventsiftError):
    """The run would write more partitions than its limit allows."""


class TooManyRejectedError(EventsiftError):
    """The run has rejected more records than its limit allows."""


class BrokenContractError(EventsiftError):
    """Events have broken their contract, and the run was to fail then."""


class Outcome(NamedTuple):
    """All that the steps before have to say.

    Attributes:
        plans: The run's plan; more than one, or none, if the runner has erred.
        tallies: Of every call of every step.
        written: Of every destination with new or replaced files.
        dead_letters: Staged files with rejects.
        catalogues: What was seen in samples of the events, encoded.
    """

    plans: Sequence[Plan]
    tallies: Sequence[Tally]
    written: Sequence[Written]
    dead_letters: Sequence[str]
    catalogues: Sequence[bytes] = ()

    def catalogue(self) -> Catalogue:
        """What was seen in the events."""
        return merging.merge_all(map(nodes.decode, self.catalogues))


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
    change = _change(run, outcome, live)
    counts, seconds = add_up(outcome.tallies)
    counts.update(change.counts(outcome))
    catalogue = outcome.catalogue()
    counts["commit.sampled"] += catalogue.payloads
    if wrong := disagreements(counts):
        raise ReconciliationError(
            f"nothing was published, the counts disagree: {'; '.join(wrong)}{_changed(counts)}"
        )
    _check_contract(run, counts, outcome)
    _check_rejected(run, counts, outcome.dead_letters)
    _check_partitions(run, change)
    found = _summary(run, outcome, change, counts, seconds)
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


class _Change(NamedTuple):
    """What a run is about to change in the table.

    Attributes:
        add: New data files.
        replaced: Live files whose rows are superseded, or in `add`.
        remove: All live files that leave the table: `replaced`, or every one in a rebuild.
    """

    add: Sequence[DataFile]
    replaced: Sequence[DataFile]
    remove: Sequence[DataFile]

    @property
    def partitions(self) -> set[str]:
        """The partitions that get new files."""
        return {directory(file.destination) for file in self.add}

    @property
    def types_written_only(self) -> list[tuple[str, str]]:
        """The types that get new files and lose none; if the table has no others, they are new."""
        written, lost = (
            {file.destination[:2] for file in files} for files in (self.add, self.remove)
        )
        return sorted(written - lost)

    def counts(self, outcome: Outcome) -> dict[str, int]:
        """Returns what the commit has to say, for `disagreements`."""
        return {
            "commit.files": len(self.add),
            "commit.replaced": len(self.replaced),
            "commit.dead_letter_files": len(outcome.dead_letters),
            "commit.rows_added": sum(file.rows for file in self.add),
            "commit.rows_replaced": sum(file.rows for file in self.replaced),
        }


def _change(run: Run, outcome: Outcome, live: Sequence[DataFile]) -> _Change:
    """Returns what the steps before have prepared, given the table's live files."""
    add = [file for written in outcome.written for file in written.files]
    replaced = [file for written in outcome.written for file in written.replaced]
    return _Change(add, replaced, live if run.rebuild and add else replaced)


def _summary(
    run: Run,
    outcome: Outcome,
    change: _Change,
    counts: Counter[str],
    seconds: Mapping[str, float],
) -> RunSummary:
    """Returns the summary as far as it is known before the commit."""
    (planned,) = outcome.plans
    changes = bool(change.add or change.remove)
    left_out = [
        summary.LeftOutFile(storage.shown(path), reason) for path, reason in planned.left_out
    ]
    horizon = None
    if run.dedup_days is not None:
        horizon = summary.Horizon(
            run.dedup_days, counts["scan.files_passed_over"], counts["scan.rows_passed_over"]
        )
    lost = {directory(file.destination) for file in change.remove}
    return RunSummary(
        run=run.id,
        output=run.root,
        version=planned.version + changes,
        published=changes,
        rebuild=run.rebuild,
        field_map=fields.shown(planned.layout.fields),
        files=summary.Files(planned.matched, planned.skipped),
        left_out=summary.LeftOut(planned.left_out_count, left_out),
        bytes=counts["read.bytes"],
        events=summary.Events(
            read=counts["read.events"],
            kept=counts["write.kept"],
            superseded=counts["latest.superseded_events"],
            exact_duplicates=counts["latest.exact_duplicate_events"],
            rejected=counts["read.rejected"],
        ),
        rejected=_reasons(counts),
        first_reject=_first_reject(counts, outcome.dead_letters),
        rejects=journal.rejects_path(run.root, run.id) if outcome.dead_letters else None,
        horizon=horizon,
        contract=_contract(run, counts, outcome.tallies),
        table=summary.TableChange(
            replaced_rows=counts["latest.superseded"] - counts["latest.superseded_events"],
            partitions_written=len(change.partitions),
            partitions_touched=len(change.partitions | lost),
            files_written=len(change.add),
            files_replaced=len(change.remove),
        ),
        new_types=change.types_written_only,
        wall_seconds=round(time.time() - planned.began, 3),
        seconds={step: round(total, 3) for step, total in seconds.items()},
        counts=dict(sorted(counts.items())),
        lateness=_lateness(planned.began, outcome.tallies),
        versions_apart=summary.spread(days_of("latest", outcome.tallies)),
    )


def _lateness(began: float, tallies: Sequence[Tally]) -> summary.Spread | None:
    """Returns how many days before the run the events happened, by their dates in UTC."""
    today = datetime.datetime.fromtimestamp(began, datetime.timezone.utc).date().toordinal()
    days = days_of("read", tallies)
    return summary.spread({today - day: events for day, events in days.items()})


def _reasons(counts: Counter[str]) -> dict[str, int]:
    """Returns the rejected records by reason, sorted by reason."""
    prefix = "read.rejected."
    return {
        name.removeprefix(prefix): count
        for name, count in sorted(counts.items())
        if name.startswith(prefix)
    }


def _check_partitions(run: Run, change: _Change) -> None:
    """Refuses a run that would write more partitions than it may."""
    if (number := len(change.partitions)) > run.max_partitions:
        raise TooManyPartitionsError(
            f"nothing was published: the run has {number:,} partitions, the limit is"
            f" {run.max_partitions:,}; raise it with --max-partitions"
        )


def _changed(counts: Mapping[str, int]) -> str:
    """Returns the way out if files have changed under the run, as the end of a sentence."""
    if counts["read.blocks"] != counts["plan.blocks"]:  # the runner has lost some
        return ""
    if counts["read.bytes"] == counts["plan.bytes"]:
        return ""
    return "; an input file has changed while it was read: run again when it is complete"


def _contract(run: Run, counts: Counter[str], tallies: Sequence[Tally]) -> summary.Contract | None:
    """Returns how the events have kept to their contract; None if there is none."""
    if run.contract is None:
        return None
    found = sorted(breaches_of(tallies).items(), key=lambda item: (-item[1].events, item[0]))
    return summary.Contract(
        mode=run.contract.mode,
        types=len(run.contract.schemas),
        checked=counts["read.checked"],
        broken=counts["read.broken"],
        breaches=[summary.Breach(*rule, *broken) for rule, broken in found[:_BREACHES_LIMIT]],
    )


def _check_contract(run: Run, counts: Counter[str], outcome: Outcome) -> None:
    """Refuses a run whose events break their contract, if it was asked for."""
    contract = _contract(run, counts, outcome.tallies)
    if contract is None or contract.mode != contracts.FAIL or not contract.broken:
        return
    journal.keep_rejects_only(run.root, run.id, outcome.dead_letters)
    first = contract.breaches[0]
    raise BrokenContractError(
        f"nothing was published: {contract.broken:,} of {contract.checked:,} events break their"
        f" contract; most often {first.domain}/{first.event_type} at {first.path}: {first.rule}"
        f" ({first.events:,}), such as: {first.example}; see"
        f" {journal.rejects_path(run.root, run.id)}"
    )


def _check_rejected(run: Run, counts: Counter[str], dead_letters: Sequence[str]) -> None:
    """Refuses a run that rejects too much; its dead letters are kept for a person to look at."""
    rejected, records = counts["read.rejected"], counts["read.events"]
    if run.max_rejected is None or run.max_rejected.allows(rejected, records):
        return
    journal.keep_rejects_only(run.root, run.id, dead_letters)
    reasons = _reasons(counts)
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
