"""Which files a table was made of, as the ledger has it."""

import datetime

from pipeline.bookkeeping import ledger
from pipeline.bookkeeping.ledger import Entry
from pipeline.status.facts import PublishedFile
from pipeline.table.address import Table
from pipeline.table.delta import Lineage

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def published(table: Table, lineage: Lineage) -> list[PublishedFile]:
    """Returns the published files, the last to arrive first; none is opened.

    Args:
        table: The table.
        lineage: The table as it is now.
    """
    found = ledger.entries(table, lineage)
    return [_file(one) for one in sorted(found, key=lambda one: one.file.modified, reverse=True)]


def _file(entry: Entry) -> PublishedFile:
    path, size, modified = entry.file
    return PublishedFile(
        path=path,
        bytes=size,
        arrived=_instant(int(modified * 1_000_000)) or "",
        run=entry.run,
        version=entry.version,
        events=entry.events,
        rejects=entry.rejects,
        first_event=_instant(entry.first_event),
        last_event=_instant(entry.last_event),
        least_late_seconds=_late(modified, entry.last_event),
        most_late_seconds=_late(modified, entry.first_event),
    )


def _instant(micros: int | None) -> str | None:
    """Returns an instant to the second, in UTC."""
    if micros is None:
        return None
    try:
        instant = _EPOCH + datetime.timedelta(microseconds=micros)
    except OverflowError:  # after the year 9999, as a file's time may be
        return None
    return f"{instant.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _late(modified: float, micros: int | None) -> float | None:
    return None if micros is None else round(modified - micros / 1_000_000, 3)
