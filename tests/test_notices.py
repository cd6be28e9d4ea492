"""Notices: what is told while the work goes on, and how."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline import notices
from pipeline.command.progress import left, of, of_work, share, since
from pipeline.notices import Now, Work

PARTS = ["read", "27.2 of 81.5 MB", "33 %", "100,000 events", "21.0 MB/s", "4 s left"]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (200, "read  27.2 of 81.5 MB  33 %  100,000 events  21.0 MB/s  4 s left"),
        (60, "read  27.2 of 81.5 MB  33 %  21.0 MB/s  4 s left"),
        (40, "read  27.2 of 81.5 MB  33 %  4 s left"),
        (35, "read  27.2 of 81.5 MB  4 s left"),
        (21, "read  27.2 of 81.5 MB"),
        (5, "read"),
        (3, "rea"),
    ],
)
def test_a_line_fits_the_terminal(columns: int, line: str) -> None:
    """What says least goes first; a line that is too long would scroll with each renewal."""
    assert notices.fitting(Now("", PARTS, dispensable=(3, 4, 2)), columns) == line


def test_amounts_of_amounts() -> None:
    """In one unit where they have one."""
    assert of(0, 81_500_000) == "0 of 81.5 MB"
    assert of(27_200_000, 81_500_000) == "27.2 of 81.5 MB"
    assert of(950_000, 81_500_000) == "950 kB of 81.5 MB"
    assert of(1_500_000_000, 2_000_000_000) == "1.50 of 2.00 GB"
    assert (share(0, 3), share(2, 3), share(3, 3), share(0, 0)) == ("0 %", "66 %", "100 %", "")
    assert (left(0.2), left(4.4), left(61), left(-5)) == ("", "4 s left", "1 min 1 s left", "")
    assert (since(0.9), since(4.99), since(3700)) == ("0 s", "4 s", "1 h 1 min")


def test_work_that_is_counted() -> None:
    """Of bytes, or of something else with bytes beside it."""
    work = Work("verify")
    began = time.monotonic() - 10
    assert of_work(work, "byte", began).parts == ["verify", "10 s"]
    work.total, work.done, work.bytes = 200, 50, 65
    assert of_work(work, "byte", began).parts == [
        *("verify", "50 of 200 bytes", "25 %", "6 bytes/s", "30 s left"),
    ]
    assert of_work(work, "event", began).parts[1] == "50 of 200 events"


class TestElsewhere:
    """Where there is no terminal."""

    @pytest.fixture
    def pipe(self) -> Iterator[tuple[int, int]]:
        """A pipe's two ends."""
        ends = os.pipe()
        yield ends
        for end in ends:
            os.close(end)

    def told(self, pipe: tuple[int, int], seconds: float) -> str:
        """What comes of some work that takes a time."""
        with notices.telling("first", lambda: Now("all", ["a", "", "b"]), stderr=pipe[1]):
            time.sleep(seconds)
        os.set_blocking(pipe[0], False)
        try:
            return os.read(pipe[0], 1 << 16).decode()
        except BlockingIOError:
            return ""

    def test_work_that_is_soon_over_tells_nothing(self, pipe: tuple[int, int]) -> None:
        """Cron would send it by mail."""
        assert self.told(pipe, 0.1) == ""

    def test_else_a_line_now_and_then(
        self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whole lines, without control characters."""
        monkeypatch.setattr(notices, "_LINE_SECONDS", 0.1)
        lines = self.told(pipe, 0.5).splitlines()
        assert set(lines) == {"eventsift: all: a, b"}
        assert 1 <= len(lines) <= 5

    def test_nobody_reads_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The work goes on."""
        monkeypatch.setattr(notices, "_LINE_SECONDS", 0.05)
        reader, writer = os.pipe()
        os.close(reader)
        with notices.telling("first", lambda: Now("all", ["a"]), stderr=writer):
            time.sleep(0.3)
        os.close(writer)

    def test_a_closed_stderr(self) -> None:
        """The work goes on, too."""
        reader, writer = os.pipe()
        os.close(reader)
        os.close(writer)
        before = threading.active_count()
        with notices.telling("first", lambda: Now("all", ["a"]), stderr=writer):
            assert threading.active_count() == before
