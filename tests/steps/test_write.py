import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys.partitions import Destination
from pipeline.rows import encoding
from pipeline.rows.content import Rows
from pipeline.rows.live_rows import LiveFile
from pipeline.rows.staging import Slice
from pipeline.steps import write
from pipeline.steps.route import Routed
from pipeline.steps.write import Written
from pipeline.table.datafiles import DataFile
from tests.by_hand import NO_ROWS, read_events, write_live
from tests.deliveries import Event

HERE = Destination("account", "created", 2021, 1, 8)


def event(id_: str, second: int, **fields: str) -> Event:
    """An event of this second of the day; all are of one destination, unless a field says else."""
    return Event(id_, f"2021-01-08T00:{second // 60:02d}:{second % 60:02d}Z", **fields)


def staged(folder: Path, events: Sequence[Event], superseded: Sequence[int] = ()) -> Routed:
    """The events as staged rows, as many destinations as they have."""
    (slices,) = read_events(folder, events).slices
    return Routed(slices, np.array(superseded, np.int64).tobytes())


def live(folder: Path, events: Sequence[Event], superseded: Sequence[int] = ()) -> Routed:
    """The events as rows of a live file."""
    return Routed(
        LiveFile(0, write_live(folder, events), 100 * len(events)),
        np.array(superseded, np.int64).tobytes(),
    )


def write_rows(folder: Path, rows: Sequence[Routed]) -> Written:
    """Writes a shard."""
    written, seconds = write.write_shard(
        rows, encoding.WriteSettings(f"{folder}/out", "r1", 1 << 28)
    )
    assert seconds > 0
    return written


def ids(folder: Path, files: Sequence[DataFile]) -> list[str]:
    """The event_ids in files, in their order."""
    contents = [pq.ParquetFile(f"{folder}/out/{file.path}").read() for file in files]
    return [id_ for content in contents for id_ in content["event_id"].to_pylist()]


def data_files(folder: Path) -> set[str]:
    """All files in the table's folder."""
    return {str(path) for path in (folder / "out").rglob("*") if path.is_file()}


class TestGroup:
    """What becomes of the rows of several destinations."""

    def test_superseded_rows_are_left_out(self, tmp_path: Path) -> None:
        """Of staged rows and live ones; the counts say what became of all (invariant 3).

        Seen to fail with `keep[rows.superseded]` set on the rows beside them.
        """
        parts = [
            staged(tmp_path, [event("a", 1), event("b", 2), event("c", 3)], [0, 2]),
            live(tmp_path, [event("d", 4), event("e", 5)], [1]),
        ]

        written = write_rows(tmp_path, parts)

        assert ids(tmp_path, written.files) == ["b", "d"]
        assert written._replace(files=(), replaced=()) == Written(
            files=(), replaced=(), slices=1, live_files=1, staged=1, superseded=3, live=1
        )
        assert written.replaced == (parts[1].origin.file,)

    def test_rows_of_a_destination_come_together(self, tmp_path: Path) -> None:
        """From all sources; each destination has files of its own, without the others' rows.

        Seen to fail with the superseded rows of the second destination counted from the slices'
        first row.
        """
        sales = [event(id_, 9, event_type="sale") for id_ in "xyz"]
        parts = [
            staged(tmp_path, [event("b", 2), *sales], [1, 3]),
            staged(tmp_path, [event("a", 1)]),
            live(tmp_path, [event("c", 3)]),
        ]

        written = write_rows(tmp_path, parts)

        by_type = {file.destination.event_type: ids(tmp_path, [file]) for file in written.files}
        assert by_type == {"created": ["a", "b", "c"], "sale": ["y"]}
        assert (written.slices, written.staged, written.superseded) == (3, 3, 2)

    @pytest.mark.parametrize("together", [1, 1 << 20])
    def test_large_destinations_are_written_by_themselves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
    ) -> None:
        """How many are written in one go changes nothing but the time."""
        monkeypatch.setattr(write, "_TOGETHER_BYTES", together)
        events = [event(f"e{n}", 50 - n, event_type=f"t{n % 5}") for n in range(50)]

        written = write_rows(tmp_path, [staged(tmp_path, events, [3, 17, 40])])

        types = [file.destination.event_type for file in written.files]
        assert types == [f"t{n}" for n in range(5)]
        # Staged by type, in the order delivered: the rows 3, 17 and 40 are of t0, t1 and t4.
        left = [[n for n in range(kind, 50, 5)] for kind in range(5)]
        del left[0][3], left[1][7], left[4][0]
        expected = [f"e{n}" for rows in left for n in reversed(rows)]
        assert ids(tmp_path, written.files) == expected


