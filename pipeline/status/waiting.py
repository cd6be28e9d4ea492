"""What is in the input and not published."""

from collections.abc import Sequence

from pipeline.bookkeeping import ledger, places
from pipeline.input import sources
from pipeline.status.facts import Waiting
from pipeline.table.address import Table
from pipeline.table.delta import Lineage


def waiting(patterns: Sequence[str], table: Table, lineage: Lineage, now: float) -> Waiting:
    """Returns what is waiting; no file is opened.

    Args:
        patterns: Patterns of the files to read.
        table: The table.
        lineage: The table as it is now.
        now: The time, in seconds since 1970.

    Raises:
        OSError: A store cannot be listed.
    """
    found = sources.find(patterns, table.root, places.default_temp(table.root))
    published = ledger.known(table, lineage)
    files = ledger.unpublished(found.files, published)
    paths = {file.path for file in published}
    oldest = min(files, key=lambda file: file.modified, default=None)
    return Waiting(
        matched=len(found.files),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        changed=sum(file.path in paths for file in files),
        oldest=oldest.path if oldest else None,
        oldest_seconds=max(0.0, now - oldest.modified) if oldest else None,
        left_out=len(found.left_out),
    )
