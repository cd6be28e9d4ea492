import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import parquet, table
from pipeline.parquet import Rows, Written
from pipeline.partitions import Destination
from pipeline.table import DataFile
from tests.helpers import MIDNIGHT, NO_ROWS, Event, read_events, rows_of, write_live

HERE = Destination("account", "created", 2021, 1, 8)


def event(id_: str, second: int, **fields: str) -> Event:
    """An event of this second of the day; all are of one destination."""
    return Event(id_, f"2021-01-08T00:{second // 60:02d}:{second % 60:02d}Z", **fields)


def staged(folder: Path, events: Sequence[Event], superseded: Sequence[int] = ()) -> Rows:
    """The events as staged rows of one destination."""
    (slice_,) = read_events(folder, events).slices
    return Rows(slice_, np.array(superseded, np.int64))


def live(folder: Path, events: Sequence[Event], superseded: Sequence[int] = ()) -> Rows:
    """The events as rows of a live file."""
    return Rows(write_live(folder, events), np.array(superseded, np.int64))


def write(folder: Path, rows: Sequence[Rows], target_bytes: int = 1 << 28) -> Written:
    """Writes one destination."""
    return parquet.write_destination(
        rows, parquet.WriteSettings(f"{folder}/out", "r1", target_bytes)
    )


def contents(folder: Path, files: Sequence[DataFile]) -> list[pa.Table]:
    """What is in files."""
    return [pq.ParquetFile(f"{folder}/out/{file.path}").read() for file in files]


def ids(folder: Path, files: Sequence[DataFile]) -> list[str]:
    """The event_ids in files, in their order."""
    return [id_ for content in contents(folder, files) for id_ in content["event_id"].to_pylist()]


def data_files(folder: Path) -> set[str]:
    """All files in the table's folder."""
    return {str(path) for path in (folder / "out").rglob("*") if path.is_file()}


