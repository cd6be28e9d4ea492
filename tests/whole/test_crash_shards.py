"""A run is killed while it writes a destination in several shards; the next run finds no harm."""

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import pytest

from pipeline.rows import parquet
from pipeline.verify.check import verify
from tests import commands, deliveries, tables
from tests.deliveries import Event
from tests.forks import in_fork
from tests.whole.test_crash import Point, copy_of, merge

# With files of 1 MiB: the first delivery makes a full one, of which the second supersedes two rows;
# and what it brings besides is too much for one shard.
LARGE = f'"{"x" * 100_000}"'
OLD = [Event(f"old{number}", number * 200, LARGE) for number in range(7)]
NEWS = [
    *(Event(f"new{number}", number * 35, LARGE) for number in range(40)),
    *(Event(f"old{number}", number * 200 + 1, LARGE) for number in (0, 4)),
]
BEFORE, AFTER = deliveries.latest(OLD), deliveries.latest([*OLD, *NEWS])
OPTIONS = ("--target-file-mb", "1")


def merge_in_shards(base: Path, inputs: Path, notes: Path | None, kill_at: int | None) -> None:
    """The process that is killed; each shard is written as it is read."""
    with mock.patch.object(parquet, "LARGE_BYTES", 1 << 16):
        merge(base, inputs, notes, kill_at, *OPTIONS)


def heal(base: Path, inputs: Path) -> None:
    """The next run."""
    sys.stdout = sys.stderr = open(base / "output.txt", "w")  # noqa: SIM115 (until it ends)
    os._exit(commands.run(base / "table", inputs, *OPTIONS))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a delivery that is to be merged into it."""
    base = tmp_path_factory.mktemp("prepared")
    deliveries.deliver(base / "in" / "old.jsonl", OLD)
    assert in_fork(merge_in_shards, base, base / "in", None, None) == 0
    assert len(tables.data_files(base / "table")) == 1
    deliveries.deliver(base / "in" / "news.jsonl", NEWS)
    return base


@pytest.mark.slow
def test_killed_within_a_shard(prepared: Path) -> None:
    """Between two shards, and before and after each of their files appears, the full one's too.

    Readers see the old table; the next run makes the new one, and what lies around goes. Seen to
    fail with files written under names that readers find.
    """
    notes = prepared / "notes.txt"
    rehearsal = copy_of(prepared, "rehearsal")
    assert in_fork(merge_in_shards, rehearsal, prepared / "in", notes, None) == 0
    steps = [Point(*step) for step in enumerate(notes.read_text().splitlines())]
    commit = next(step.number for step in steps if step.label == "before commit")
    writing = [step for step in steps[:commit] if "/_eventsift/new/RUN/" in step.label]
    assert len([step for step in writing if step.label.startswith("os.rename")]) >= 5

    for point in writing:
        base = copy_of(prepared, f"at-{point.number}")
        code = in_fork(merge_in_shards, base, prepared / "in", None, point.number)
        assert code == -signal.SIGKILL, point
        assert tables.delta_rows(base / "table") == BEFORE, point
        assert tables.plain_rows(base / "table") == BEFORE, point

        assert in_fork(heal, base, prepared / "in") == 0, point
        assert tables.delta_rows(base / "table") == AFTER, point
        assert tables.plain_rows(base / "table") == AFTER, point
        assert tables.strays(base / "table") == [], point
        assert verify(str(base / "table")).findings == [], point
