"""A table that our own runs have made, for tests of what others do to it."""

import itertools
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.verify import check as verify
from tests import commands, deliveries, tables
from tests.deliveries import Event
from tests.oracle import Rows

HISTORY = ("--keep-history", "7d")
DELIVERIES = [
    [Event("a", 0, 1), Event("b", 1, 1), Event("c", 1440, 1), Event("d", 3, 1, "x/y", "Shop ü")],
    [Event("a", 5, 2), Event("e", 2, 2), Event("f", 6, 2), Event("g", 1441, 2)],
]
DELIVERED = list(itertools.chain(*DELIVERIES))


class Case(NamedTuple):
    """A table, where its deliveries are, and the options that every run of it is given."""

    root: Path
    inputs: Path
    options: tuple[str, ...]

    def run(self, *options: str) -> None:
        """Runs the job."""
        assert commands.run(self.root, self.inputs, *self.options, *options) == 0

    def deliver(self, *events: Event) -> None:
        """Delivers events in a file of their own, and runs the job."""
        number = len(list(self.inputs.iterdir()))
        deliveries.deliver(self.inputs / f"{number}.jsonl", events)
        self.run()

    def rows(self) -> Rows:
        """What a reader of the log sees."""
        return known(tables.delta_rows(self.root))

    def has(self, expected: Rows) -> None:
        """Every reader sees these rows, and the independent check finds nothing."""
        assert self.rows() == expected
        assert known(tables.plain_rows(self.root)) == expected
        assert verify.verify(str(self.root)).findings == []


def make(folder: Path, options: tuple[str, ...]) -> Case:
    """A table that has seen both deliveries."""
    case = Case(folder / "table", folder / "in", options)
    case.inputs.mkdir()
    for delivered in DELIVERIES:
        case.deliver(*delivered)
    case.has(deliveries.latest(DELIVERED))
    return case


@contextmanager
def lent(case: Case, backup: Path) -> Iterator[Case]:
    """The case, to be changed within the ``with`` block.

    It stays in its place, as the ledger knows the files by their paths.
    """
    folder = case.root.parent
    shutil.copytree(folder, backup)
    try:
        yield case
    finally:
        shutil.rmtree(folder)
        shutil.move(backup, folder)


def known(rows: Rows) -> Rows:
    """Rows in which nanoseconds that another tool has left out are 0."""
    found: Rows = Counter()
    for row, count in rows.items():
        found[row._replace(nanos=row.nanos or 0)] += count
    return found


def without(rows: Rows, *ids: str) -> Rows:
    """All rows but those of some events."""
    return Counter({row: count for row, count in rows.items() if row.event_id not in ids})
