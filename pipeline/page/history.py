"""What runs did, one after the other: events, duplicates, rejects, and the time by step."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.amounts import duration
from pipeline.bookkeeping.summary import RunSummary
from pipeline.page import words

# As many bars as a phone can show; beyond it, several runs share one.
BARS = 60
STEPS = {
    "plan": "plan the run",
    "read": "read and stage events",
    "scan": "search the table",
    "latest": "find the latest versions",
    "write": "write files",
    "commit": "commit and settle",
}


class Series(NamedTuple):
    """One row of bars.

    Attributes:
        label: What is shown.
        values: A number for each bar.
        last: The last one, as text.
        most: The greatest one, as text.
        scale: The value of a bar of full height.
    """

    label: str
    values: Sequence[float]
    last: str
    most: str
    scale: float


class Bar(NamedTuple):
    """The runs behind one bar, added up.

    Attributes:
        when: When the first of them began.
        runs: How many they are.
        version: The table's, after the last of them.
        files: Files read.
        bytes: Bytes read.
        read: Records read; kept, superseded, exact_duplicates and rejected add up to it.
        kept: See `read`.
        superseded: See `read`.
        exact_duplicates: See `read`.
        rejected: See `read`.
        wall: Seconds from plan to commit, of a run on average.
        seconds: By step, added up over all cores, of a run on average.
    """

    when: str
    runs: int
    version: int
    files: int
    bytes: int
    read: int
    kept: int
    superseded: int
    exact_duplicates: int
    rejected: int
    wall: float
    seconds: dict[str, float]


class History(NamedTuple):
    """What runs did.

    Attributes:
        bars: The oldest first.
        runs: How many runs they stand for.
        idle: How many runs found nothing to read; they have no bar.
        outcomes: Events, and the shares that were superfluous or no events.
        times: From plan to commit, and by step.
    """

    bars: Sequence[Bar]
    runs: int
    idle: int
    outcomes: Sequence[Series]
    times: Sequence[Series]


def history(runs: Sequence[RunSummary]) -> History | None:
    """Returns what runs did; None if none of them has read a file."""
    reading = [run for run in runs if run.files.read]
    if not reading:
        return None
    size = -(-len(reading) // BARS)
    # From the end, so that the newest bar is complete.
    starts = range(len(reading) % size - size if len(reading) % size else 0, len(reading), size)
    bars = [_bar(reading[max(0, start) : start + size]) for start in starts]
    return History(bars, len(reading), len(runs) - len(reading), _outcomes(bars), _times(bars))


def _bar(runs: Sequence[RunSummary]) -> Bar:
    events = [run.events for run in runs]
    steps = dict.fromkeys(itertools.chain.from_iterable(run.seconds for run in runs))
    return Bar(
        when=words.began(runs[0].run),
        runs=len(runs),
        version=runs[-1].version,
        files=sum(run.files.read for run in runs),
        bytes=sum(run.bytes for run in runs),
        read=sum(some.read for some in events),
        kept=sum(some.kept for some in events),
        superseded=sum(some.superseded for some in events),
        exact_duplicates=sum(some.exact_duplicates for some in events),
        rejected=sum(some.rejected for some in events),
        wall=sum(run.wall_seconds for run in runs) / len(runs),
        seconds={
            step: sum(run.seconds.get(step, 0.0) for run in runs) / len(runs) for step in steps
        },
    )


def _outcomes(bars: Sequence[Bar]) -> list[Series]:
    return [
        _series("events read", [bar.read for bar in bars], lambda value: f"{value:,.0f}"),
        _series(
            "superseded by a later version",
            [_share(bar.superseded, bar) for bar in bars],
            lambda value: words.share(value, 1),
        ),
        _series(
            "exact duplicates",
            [_share(bar.exact_duplicates, bar) for bar in bars],
            lambda value: words.share(value, 1),
        ),
        _series(
            "rejected",
            [_share(bar.rejected, bar) for bar in bars],
            lambda value: words.share(value, 1),
        ),
    ]


def _share(part: int, bar: Bar) -> float:
    return part / bar.read if bar.read else 0.0


def _times(bars: Sequence[Bar]) -> list[Series]:
    wall = _series("from plan to commit", [bar.wall for bar in bars], duration)
    steps = {
        label: [bar.seconds.get(step, 0.0) for bar in bars]
        for step, label in STEPS.items()
        if any(bar.seconds.get(step) for bar in bars)
    }
    scale = max(itertools.chain.from_iterable(steps.values()), default=0.0)
    return [wall, *(_series(label, values, duration, scale) for label, values in steps.items())]


def _series(
    label: str, values: Sequence[float], text: Callable[[float], str], scale: float | None = None
) -> Series:
    most = max(values)
    return Series(label, values, text(values[-1]), text(most), most if scale is None else scale)
