"""What the next run removes after one that died, and what it leaves alone."""

import os
import time
from pathlib import Path

import pytest

from pipeline.bookkeeping import leases, places, recovery
from pipeline.table.address import Table
from tests import commands, deliveries
from tests.deliveries import Event


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A table."""
    deliveries.deliver(tmp_path / "in" / "1.jsonl", [Event("a", 0)])
    assert commands.run(tmp_path / "table", tmp_path / "in") == 0
    return tmp_path / "table"


def clear(root: Path) -> None:
    """Clears up after a run that has died."""
    staging = places.staging(str(root), places.default_temp(str(root)), "dead")
    with pytest.raises(RuntimeError), leases.hold(str(root), "dead", staging):
        raise RuntimeError
    recovery.clear(Table(str(root)), "next", leases.dead(str(root), "next"))


@pytest.mark.parametrize(
    ("content", "days", "stays"),
    [
        pytest.param(b'{"txn":{"appId":"eventsift/r1"}}', 0, False, id="our-commit"),
        pytest.param(b'{"remove":{"path":"_eventsift/new/r/x"}}', 0, False, id="our-settling"),
        pytest.param(b"", 0, False, id="empty"),
        pytest.param(b'{"commitInfo":{"engineInfo":"another"}}', 0, True, id="another-tool"),
        pytest.param(b'{"commitInfo":{"engineInfo":"another"}}', 2, False, id="another-tool-died"),
    ],
)
def test_other_tools_may_be_committing(root: Path, content: bytes, days: int, stays: bool) -> None:
    """A half-written commit is removed if it is ours, or nobody can be working on it any more.

    Seen to fail: another tool's commit lost the file that it was about to link.
    """
    path = root / "_delta_log" / f"{9:020}.json#1"
    path.write_bytes(content)
    os.utime(path, (time.time() - days * 86_400 - 1,) * 2)

    clear(root)

    assert path.exists() == stays


def test_a_clock_that_jumps_makes_nothing_old(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set forward by ten years between two runs, or during another tool's commit."""
    path = root / "_delta_log" / f"{9:020}.json#1"
    path.write_bytes(b"another tool's")
    years = time.time() + 10 * 365 * 86_400
    monkeypatch.setattr(time, "time", lambda: years)

    clear(root)

    assert path.exists()


def test_a_run_that_is_alive_keeps_everything_in_any_year(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its lock says that it is alive, whatever the clock and the files of other runs say.

    Seen to fail: what it had written was taken for old, beside a file of ten years later.
    """
    temp = places.staging(str(root), str(tmp_path / "temp"), "r1")
    years = time.time() + 10 * 365 * 86_400
    with leases.hold(str(root), "r1", temp):
        files = [Path(temp, "x.arrow"), root / "_eventsift/new/r1/part-r1-0.parquet"]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        of_another_run = root / "_eventsift/new/r2/part-r2-0.parquet"
        of_another_run.parent.mkdir()
        of_another_run.touch()
        os.utime(of_another_run, (years, years))
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: years)
            clear(root)
            deliveries.deliver(tmp_path / "in" / "2.jsonl", [Event("b", 0)])
            assert commands.run(root, tmp_path / "in") == 0
        assert all(path.exists() for path in files)
