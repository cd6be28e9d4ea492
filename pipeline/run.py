"""A run: one execution of the job, as the user asked for it."""

from __future__ import annotations

import datetime
import secrets
import string
from typing import TYPE_CHECKING, NamedTuple

from pipeline.bookkeeping import places
from pipeline.table.address import Table

if TYPE_CHECKING:  # the options need this module before all that takes time to import
    from pipeline.input.contracts import Contract
    from pipeline.input.fields import FieldMap


class RejectLimit(NamedTuple):
    """How many of its records a run may reject.

    Attributes:
        text: As the user wrote it.
        parts: The allowed share of the records is `parts` / `whole`.
        whole: 0 if `parts` is a number of records, not a share of them.
    """

    text: str
    parts: int
    whole: int

    def allows(self, rejected: int, records: int) -> bool:
        """Tells whether a run may reject this many of its records."""
        if not self.whole:
            return rejected <= self.parts
        return rejected * self.whole <= self.parts * records


class Run(NamedTuple):
    """One execution of the job: what the user asked for.

    Attributes:
        id: Unique; names the run's files, its summary and its commit.
        inputs: Patterns of the files to read.
        table: The table.
        temp: The folder for staged payloads; see `places.staging` for the run's own in it.
        rebuild: Whether the table is made from these inputs alone, whatever it has.
        max_partitions: Limit on the partitions that one run may write.
        max_event_bytes: Limit on the size of one event.
        target_file_bytes: What a data file should not exceed.
        listing: Where the list of the files to read is stored, see `listings`; "" for all that
            `inputs` match.
        keep_seconds: How long superseded files are kept for Delta readers of older versions.
        dedup_days: How many days apart versions of an event may be, as the user promises; None if
            they may be anywhere.
        max_rejected: Limit on the records that the run may reject; None if there is none.
        fields: Where the fields of an event are; None for what the table keeps.
        provenance: Whether rows say which file and run they come from; None for what the table
            keeps.
        contract: What the data of events has to fulfil; None if nothing is asked.
    """

    id: str
    inputs: tuple[str, ...]
    table: Table
    temp: str
    rebuild: bool
    max_partitions: int
    max_event_bytes: int
    target_file_bytes: int
    listing: str = ""
    keep_seconds: float = 0.0
    dedup_days: int | None = None
    max_rejected: RejectLimit | None = None
    fields: FieldMap | None = None
    provenance: bool | None = None
    contract: Contract | None = None

    @property
    def root(self) -> str:
        """The table's folder or URI."""
        return self.table.root

    @property
    def staging(self) -> str:
        """The folder for everything the run stages."""
        return places.staging(self.root, self.temp, self.id)


def new_run_id() -> str:
    """Returns a new id: the second, the microsecond in it, and a random digit.

    Ids are sorted by time, also those of two runs that begin within one second.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond:05x}{secrets.choice(string.hexdigits[:16])}"


def began(run_id: str) -> datetime.datetime | None:
    """Returns when a run began, by its id; None if it is called otherwise."""
    try:
        found = datetime.datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S")
    except ValueError:
        return None
    return found.replace(tzinfo=datetime.timezone.utc)
