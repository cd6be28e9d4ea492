"""Convergence: however events reach the table, and whatever happens, it is the same table."""

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline import compact, storage
from tests import commands, deliveries, tables
from tests.crashes import Killed
from tests.deliveries import EVENTS, Event
from tests.oracle import Rows

# ./run.sh soak 500 runs that many examples of many more steps.
SOAK = int(os.environ.get("EVENTSIFT_SOAK", "0"))


# The calls to storage at which a run may end.
CALLS = (
    "create",
    "copy",
    "delete",
    "delete_tree",
    "open_read",
    "open_ranges",
    "list_files",
    "list_partitions",
)


class Deliveries(RuleBasedStateMachine):
    """Deliveries, redeliveries, crashes, compactions and rebuilds in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.root, self.inputs = self.base / "table", self.base / "in"
        self.files: list[list[Event]] = []
        self.published: Rows = Counter()
        self.history = False

    def teardown(self) -> None:
        """Leaves nothing behind."""
        shutil.rmtree(self.base)

    def deliver(self, events: list[Event]) -> None:
        """Puts a new file into the input."""
        deliveries.deliver(self.inputs / f"{len(self.files)}.jsonl", events)
        self.files.append(events)

    def run(self, *given: str, history: bool = False) -> None:
        """Runs the job on all files."""
        self.history = history
        given += ("--keep-history", "1h") if history else ()
        assert commands.run(self.root, self.inputs, *given) == 0
        self.published = deliveries.latest(event for file in self.files for event in file)

    @initialize(events=st.lists(EVENTS, min_size=1, max_size=8))
    def first(self, events: list[Event]) -> None:
        """There is something at the start."""
        self.deliver(events)
        self.run()

    @rule(
        files=st.lists(st.lists(EVENTS, max_size=6), min_size=1, max_size=3), history=st.booleans()
    )
    def merge(self, files: list[list[Event]], history: bool) -> None:
        """A delivery of some files."""
        for events in files:
            self.deliver(events)
        self.run(history=history)

    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        """A file comes again, under another name."""
        self.deliver(data.draw(st.sampled_from(self.files)))
        self.run()

    @rule(
        events=st.lists(EVENTS, min_size=1, max_size=6),
        step=st.integers(0, 60),
        history=st.booleans(),
    )
    def crash(self, events: list[Event], step: int, history: bool) -> None:
        """A run ends at an access to storage; Delta readers see one table or the other."""
        self.deliver(events)
        before = self.published
        with pytest.MonkeyPatch.context() as patch:
            left = iter(range(step))
            for name in CALLS:
                patch.setattr(storage, name, crashing(getattr(storage, name), left))
            with contextlib.suppress(Killed):
                self.run(history=history)
        after = deliveries.latest(event for file in self.files for event in file)
        self.published = tables.delta_rows(self.root)
        assert self.published in (before, after)
        plain = tables.plain_rows(self.root)
        assert plain >= before or plain >= after
        self.run(history=history)

    @rule()
    def tidy(self) -> None:
        """A compaction."""
        self.history = False
        assert compact.main(["--output", str(self.root)]) == 0

    @rule()
    def rebuild(self) -> None:
        """The table is made anew."""
        self.run("--rebuild")

    @invariant()
    def the_table_is_right(self) -> None:
        """The oracle's rows for every reader, and nothing beside them."""
        if self.root.exists():
            assert tables.delta_rows(self.root) == self.published
            assert tables.plain_rows(self.root) == self.published
            assert self.history or tables.strays(self.root) == []


def crashing(function, left):  # type: ignore[no-untyped-def]
    """`function`, which works as often as there are items `left`."""

    def crash_or_call(*arguments, **options):  # type: ignore[no-untyped-def]
        if next(left, None) is None:
            raise Killed  # Beam makes an error of it, but clearing up fails with it, too
        return function(*arguments, **options)

    return crash_or_call


TestConvergence = pytest.mark.slow(Deliveries.TestCase)
TestConvergence.settings = settings(
    max_examples=SOAK or 8,
    stateful_step_count=30 if SOAK else 4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
