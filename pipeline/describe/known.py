"""What is known of a table's `data`: what its runs have seen, or all of it."""

from typing import NamedTuple

from pipeline.bookkeeping import catalogues
from pipeline.catalogue.nodes import Catalogue
from pipeline.describe import whole
from pipeline.errors import EventsiftError
from pipeline.table import delta
from pipeline.table.address import Table
from pipeline.table.delta import Snapshot


class Known(NamedTuple):
    """What is known of a table.

    Attributes:
        table: The table.
        snapshot: Its newest version.
        catalogue: What is in `data`.
        is_whole: Whether every row was looked at; else samples of what was delivered.
    """

    table: Table
    snapshot: Snapshot
    catalogue: Catalogue
    is_whole: bool

    @property
    def unseen(self) -> list[tuple[str, str]]:
        """Domain and event_type of types of the table that the catalogue has not, sorted."""
        seen = {entry.name for entry in self.catalogue.types if entry.payloads}
        return sorted({file.destination[:2] for file in self.snapshot.files} - seen)


def known(where: Table, full: bool) -> Known:
    """Returns what is known of a table.

    Args:
        where: The table.
        full: Whether to look at every row.

    Raises:
        EventsiftError: There is no table, or it cannot be read.
        OSError: What is kept beside it cannot be listed.
    """
    opened = delta.open_newest(where)
    root = opened.table.root
    if opened.delta_table is None:
        raise EventsiftError(f"{root}: there is no table; --output names the table's folder")
    seen = catalogues.load(root, opened.lineage())
    snapshot = opened.snapshot()
    # A type whose events have all been superseded by events of another type has no row any more.
    there = {file.destination[:2] for file in snapshot.files}
    seen = Catalogue(
        [entry for entry in seen.types if entry.name in there], seen.payloads, seen.more_types
    )
    if full:
        seen = whole.with_runs(whole.whole(opened.table, snapshot.files), seen)
    return Known(opened.table, snapshot, seen, full)
