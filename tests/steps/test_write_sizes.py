"""Writing destinations of any size: what comes together, and what stays by itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.rows import parquet, staging
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.steps import write
from pipeline.steps.route import Routed
from pipeline.steps.write import Written
from tests.by_hand import read_events, write_live
from tests.deliveries import Event

TARGET_BYTES = 4_000


def event(number: int, second: int) -> Event:
    """An event of this second of the day."""
    return Event(
        f"e{number:05}", f"2021-01-08T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    )


def live(folder: Path, events: Sequence[Event], size: int, *superseded: int) -> Routed:
    """The events as rows of a live file, of which so much is said."""
    rows = np.array(superseded, np.int64).tobytes()
    return Routed(LiveFile(0, write_live(folder, events), size), rows)


def staged(folder: Path, events: Sequence[Event], *superseded: int) -> list[Routed]:
    """The events as staged rows."""
    rows = np.array(superseded, np.int64).tobytes()
    return [Routed(slices, rows) for slices in read_events(folder, events).slices]


def write_rows(folder: Path, rows: Sequence[Routed]) -> Written:
    """Writes a shard."""
    return write.write_shard(rows, WriteSettings(f"{folder}/out", "r1", TARGET_BYTES))[0]


class TestLiveFiles:
    """Live files that have about what a file should hold."""

    def test_a_full_one_stays(self, tmp_path: Path) -> None:
        """However large the news are: it would be written anew again and again.

        Seen to fail with full files folded as others are.
        """
        full = live(tmp_path, [event(n, n) for n in range(9)], TARGET_BYTES // 4)
        small = live(tmp_path, [event(n, n) for n in range(20, 29)], TARGET_BYTES // 4 - 1)

        news = staged(tmp_path, [event(n, n) for n in range(100, 150)])
        written = write_rows(tmp_path, [full, small, *news])

        assert written.replaced == (small.origin.file,)
        assert (written.live_files, written.live, written.staged) == (2, 9, 50)

    def test_a_full_one_with_superseded_rows_is_written_by_itself(self, tmp_path: Path) -> None:
        """Its rows do not come together with news, which would make larger and larger files.

        Seen to fail with its rows left out of the counts.
        """
        full = live(tmp_path, [event(n, n) for n in range(9)], TARGET_BYTES // 4, 2, 3)
        news = staged(tmp_path, [event(n, n) for n in range(100, 105)], 0)

        written = write_rows(tmp_path, [full, *news])

        assert written.replaced == (full.origin.file,)
        assert sorted(file.rows for file in written.files) == [4, 7]
        assert written._replace(files=(), replaced=()) == Written((), (), 1, 1, 4, 3, 7)

    def test_a_full_one_of_which_nothing_is_left_just_goes(self, tmp_path: Path) -> None:
        """No empty file takes its place."""
        full = live(tmp_path, [event(1, 1)], TARGET_BYTES, 0)
        assert write_rows(tmp_path, [full]) == Written((), (full.origin.file,), 0, 1, 0, 1, 0)

    def test_no_more_comes_together_than_a_file_should_hold(self, tmp_path: Path) -> None:
        """A delivery of an event does not fold a thousand small files that another tool has left.

        Seen to fail without `size`.
        """
        small = [
            live(tmp_path, [event(number, number)], TARGET_BYTES // 10) for number in range(30)
        ]
        written = write_rows(tmp_path, [*small, *staged(tmp_path, [event(100, 0)])])
        assert 5 < len(written.replaced) < 10


class TestParts:
    """A destination larger than a file."""

    def test_it_is_written_part_by_part(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each has what one file should hold, and times of its own.

        Seen to fail with all of the destination read in one go.
        """
        sizes: list[int] = []
        real = parquet.write_large

        def note(rows: list[parquet.Rows], settings: WriteSettings) -> object:
            sizes.append(sum(part.origin.bytes for part in rows))
            return real(rows, settings)

        monkeypatch.setattr(parquet, "LARGE_BYTES", 100)
        monkeypatch.setattr(parquet, "write_large", note)
        monkeypatch.setattr(staging, "_SLICE_BYTES", 100)
        events = [event(n, 7919 * n % 86_400) for n in range(400)]

        written = write_rows(tmp_path, staged(tmp_path, events))

        assert max(sizes) <= TARGET_BYTES
        assert len(sizes) == len(written.files) > 3
        files = sorted(written.files, key=lambda file: file.min_timestamp or 0)
        times = [time for file in files for time in (file.min_timestamp, file.max_timestamp)]
        assert times == sorted(times)
        assert written.staged == sum(file.rows for file in files) == 400
