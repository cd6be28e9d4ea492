"""What is shown of a run while it works: from its calls' tallies, or what an engine says."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.command.run_progress import RunProgress
from pipeline.notices import Now
from pipeline.steps.tally import Tally

MB = 1_000_000


class Watched:
    """A run, the time of which a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.heard: list[tuple[float, Tally]] = []
        self.submitted: list[Any] = []
        self.progress = RunProgress("r1", self.heard, self.submitted, 0.0, lambda: self.now)

    def ends(self, at: float, step: str, **counts: int) -> None:
        """A call ends."""
        self.now = at
        self.heard.append((at, Tally(step, counts, 0.1)))

    def at(self, now: float) -> Now:
        """What is shown then."""
        self.now = now
        return self.progress.look()


@pytest.fixture
def run() -> Watched:
    """A run of which nothing is known yet."""
    return Watched()


def test_from_the_plan_to_the_commit(run: Watched) -> None:
    """Each step with what it has done: bytes, events and rate of the calls that have ended."""
    assert run.at(1.2) == Now("", ["planning", "1 s"])

    run.ends(2.0, "plan", files=12, bytes=300 * MB, blocks=3, live_files=4)
    about = "run r1: 12 files, 300 MB to read"
    assert run.at(3.5) == Now(about, ["read", "0 of 300 MB", "1 s"])

    run.ends(4.0, "read", bytes=100 * MB, events=1000, rejected=10)
    first = run.at(4.0)
    assert first.about == about
    events = "1,000 events"
    assert first.parts == ["read", "100 of 300 MB", "33 %", events, "50.0 MB/s", "7 s left"]
    assert run.at(6.0).parts[-1] == "5 s left"  # time goes by, nothing else is known
    assert run.at(20.0).parts[-1] == ""

    run.ends(7.0, "read", bytes=200 * MB, events=1000)
    assert run.at(7.0).parts == ["scan", "0 of 4 files", "0 %"]
    run.ends(7.5, "scan", live_files=4)
    assert run.at(8.6).parts == ["latest", "2,000 events", "1 s"]

    run.ends(8.7, "latest", versions=2000)
    run.ends(10.7, "write", kept=900, superseded=95)
    assert run.at(10.7).parts == ["write", "995 of 1,990 events", "50 %", "2 s left"]
    run.ends(11.0, "write", kept=995)
    assert run.at(12.3).parts == ["commit", "2,000 events", "1 s"]


def test_input_without_a_record(run: Watched) -> None:
    """Nothing is divided by zero."""
    run.ends(1.0, "plan", files=1, bytes=0, live_files=0)
    assert run.at(2.5).parts == ["latest", "0 events", "1 s"]
    run.ends(3.0, "read", bytes=0, events=5, rejected=5)
    assert run.at(3.0).parts == ["latest", "5 events", "0 s"]


class Engine:
    """What Beam knows of a job."""

    def __init__(self, state: str, counters: Mapping[str, int]) -> None:
        self.asked = 0
        self._state = state
        self._counters = counters

    @property
    def state(self) -> str:
        """The job's state."""
        self.asked += 1
        return self._state

    def metrics(self) -> Any:
        """The counters, with one of somebody else's."""
        if not self._counters:
            raise NotImplementedError
        found = [("eventsift", name, count) for name, count in self._counters.items()]
        keys = [
            SimpleNamespace(
                key=SimpleNamespace(metric=SimpleNamespace(namespace=space, name=name)),
                attempted=count,
            )
            for space, name, count in [*found, ("other", "read.bytes", 7)]
        ]
        return SimpleNamespace(query=lambda: {"counters": keys})


def test_an_engine_that_only_has_a_state(run: Watched) -> None:
    """That, and how long it takes already; it is not asked all the time."""
    engine = Engine("RUNNING", {})
    run.submitted.append(engine)
    assert run.at(61.0) == Now("", ["running", "1 min 1 s"], (5, 4))
    run.at(61.3)
    run.at(65.9)
    assert engine.asked == 1
    run.at(66.1)
    assert engine.asked == 2


def test_an_engine_that_has_metrics(run: Watched) -> None:
    """What its workers have read is shown, too."""
    counters = {"plan.files": 1, "plan.bytes": 80 * MB, "read.bytes": 20 * MB, "read.events": 1}
    run.submitted.append(Engine("RUNNING", counters))
    now = run.at(61.0)
    assert now.about == "run r1: 1 file, 80.0 MB to read"
    assert now.parts == ["running", "1 min 1 s", "read", "20.0 of 80.0 MB", "25 %", "1 event"]


def test_an_engine_that_is_away(run: Watched) -> None:
    """Progress is never what a run fails of."""

    class Away:
        """Answers nothing."""

        @property
        def state(self) -> str:
            """Nobody answers."""
            raise ConnectionError

    run.submitted.append(Away())
    assert run.at(5.0).parts == ["working", "5 s"]


def test_workers_of_an_engine_in_this_process_are_heard(run: Watched) -> None:
    """Then there is more to tell than the state."""
    run.submitted.append(Engine("RUNNING", {}))
    run.ends(1.0, "plan", files=1, bytes=10, live_files=0)
    assert run.at(1.0).parts[0] == "read"
