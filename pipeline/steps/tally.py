"""Tallies: what each step counted, and whether the sums agree.

Every hop between two steps is counted on both sides. The counts travel as data, not as Beam
metrics (which a retried bundle counts twice), and nothing is published unless all of them agree:
a runner that loses or doubles a single element is noticed. One of Beam's local modes does so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.input import contracts
from pipeline.input.contracts import Breach, Breaches, Broken


class Tally(NamedTuple):
    """What one call of a step counted.

    Attributes:
        step: plan, read, scan, latest, route, write or commit.
        counts: By name; see `EQUATIONS`.
        seconds: What the call took.
        days: Events by a number of days, for the run's summary; no equation uses them. Of read: by
            the day of the event, see `partitions.day_number`. Of latest: by how many days they are
            older than the latest version.
        breaches: What events of a block break of their contracts, for the run's summary.
        files: What each file of a block had, for the ledger; see `counts`, the module.
    """

    step: str
    counts: dict[str, int]
    seconds: float
    days: Mapping[int, int] = {}
    breaches: Mapping[Breach, Broken] = {}
    files: bytes = b""


class Sums(NamedTuple):
    """All tallies of a run added up: counts by "step.name", and seconds by step."""

    counts: Counter[str]
    seconds: dict[str, float]


def add_up(tallies: Iterable[Tally]) -> Sums:
    """The sums of the tallies of a run."""
    counts: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for tally in tallies:
        for name, count in tally.counts.items():
            counts[f"{tally.step}.{name}"] += count
        seconds[tally.step] = seconds.get(tally.step, 0.0) + tally.seconds
    return Sums(counts, seconds)


def days_of(step: str, tallies: Iterable[Tally]) -> Counter[int]:
    """Returns the days that a step has counted, added up."""
    days: Counter[int] = Counter()
    for tally in tallies:
        if tally.step == step:
            days.update(tally.days)
    return days


def breaches_of(tallies: Iterable[Tally]) -> Breaches:
    """Returns what events break of their contracts, added up."""
    found: Breaches = {}
    for tally in tallies:
        contracts.add(found, tally.breaches)
    return found


# What must be equal before a run is published: (what it says, one side, other side). A side is a
# sum of counts.
EQUATIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("blocks planned = blocks read", ("plan.blocks",), ("read.blocks",)),
    ("bytes planned = bytes read", ("plan.bytes",), ("read.bytes",)),
    ("live files planned = live files scanned", ("plan.live_files",), ("scan.live_files",)),
    ("live files planned = live files routed", ("plan.live_files",), ("route.live_files",)),
    (
        "blocks planned, for each live file = blocks it was compared with",
        ("plan.comparisons",),
        ("scan.comparisons",),
    ),
    ("blocks read = blocks routed", ("read.blocks",), ("route.blocks",)),
    ("slices staged = slices routed", ("read.slices",), ("route.slices",)),
    ("slices routed = slices written", ("route.slices",), ("write.slices",)),
    (
        "live files routed = live files written or left as they are",
        ("route.live_files",),
        ("write.live_files", "route.live_files_left"),
    ),
    (
        "versions sent = versions combined",
        ("read.versions", "scan.versions"),
        ("latest.versions",),
    ),
    (
        "superseded found = superseded routed",
        ("latest.superseded", "latest.exact_duplicates"),
        ("route.superseded",),
    ),
    (
        "superseded routed = superseded left out",
        ("route.superseded",),
        ("write.superseded",),
    ),
    ("events sampled = events in the catalogue", ("read.sampled",), ("commit.sampled",)),
    ("files written = files committed", ("write.files",), ("commit.files",)),
    ("files replaced = files removed", ("write.replaced",), ("commit.replaced",)),
    (
        "dead letter files written = dead letter files kept",
        ("read.dead_letter_files",),
        ("commit.dead_letter_files",),
    ),
    (
        "rows written = rows replaced + events kept - rows superseded in the table",
        ("commit.rows_added", "latest.superseded", "latest.exact_duplicates"),
        (
            "commit.rows_replaced",
            "write.kept",
            "latest.superseded_events",
            "latest.exact_duplicate_events",
        ),
    ),
    (
        "events read = kept + superseded + exact duplicates + rejected",
        ("read.events",),
        (
            "write.kept",
            "latest.superseded_events",
            "latest.exact_duplicate_events",
            "read.rejected",
        ),
    ),
)


def disagreements(counts: Counter[str]) -> list[str]:
    """The equations that do not hold, each with its numbers; empty if a run may be published."""
    found = []
    for rule, left, right in EQUATIONS:
        sums = [sum(counts[name] for name in side) for side in (left, right)]
        if sums[0] != sums[1]:
            found.append(f"{rule}: {sums[0]:,} is not {sums[1]:,}")
    return found
