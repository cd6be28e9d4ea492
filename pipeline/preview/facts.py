"""What a plan tells: the structures that ``plan --report-json`` writes."""

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """The files of one kind, among those that were looked into.

    Attributes:
        kind: What they are: framing, encoding and compression.
        files: How many there are.
        source: One of them.
        first: The beginning of its first event.
    """

    kind: str
    files: int
    source: str
    first: str


class Input(msgspec.Struct, frozen=True):
    """What a run would read.

    Attributes:
        files: Files that are not published as they are now.
        bytes: The sizes of these.
        changed: How many of them were published before, with another content.
        skipped: Files that were published before, and would not be read.
        left_out: Files that cannot be read.
        looked_into: Files whose beginnings were read.
        kinds: What these are.
        events: Events in their beginnings.
        rejected: Records there that would be rejected.
    """

    files: int
    bytes: int
    changed: int
    skipped: int
    left_out: int
    looked_into: int
    kinds: list[Kind]
    events: int
    rejected: int


class Merge(msgspec.Struct, frozen=True):
    """What the delivery would be merged with.

    Attributes:
        version: The table's version; -1 if there is no table yet.
        rows: Its rows.
        partitions: Partitions that the events in the beginnings belong to.
        known_partitions: How many of these the table has.
        new_types: Domain and event_type of events of which the table has none.
        searched_files: Files of the table that would be searched for older versions.
        searched_rows: Their rows.
        all_files: All files of the table.
    """

    version: int
    rows: int
    partitions: int
    known_partitions: int
    new_types: list[tuple[str, str]]
    searched_files: int
    searched_rows: int
    all_files: int


class Expected(msgspec.Struct, frozen=True):
    """What a run would take, estimated.

    Attributes:
        events: Records in the input; None if there is nothing to go by.
        seconds: The time; None where an engine does the work.
        like_runs: How many earlier runs the time is reckoned from; if 0, from other machines.
        workers: Cores that each step would use by itself.
        temp: The folder for what is staged.
        temp_bytes: How much would be staged.
        temp_free: How much room is there; None if nobody knows.
        table_bytes: How much larger the table would become.
        memory_bytes: Memory of all processes together; None where an engine does the work.
    """

    events: int | None
    seconds: float | None
    like_runs: int
    workers: int
    temp: str
    temp_bytes: int
    temp_free: int | None
    table_bytes: int
    memory_bytes: int | None


class Trouble(msgspec.Struct, frozen=True):
    """Something that is likely to go wrong.

    Attributes:
        what: What, and the way out.
        stops: Whether the run would publish nothing because of it.
    """

    what: str
    stops: bool = False


class Preview(msgspec.Struct, frozen=True):
    """What a run would do.

    Attributes:
        output: The table.
        rebuild: Whether it would be replaced.
        input: What would be read.
        merge: What it would be merged with.
        expected: What it would take.
        troubles: What is likely to go wrong.
    """

    output: str
    rebuild: bool
    input: Input
    merge: Merge
    expected: Expected
    troubles: list[Trouble]
