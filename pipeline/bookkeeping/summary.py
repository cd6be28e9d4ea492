"""The summary of a run: what it read, what it did to the table, and how long it took.

It is stored as JSON beside the table. Its fields are a public format: fields may be added, none is
renamed.
"""

from collections.abc import Mapping

import msgspec

from pipeline.catalogue.changes import TypeChange

# Up to this many days; what lies beyond the last one is in a class of its own, up to `Spread.most`.
# Negative days lie in the future.
DAYS = (-1, 0, 1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180, 365, 730, 3650)


class Files(msgspec.Struct, frozen=True):
    """The files that the patterns match.

    Attributes:
        matched: All of them that can be read.
        skipped: Those that were published before.
    """

    matched: int
    skipped: int

    @property
    def read(self) -> int:
        """Those that the run has read."""
        return self.matched - self.skipped


class LeftOutFile(msgspec.Struct, frozen=True):
    """A file that cannot be read, and why."""

    path: str
    reason: str


class LeftOut(msgspec.Struct, frozen=True):
    """The files that cannot be read: how many, and the first of them."""

    count: int = 0
    first: list[LeftOutFile] = []


class Events(msgspec.Struct, frozen=True):
    """What became of the records: `read` is the sum of the others."""

    read: int
    kept: int
    superseded: int
    exact_duplicates: int
    rejected: int


class Horizon(msgspec.Struct, frozen=True):
    """What ``--dedup-days`` has spared the run: live files, and rows in them, not searched."""

    days: int
    files_not_searched: int
    rows_not_searched: int


class Breach(msgspec.Struct, frozen=True):
    """A rule of a contract that events have broken.

    Attributes:
        domain: Their domain.
        event_type: Their event_type.
        path: Where in their data, as a JSON path; "…" for all further places.
        rule: The keyword of the JSON Schema.
        events: How many have broken it.
        example: What is said of one of them.
    """

    domain: str
    event_type: str
    path: str
    rule: str
    events: int
    example: str


class Contract(msgspec.Struct, frozen=True):
    """How the events have kept to ``--contract``.

    Attributes:
        mode: What becomes of events that break it.
        types: How many types of events have a contract.
        checked: Events of these types.
        broken: How many of them break a rule.
        breaches: What they break, the most frequent first; not more than a thousand.
    """

    mode: str
    types: int
    checked: int
    broken: int
    breaches: list[Breach] = []


class TableChange(msgspec.Struct, frozen=True):
    """The table after the run, and what the run has changed in it.

    Attributes:
        rows: In the table, as are files, bytes and partitions; known after the commit.
        files: See `rows`.
        bytes: See `rows`.
        partitions: See `rows`.
        replaced_rows: Older versions that have left the table.
        partitions_written: Partitions with new files.
        partitions_touched: Those, and partitions that have only lost files.
        files_written: New files.
        files_replaced: Files that have left the table.
    """

    rows: int = 0
    files: int = 0
    bytes: int = 0
    partitions: int = 0
    replaced_rows: int = 0
    partitions_written: int = 0
    partitions_touched: int = 0
    files_written: int = 0
    files_replaced: int = 0


class Spread(msgspec.Struct, frozen=True):
    """How events are spread over numbers of days.

    Attributes:
        least: The smallest number of days.
        most: The greatest.
        up_to: Events by the greatest number of days of their class: one of `DAYS`, or `most`.
    """

    least: int
    most: int
    up_to: dict[int, int]


def spread(days: Mapping[int, int]) -> Spread | None:
    """Returns how events are spread; None if there are none.

    Args:
        days: Events by their number of days.
    """
    if not days:
        return None
    least, most = min(days), max(days)
    up_to: dict[int, int] = {}
    for number, events in sorted(days.items()):
        border = next((border for border in DAYS if number <= border), most)
        up_to[border] = up_to.get(border, 0) + events
    return Spread(least, most, up_to)


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of one run.

    Attributes:
        run: The run's id.
        output: The table.
        version: The table's version after the run.
        published: Whether the run has changed the table.
        rebuild: Whether the run has made the table anew.
        field_map: Where the fields of events are in the input, as ``--fields`` has it; "" if they
            have their own names.
        files: The files that the patterns match.
        left_out: The files that cannot be read.
        bytes: Bytes of input, as stored.
        events: What became of the records.
        rejected: Rejected records by reason.
        first_reject: Reason and message of the first reject of a run that has nothing else.
        rejects: The file with the dead letters; None if there are none.
        horizon: None without ``--dedup-days``.
        contract: None without ``--contract``.
        table: The table, and what has changed in it.
        new_types: Domain and event_type of the events of which the table had none before.
        wall_seconds: From the beginning of the plan to the end of the commit.
        seconds: By step, added up over all cores.
        counts: All tallies, by step and name.
        lateness: Events by the days from their date to the run's; None where none was valid.
        versions_apart: Versions that are not the latest, of the delivery and of what was searched
            in the table, by the days from their date to that of the latest; None if there are none.
        fields: How the fields of `data` have changed since the runs before, by a sample.
    """

    run: str
    output: str
    version: int
    published: bool
    rebuild: bool
    field_map: str = ""
    files: Files
    left_out: LeftOut = LeftOut()
    bytes: int
    events: Events
    rejected: dict[str, int]
    first_reject: str | None = None
    rejects: str | None = None
    horizon: Horizon | None = None
    contract: Contract | None = None
    table: TableChange
    new_types: list[tuple[str, str]] = []
    wall_seconds: float
    seconds: dict[str, float]
    counts: dict[str, int]
    lateness: Spread | None = None
    versions_apart: Spread | None = None
    fields: list[TypeChange] = []

    @property
    def all_rejected(self) -> bool:
        """Whether the run has read records, and rejected every one."""
        return bool(self.events.read) and self.events.read == self.events.rejected


def encode(summary: RunSummary) -> bytes:
    """Returns a summary as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(summary))


def decode(content: bytes) -> RunSummary:
    """Returns the summary that `encode` was given.

    Raises:
        msgspec.MsgspecError: It is not JSON, or not a run's summary.
    """
    return msgspec.json.decode(content, type=RunSummary)