class TestWhatIsRewritten:
    """Live files stay as they are, unless there is a reason."""

    def test_without_news_nothing_is_written(self, tmp_path: Path) -> None:
        """All that was delivered is superseded, and no live row: no file changes (invariant 6).

        Seen to fail without the early return of `_folded`.
        """
        rows = [staged(tmp_path, [event("a", 1)], [0]), live(tmp_path, [event("b", 2)])]
        before = data_files(tmp_path)

        written = write_rows(tmp_path, rows)

        assert written == Written((), (), 1, 1, 0, 1, 0)
        assert data_files(tmp_path) == before

    def test_a_live_file_with_superseded_rows_is_replaced(self, tmp_path: Path) -> None:
        """Also where nothing was delivered: the later version is of another destination.

        Seen to fail with live files considered only if there are staged rows (invariant 2).
        """
        rows = [live(tmp_path, [event("a", 1), event("b", 2)], [0])]
        written = write_rows(tmp_path, rows)
        assert ids(tmp_path, written.files) == ["b"]
        assert written.replaced == (rows[0].origin.file,)

    def test_a_live_file_of_which_nothing_is_left_just_goes(self, tmp_path: Path) -> None:
        """No empty file takes its place."""
        rows = [live(tmp_path, [event("a", 1)], [0])]
        assert write_rows(tmp_path, rows) == Written((), (rows[0].origin.file,), 0, 1, 0, 1, 0)

    def test_large_live_files_stay(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A small delivery does not write a large destination anew (invariant 6).

        Seen to fail with all live files rewritten.
        """
        monkeypatch.setattr(encoding, "ROW_GROUP_ROWS", 8)
        large = live(tmp_path, [event(f"e{n}", n) for n in range(10)])
        small = live(tmp_path, [event("s", 20)])

        written = write_rows(tmp_path, [large, small, staged(tmp_path, [event("new", 30)])])

        assert written.replaced == (small.origin.file,)
        assert ids(tmp_path, written.files) == ["s", "new"]
        assert (written.live_files, written.live) == (2, 1)

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 4))
    def test_files_stay_few(self, deliveries: list[int], smallest: int) -> None:
        """However deliveries come, a destination has about log2 of its rows as files."""
        sizes: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoding, "ROW_GROUP_ROWS", smallest * 8)
            for news in deliveries:
                sizes = after_delivery(sizes, news)
        assert sum(sizes) == sum(deliveries)
        assert len(sizes) <= 1 + math.log2(sum(sizes))

    def test_two_hundred_deliveries_of_a_thousand(self) -> None:
        """The number that the README states: into one partition, never more than five files."""
        sizes: list[int] = []
        most = 0
        for _ in range(200):
            sizes = after_delivery(sizes, 1000)
            most = max(most, len(sizes))
        assert sum(sizes) == 200_000
        assert most <= 5

    def test_two_hundred_small_deliveries(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The table does not rot: few files, no row lost or doubled, few rewritten each time.

        Seen to fail (200 files) with `_folded` giving only files with superseded rows.
        """
        monkeypatch.setattr(encoding, "ROW_GROUP_ROWS", 8)
        files: dict[str, DataFile] = {}
        rewritten = most_files = 0
        for number in range(200):
            news = staged(tmp_path, [event(f"e{number}", number)])
            old = [Routed(LiveFile(0, file, 100 * file.rows), b"") for file in files.values()]

            written = write_rows(tmp_path, [*old, news])

            rewritten += written.live
            for file in written.replaced:
                del files[file.path]
            files.update({file.path: file for file in written.files})
            most_files = max(most_files, len(files))
        assert sorted(ids(tmp_path, list(files.values()))) == sorted(f"e{n}" for n in range(200))
        assert most_files <= 1 + math.log2(200)
        assert rewritten <= 200 * math.log2(200)


def after_delivery(sizes: list[int], news: int) -> list[int]:
    """The rows of a destination's files after a delivery of news, from those before it."""
    files = [
        Rows(LiveFile(0, data_file(str(n), rows), 100 * rows), NO_ROWS)
        for n, rows in enumerate(sizes)
    ]
    staged = Rows(Slice(HERE, "", 0, 100 * news, 0, news, 0), NO_ROWS)
    taken = write._folded(files, [staged], 1 << 28)
    gone = {part.origin.file.path for part in taken if isinstance(part.origin, LiveFile)}
    left = [rows for n, rows in enumerate(sizes) if str(n) not in gone]
    return [*left, news + sum(part.kept for part in taken)]


def data_file(path: str, rows: int, **changes: Any) -> DataFile:
    """A live file of that many rows, which is not there."""
    return DataFile(path, HERE, rows, 100, None, None)._replace(**changes)
