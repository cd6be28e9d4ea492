"""What a run must fulfil before it becomes the table."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.bookkeeping import journal
from pipeline.errors import EventsiftError
from pipeline.input import contracts
from pipeline.run import Run
from pipeline.steps.outcome import Change, Outcome
from pipeline.steps.summing_up import contract_of, reasons_of
from pipeline.steps.tally import disagreements


class ReconciliationError(EventsiftError):
    """The steps' counts do not agree, so nothing was published."""


class TooManyPartitionsError(EventsiftError):
    """The run would write more partitions than its limit allows."""


class TooManyRejectedError(EventsiftError):
    """The run has rejected more records than its limit allows."""


class BrokenContractError(EventsiftError):
    """Events have broken their contract, and the run was to fail then."""


def check(run: Run, outcome: Outcome, change: Change, counts: Counter[str]) -> None:
    """Refuses a run that must not be published.

    Args:
        run: The run.
        outcome: What its steps have to say.
        change: What is about to change.
        counts: The sums of the steps' counts; see `tally`.

    Raises:
        ReconciliationError, TooManyPartitionsError, TooManyRejectedError, BrokenContractError:
            Nothing is to be published.
    """
    if wrong := disagreements(counts):
        raise ReconciliationError(
            f"nothing was published, the counts disagree: {'; '.join(wrong)}{_changed(counts)}"
        )
    _check_contract(run, counts, outcome)
    _check_rejected(run, counts, outcome.dead_letters)
    _check_partitions(run, change)


def _changed(counts: Mapping[str, int]) -> str:
    """Returns the way out if files have changed under the run, as the end of a sentence."""
    if counts["read.blocks"] != counts["plan.blocks"]:  # the runner has lost some
        return ""
    if counts["read.bytes"] == counts["plan.bytes"]:
        return ""
    return "; an input file has changed while it was read: run again when it is complete"


def _check_contract(run: Run, counts: Counter[str], outcome: Outcome) -> None:
    """Refuses a run whose events break their contract, if it was asked for."""
    if run.contract is None or run.contract.mode != contracts.FAIL or not counts["read.broken"]:
        return
    contract = contract_of(run.contract, counts, outcome.tallies)
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
    reasons = reasons_of(counts)
    reason = max(reasons, key=lambda name: reasons[name])
    raise TooManyRejectedError(
        f"nothing was published: {rejected:,} of {records:,} records"
        f" ({100 * rejected / records:.3g}%) were rejected, --max-rejected"
        f" {run.max_rejected.text} allows no more than that; most often: {reason}"
        f" ({reasons[reason]:,}); see {journal.rejects_path(run.root, run.id)}"
    )


def _check_partitions(run: Run, change: Change) -> None:
    """Refuses a run that would write more partitions than it may."""
    if (number := len(change.partitions)) > run.max_partitions:
        raise TooManyPartitionsError(
            f"nothing was published: the run has {number:,} partitions, the limit is"
            f" {run.max_partitions:,}; raise it with --max-partitions"
        )
