"""The summary of a run, made of the counts of its steps."""

import datetime
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from pipeline import storage
from pipeline.bookkeeping import journal, summary
from pipeline.bookkeeping.summary import RunSummary
from pipeline.input import fields
from pipeline.input.contracts import Contract
from pipeline.keys.partitions import directory
from pipeline.run import Run
from pipeline.steps.outcome import Change, Outcome
from pipeline.steps.tally import Tally, breaches_of, days_of

# What a run's summary names of the rules that were broken.
_BREACHES_LIMIT = 1000


def sum_up(
    run: Run,
    outcome: Outcome,
    change: Change,
    counts: Counter[str],
    seconds: Mapping[str, float],
) -> RunSummary:
    """Returns the summary as far as it is known before the commit.

    Args:
        run: The run.
        outcome: What the steps have to say.
        change: What is about to change.
        counts: The sums of the steps' counts; see `tally`.
        seconds: The time of each step.
    """
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
        rejected=reasons_of(counts),
        first_reject=_first_reject(counts, outcome.dead_letters),
        rejects=journal.rejects_path(run.root, run.id) if outcome.dead_letters else None,
        horizon=horizon,
        contract=contract_of(run.contract, counts, outcome.tallies) if run.contract else None,
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


def _first_reject(counts: Counter[str], dead_letters: Sequence[str]) -> str | None:
    """Returns the message of the first dead letter where a run has nothing else."""
    if not dead_letters or counts["read.rejected"] < counts["read.events"]:
        return None
    with storage.open_read(min(dead_letters)) as letters:
        letter = msgspec.json.decode(letters.readline())
    return f"{letter['reason']}: {letter['message']}"


def reasons_of(counts: Counter[str]) -> dict[str, int]:
    """Returns the rejected records by reason, sorted by reason."""
    prefix = "read.rejected."
    return {
        name.removeprefix(prefix): count
        for name, count in sorted(counts.items())
        if name.startswith(prefix)
    }


def contract_of(
    contract: Contract, counts: Counter[str], tallies: Sequence[Tally]
) -> summary.Contract:
    """Returns how the events have kept to their contract."""
    found = sorted(breaches_of(tallies).items(), key=lambda item: (-item[1].events, item[0]))
    return summary.Contract(
        mode=contract.mode,
        types=len(contract.schemas),
        checked=counts["read.checked"],
        broken=counts["read.broken"],
        breaches=[summary.Breach(*rule, *broken) for rule, broken in found[:_BREACHES_LIMIT]],
    )