class TestContent:
    """What a new file holds."""

    def test_rows_come_back_as_delivered(self, tmp_path: Path) -> None:
        """Payloads keep their bytes; nanoseconds and unknown fields are kept, too."""
        events = [
            event("a", 2, data='{"n": 1.23456789012345678901, "s": "\\u00e9"}'),
            Event("b", "2021-01-08T00:00:03.000000789Z", more='"v":1.0'),
        ]

        (file,) = write(tmp_path, [staged(tmp_path, events)]).files

        (content,) = contents(tmp_path, [file])
        assert content.schema.equals(table.FILE_SCHEMA)
        assert rows_of(content, HERE) == [one.row() for one in events]

    def test_rows_are_sorted_by_time(self, tmp_path: Path) -> None:
        """Whatever they come from; those of one instant by event_id.

        Seen to fail with `order` replaced by the rows as they come.
        """
        parts = [
            staged(tmp_path, [event("d", 5), event("b", 3)]),
            live(tmp_path, [event("c", 4), event("a", 5)]),
        ]
        assert ids(tmp_path, write(tmp_path, parts).files) == ["b", "c", "a", "d"]

    @given(
        st.lists(
            st.tuples(st.integers(-3, 3), st.text("ab", max_size=3)),
            unique=True,
            min_size=1,
            max_size=20,
        )
    )
    def test_ties_are_sorted_by_id(self, rows: list[tuple[int, str]]) -> None:
        """A table has its rows in one order, in whatever order they have come.

        Seen to fail with the rows left as `argsort` has put them.
        """
        micros = np.array([instant for instant, _ in rows], np.int64)
        content = pa.table(
            {
                "timestamp": pa.array(micros).cast(pa.timestamp("us", "UTC")),
                "event_id": pa.array([id_ for _, id_ in rows], pa.string()),
            }
        )
        order = parquet._by_time(content, micros)
        assert [rows[row] for row in order] == sorted(rows)

    def test_superseded_rows_are_left_out(self, tmp_path: Path) -> None:
        """Of staged rows and live ones; the counts say what became of all (invariant 3).

        Seen to fail with `keep[rows.superseded]` set on the rows beside them.
        """
        parts = [
            staged(tmp_path, [event("a", 1), event("b", 2), event("c", 3)], [0, 2]),
            live(tmp_path, [event("d", 4), event("e", 5)], [1]),
        ]

        written = write(tmp_path, parts)

        assert ids(tmp_path, written.files) == ["b", "d"]
        assert written._replace(files=(), replaced=()) == Written(
            files=(), replaced=(), slices=1, live_files=1, staged=1, superseded=3, live=1
        )
        assert written.replaced == (parts[1].source,)

    def test_the_description_is_true(self, tmp_path: Path) -> None:
        """Path, size, rows and times go into the log, where readers rely on them."""
        (file,) = write(tmp_path, [staged(tmp_path, [event("a", 61), event("b", 2)])]).files
        path = tmp_path / "out" / file.path
        assert file == DataFile(
            file.path, HERE, 2, path.stat().st_size, MIDNIGHT + 2_000_000, MIDNIGHT + 61_000_000
        )
        assert file.path.startswith("_eventsift/new/r1/part-r1-")

    def test_every_row_group_has_statistics(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Readers skip row groups by timestamp, and we by event_id."""
        monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 2)

        (file,) = write(tmp_path, [staged(tmp_path, [event(f"e{n}", n) for n in range(5)])]).files

        metadata = pq.ParquetFile(tmp_path / "out" / file.path).metadata
        seconds = []
        for group in range(metadata.num_row_groups):
            found = {
                metadata.row_group(group).column(column).path_in_schema: metadata.row_group(group)
                .column(column)
                .statistics
                for column in range(metadata.num_columns)
            }
            seconds.append((found["timestamp"].min.second, found["timestamp"].max.second))
            assert (found["event_id"].min, found["event_id"].max) == (
                f"e{seconds[-1][0]}",
                f"e{seconds[-1][1]}",
            )
        assert seconds == [(0, 1), (2, 3), (4, 4)]

    def test_large_destinations_get_several_files(self, tmp_path: Path) -> None:
        """About as many as their size asks for, each with the times after the one before."""
        events = [event(f"e{n}", n, data=f'"{"x" * 1000}"') for n in range(40)]

        files = write(tmp_path, [staged(tmp_path, events)], target_bytes=10_000).files

        assert 4 <= len(files) <= 6
        assert ids(tmp_path, files) == [one.id for one in events]
        times = [time for file in files for time in (file.min_timestamp, file.max_timestamp)]
        assert times == sorted(times)
        assert max(file.rows for file in files) * 1000 <= 10_000

    def test_a_step_that_runs_twice_writes_other_files(self, tmp_path: Path) -> None:
        """Only names that reach the commit count, so a name is never used again (invariant 5).

        Seen to fail with the files numbered from 0.
        """
        rows = [staged(tmp_path, [event("a", 1)])]
        first, second = write(tmp_path, rows).files, write(tmp_path, rows).files
        assert first[0].path != second[0].path
        assert ids(tmp_path, [*first, *second]) == ["a", "a"]


class TestWhatIsRewritten:
    """Live files stay as they are, unless there is a reason."""

    def test_without_news_nothing_is_written(self, tmp_path: Path) -> None:
        """All that was delivered is superseded, and no live row: no file changes (invariant 6).

        Seen to fail without the early return of `_rewritten`.
        """
        rows = [staged(tmp_path, [event("a", 1)], [0]), live(tmp_path, [event("b", 2)])]
        before = data_files(tmp_path)

        written = write(tmp_path, rows)

        assert written == Written((), (), 1, 1, 0, 1, 0)
        assert data_files(tmp_path) == before

    def test_a_live_file_with_superseded_rows_is_replaced(self, tmp_path: Path) -> None:
        """Also where nothing was delivered: the later version is of another destination.

        Seen to fail with live files considered only if there are staged rows (invariant 2).
        """
        rows = [live(tmp_path, [event("a", 1), event("b", 2)], [0])]
        written = write(tmp_path, rows)
        assert ids(tmp_path, written.files) == ["b"]
        assert written.replaced == (rows[0].source,)

    def test_a_live_file_of_which_nothing_is_left_just_goes(self, tmp_path: Path) -> None:
        """No empty file takes its place."""
        rows = [live(tmp_path, [event("a", 1)], [0])]
        assert write(tmp_path, rows) == Written((), (rows[0].source,), 0, 1, 0, 1, 0)

    def test_large_live_files_stay(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A small delivery does not write a large destination anew (invariant 6).

        Seen to fail with all live files rewritten.
        """
        monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 8)
        large = live(tmp_path, [event(f"e{n}", n) for n in range(10)])
        small = live(tmp_path, [event("s", 20)])

        written = write(tmp_path, [large, small, staged(tmp_path, [event("new", 30)])])

        assert written.replaced == (small.source,)
        assert ids(tmp_path, written.files) == ["s", "new"]
        assert (written.live_files, written.live) == (2, 1)

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 4))
    def test_files_stay_few(self, deliveries: list[int], smallest: int) -> None:
        """However deliveries come, a destination has about log2 of its rows as files."""
        sizes: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parquet, "ROW_GROUP_ROWS", smallest * 8)
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

        Seen to fail (200 files) with `_rewritten` giving only files with superseded rows.
        """
        monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 8)
        files: dict[str, DataFile] = {}
        rewritten = most_files = 0
        for number in range(200):
            news = staged(tmp_path, [event(f"e{number}", number)])
            old = [Rows(file, NO_ROWS) for file in files.values()]

            written = write(tmp_path, [*old, news])

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
    files = [Rows(data_file(str(n), rows), NO_ROWS) for n, rows in enumerate(sizes)]
    taken = parquet._rewritten(files, news)
    gone = {part.source.path for part in taken if isinstance(part.source, DataFile)}
    left = [rows for n, rows in enumerate(sizes) if str(n) not in gone]
    return [*left, news + sum(part.kept for part in taken)]


def data_file(path: str, rows: int, **changes: Any) -> DataFile:
    """A live file of that many rows, which is not there."""
    return DataFile(path, HERE, rows, 100, None, None)._replace(**changes)
