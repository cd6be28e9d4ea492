"""How late events come, and how far apart the versions of one event are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.amounts import counted
from pipeline.bookkeeping.summary import DAYS, RunSummary, Spread
from pipeline.page import words

_MOST_SHARE = 0.9
_YEARS = {730: "1 to 2 years", 3650: "2 to 10 years"}


class Delay(NamedTuple):
    """The events of one class: those that came so late.

    Attributes:
        label: How late.
        events: In all runs.
        last: In the last run.
    """

    label: str
    events: int
    last: int


class Delays(NamedTuple):
    """How late events come.

    Attributes:
        runs: How many runs tell it.
        delays: The classes, from the earliest to the latest.
        events: The sum over all classes.
        sentences: What it means.
        dedup: What ``--dedup-days`` would have been safe.
    """

    runs: int
    delays: Sequence[Delay]
    events: int
    sentences: Sequence[str]
    dedup: str

    @property
    def most(self) -> int:
        """The events of the largest class."""
        return max((delay.events for delay in self.delays), default=0)


def delays(runs: Sequence[RunSummary]) -> Delays | None:
    """Returns how late the events of some runs came; None if none of them tells.

    A rebuild reads what came long ago, so it tells nothing.
    """
    telling = [run for run in runs if run.lateness is not None and not run.rebuild]
    if not telling:
        return None
    spreads = [run.lateness for run in telling if run.lateness is not None]
    total, last = _sum(spreads), _sum(spreads[-1:])
    borders = sorted({*DAYS, *total})
    used = [index for index, border in enumerate(borders) if total[border]]
    shown = borders[used[0] : used[-1] + 1] if used else []
    found = [
        Delay(_label(border, borders[borders.index(border) - 1]), total[border], last[border])
        for border in shown
    ]
    sentences = list(_sentences(total, spreads, len(telling)))
    return Delays(len(telling), found, total.total(), sentences, dedup(runs))


def _sum(spreads: Iterable[Spread]) -> Counter[int]:
    total: Counter[int] = Counter()
    for spread in spreads:
        for border, events in spread.up_to.items():
            total[border if border in DAYS else DAYS[-1] + 1] += events
    return total


def _label(border: int, before: int) -> str:
    if border < 0:
        return "dated in the future"
    if border == 0:
        return "same day"
    if border > DAYS[-1]:
        return "over 10 years"
    if border in _YEARS:
        return _YEARS[border]
    return counted(border, "day") if border == before + 1 else f"{before + 1} to {border} days"


def _sentences(total: Counter[int], spreads: Sequence[Spread], runs: int) -> Iterable[str]:
    events = total.total()
    if not events:
        return
    reached, most = 0, max(spread.most for spread in spreads)
    for border in sorted(total):
        reached += total[border]
        if reached >= _MOST_SHARE * events:
            break
    if border > DAYS[-1]:
        yield "Most events were more than ten years old when they came."
    elif border <= 0:
        yield (
            f"At least nine in ten of the {counted(events, 'event')} of {counted(runs, 'run')} came"
            " on their own date, or before it."
        )
    else:
        within = min(border, max(most, 0))
        yield (
            f"At least nine in ten of the {counted(events, 'event')} of {counted(runs, 'run')} came"
            f" within {counted(within, 'day')} of their date; the last came"
            f" {counted(max(most, 0), 'day')} after it."
        )
    least = min(spread.least for spread in spreads)
    if least < 0:
        yield (
            f"{counted(total[-1], 'event')} came before the date in the timestamp, by up to"
            f" {counted(-least, 'day')}: a clock or a time zone may be wrong."
        )


def dedup(runs: Sequence[RunSummary]) -> str:
    """Returns the sentence on what ``--dedup-days`` some runs could have done with."""
    spreads = [run.versions_apart for run in runs if run.versions_apart is not None]
    limits = sorted({run.horizon.days for run in runs if run.horizon is not None})
    if not spreads:
        return (
            "No event came in more than one version, so these runs do not tell what --dedup-days"
            " would be safe."
        )
    most = max(spread.most for spread in spreads)
    versions = sum(sum(spread.up_to.values()) for spread in spreads)
    text = (
        f"The versions of one event were at most {counted(most, 'day')} apart"
        f" ({counted(versions, 'older version')} or copies in {counted(len(spreads), 'run')}), so"
        f" --dedup-days {most} would have been safe so far; leave room for what may still come."
    )
    if limits:
        given = words.listed([str(days) for days in limits])
        text += f" Runs with --dedup-days {given} did not search the table any further."
    return text
