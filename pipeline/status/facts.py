"""What a status tells: the structures that ``--json`` prints (docs/operations.md)."""

import msgspec


class Size(msgspec.Struct, frozen=True):
    """The data files of some sizes.

    Attributes:
        below: What they are smaller than, in bytes; None for the largest.
        files: How many there are.
        bytes: Their sizes together.
    """

    below: int | None
    files: int
    bytes: int


class Type(msgspec.Struct, frozen=True):
    """The events of one domain and event_type.

    Attributes:
        domain: The domain.
        event_type: The event_type.
        rows: How many there are.
        files: In how many data files.
        bytes: The sizes of these.
        partitions: On how many days.
        first_day: The first of these.
        last_day: The last.
    """

    domain: str
    event_type: str
    rows: int
    files: int
    bytes: int
    partitions: int
    first_day: str
    last_day: str


class Small(msgspec.Struct, frozen=True):
    """What ``compact`` would merge, estimated from the sizes of files.

    Attributes:
        partitions: Partitions with small files.
        files: These small files.
        after: About how many files would come of them.
    """

    partitions: int
    files: int
    after: int


class Content(msgspec.Struct, frozen=True):
    """What the table has, as its log says.

    Attributes:
        version: The table's version.
        rows: Rows; without those of `uncounted` files.
        files: Data files.
        bytes: Their sizes together.
        partitions: Partitions that have any.
        uncounted: Files of which the log does not say how many rows they have.
        first_day: The first day that has events; None if there are none.
        last_day: The last day.
        types: Each type of events, the most frequent first.
        sizes: The files by size.
        small: What could be merged.
    """

    version: int
    rows: int
    files: int
    bytes: int
    partitions: int
    uncounted: int
    first_day: str | None
    last_day: str | None
    types: list[Type]
    sizes: list[Size]
    small: Small


class PastRun(msgspec.Struct, frozen=True):
    """A run that has ended well.

    Attributes:
        run: Its id.
        began: When it began, in UTC; None if its id does not say.
        seconds: How long it took.
        version: The table's version after it.
        published: Whether it has changed the table.
        files: Files read.
        read: Records read.
        kept: Events kept.
        rejected: Records rejected.
        new_types: Domain and event_type of the events of which the table had none before.
    """

    run: str
    began: str | None
    seconds: float
    version: int
    published: bool
    files: int
    read: int
    kept: int
    rejected: int
    new_types: list[tuple[str, str]]


class OpenRejects(msgspec.Struct, frozen=True):
    """Dead letters that nobody has dealt with.

    A run's are open as long as their file lies in ``_eventsift/rejects/``, unless the table was
    rebuilt later. Those of a run that published nothing because of ``--max-rejected`` do not count:
    its files are still to be read.

    Attributes:
        records: How many there are.
        files: The files that they lie in, the newest first.
    """

    records: int
    files: list[str]


class Waiting(msgspec.Struct, frozen=True):
    """What is in the input and not published.

    Attributes:
        matched: Files that the patterns match.
        files: Those that are not published as they are now.
        bytes: The sizes of these.
        changed: How many of them were published before, with another content.
        oldest: The one that was written first; None if there is none.
        oldest_seconds: How long ago that was.
        left_out: Files and folders that cannot be read.
    """

    matched: int
    files: int
    bytes: int
    changed: int
    oldest: str | None
    oldest_seconds: float | None
    left_out: int


class PublishedFile(msgspec.Struct, frozen=True):
    """An input file whose events the table has; None for what earlier versions did not write down.

    Attributes:
        path: The file.
        bytes: Its size.
        arrived: When it was last modified, as ISO 8601.
        run: The run that has read it.
        version: The version of the table that has its events.
        events: The events that were read, whatever became of them.
        rejects: The records that were refused.
        first_event: The time of its earliest event, as ISO 8601.
        last_event: The time of its latest event.
        least_late_seconds: How long after its latest event the file arrived.
        most_late_seconds: How long after its earliest event the file arrived.
    """

    path: str
    bytes: int
    arrived: str
    run: str | None
    version: int
    events: int | None
    rejects: int | None
    first_event: str | None
    last_event: str | None
    least_late_seconds: float | None
    most_late_seconds: float | None


class Status(msgspec.Struct, frozen=True):
    """How a table is doing.

    Attributes:
        table: Its folder or URI.
        content: What it has.
        runs: The last runs that have ended well, the newest first.
        last_run_seconds: How long ago the newest of these ended; None if there is none.
        open_rejects: Dead letters that nobody has dealt with.
        alive: Runs under way; always empty on an object store, where nobody can tell.
        dead: Runs that were killed, and not cleared up after yet; as above.
        waiting: What is in the input and not published; None if no input was given.
        wrong: A sentence for each limit that is exceeded.
        fields: Where the fields of events are in the input, as the table keeps it; "" if they have
            their own names.
        provenance: Whether each row says which file and run brought it.
        files: The published files, the last to arrive first; None if nobody asks.
    """

    table: str
    content: Content
    runs: list[PastRun]
    last_run_seconds: float | None
    open_rejects: OpenRejects
    alive: list[str]
    dead: list[str]
    waiting: Waiting | None
    wrong: list[str] = []
    fields: str = ""
    provenance: bool = False
    files: list[PublishedFile] | None = None
