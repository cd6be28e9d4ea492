from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys.partitions import Destination
from pipeline.rows import content, encoding, merging, parquet
from pipeline.rows.content import Rows
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.table import datafiles
from pipeline.table.datafiles import DataFile
from tests.by_hand import read_events, slices_of, write_live
from tests.deliveries import MIDNIGHT, Event, as_rows
from tests.tables import rows_of

HERE = Destination("account", "created", 2021, 1, 8)


def event(id_: str, second: int, **fields: str) -> Event:
    """An event of this second of the day; all are of one destination."""
    return Event(id_, f"2021-01-08T00:{second // 60:02d}:{second % 60:02d}Z", **fields)


def staged(folder: Path, events: Sequence[Event], superseded: Sequence[int] = ()) -> Rows:
    """The events as staged rows of one destination."""
    (slice_,) = slices_of(read_events(folder, events))
    return Rows(slice_, np.array(superseded, np.int64))


def live(folder: Path, events: Sequence[Event], superseded: Sequence[int] = ()) -> Rows:
    """The events as rows of a live file."""
    return Rows(
        LiveFile(0, write_live(folder, events), 100 * len(events)), np.array(superseded, np.int64)
    )


def write(folder: Path, rows: Sequence[Rows], target_bytes: int = 1 << 28) -> list[DataFile]:
    """Writes one destination."""
    settings = WriteSettings(f"{folder}/out", "r1", target_bytes)
    return list(parquet.write([rows], settings))


def contents(folder: Path, files: Sequence[DataFile]) -> list[pa.Table]:
    """What is in files."""
    return [pq.ParquetFile(f"{folder}/out/{file.path}").read() for file in files]


def ids(folder: Path, files: Sequence[DataFile]) -> list[str]:
    """The event_ids in files, in their order."""
    return [id_ for content in contents(folder, files) for id_ in content["event_id"].to_pylist()]


class TestContent:
    """What a new file holds."""

    def test_rows_come_back_as_delivered(self, tmp_path: Path) -> None:
        """Payloads keep their bytes; nanoseconds and unknown fields are kept, too."""
        events = [
            event("a", 2, data='{"n": 1.23456789012345678901, "s": "\\u00e9"}'),
            Event("b", "2021-01-08T00:00:03.000000789Z", more='"v":1.0'),
        ]

        (file,) = write(tmp_path, [staged(tmp_path, events)])

        (content,) = contents(tmp_path, [file])
        assert content.schema.equals(datafiles.FILE_SCHEMA)
        assert rows_of(content, HERE) == as_rows(events)

    def test_rows_are_sorted_by_time(self, tmp_path: Path) -> None:
        """Whatever they come from; rows of one instant are sorted by event_id.

        Seen to fail with `order` replaced by the rows as they come.
        """
        parts = [
            staged(tmp_path, [event("d", 5), event("b", 3)]),
            live(tmp_path, [event("c", 4), event("a", 5)]),
        ]
        assert ids(tmp_path, write(tmp_path, parts)) == ["b", "c", "a", "d"]

    @given(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(-3, 3), st.text("ab", max_size=3)),
            unique=True,
            min_size=1,
            max_size=20,
        )
    )
    def test_ties_are_sorted_by_id(self, rows: list[tuple[int, int, str]]) -> None:
        """A table has its rows in one order, in whatever order they have come.

        Seen to fail with the rows left as `argsort` has put them.
        """
        rows.sort(key=lambda row: row[0])  # destination by destination
        micros = np.array([instant for _, instant, _ in rows], np.int64)
        table = pa.table(
            {
                "timestamp": pa.array(micros).cast(pa.timestamp("us", "UTC")),
                "event_id": pa.array([id_ for *_, id_ in rows], pa.string()),
            }
        )
        numbers = np.array([number for number, *_ in rows], np.int32)
        order = content.in_order(table, numbers, micros)
        assert [rows[row] for row in order] == sorted(rows)

    def test_the_description_is_true(self, tmp_path: Path) -> None:
        """Path, size, rows and times go into the log, where readers rely on them."""
        (file,) = write(tmp_path, [staged(tmp_path, [event("a", 61), event("b", 2)])])
        path = tmp_path / "out" / file.path
        assert file == DataFile(
            file.path, HERE, 2, path.stat().st_size, MIDNIGHT + 2_000_000, MIDNIGHT + 61_000_000
        )
        assert file.path.startswith("_eventsift/new/r1/part-r1-")

    def test_files_that_stay_hidden_lie_in_folders_that_say_their_partition(
        self, tmp_path: Path
    ) -> None:
        """With --keep-history; Polars takes the values from there."""
        settings = WriteSettings(str(tmp_path / "out"), "r1", 1 << 28, keeps_history=True)
        (file,) = parquet.write([[staged(tmp_path, [event("a", 61)])]], settings)
        assert file.path.startswith(f"_eventsift/new/r1/{datafiles.directory(HERE)}/part-r1-")

    def test_every_row_group_has_statistics(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Readers skip row groups by timestamp, and we by event_id."""
        monkeypatch.setattr(encoding, "ROW_GROUP_ROWS", 2)

        (file,) = write(tmp_path, [staged(tmp_path, [event(f"e{n}", n) for n in range(5)])])

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

        files = write(tmp_path, [staged(tmp_path, events)], target_bytes=10_000)

        assert 4 <= len(files) <= 6
        assert ids(tmp_path, files) == [one.id for one in events]
        times = [time for file in files for time in (file.min_timestamp, file.max_timestamp)]
        assert times == sorted(times)
        assert max(file.rows for file in files) * 1000 <= 10_000

    @pytest.mark.parametrize("limit", [40, 500, 3000])
    def test_texts_of_more_than_an_array_holds_are_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        """Rows, order and columns are as ever; an event may even be as large as the limit."""
        data = [f'"{number}{"x" * (number * 7 % 50)}"' for number in range(60)]
        events = [
            event(f"e{number:02}", 60 - number, data=text) for number, text in enumerate(data)
        ]
        parts = [
            staged(tmp_path / "new", events[:20], superseded=[3]),
            live(tmp_path, events[20:40], superseded=[0, 19]),
            staged(tmp_path / "new", events[40:]),
        ]
        plain = contents(tmp_path, write(tmp_path, parts))
        monkeypatch.setattr(merging, "GROUP_BYTES", limit)
        monkeypatch.setattr(merging, "_PIECE_BYTES", limit)

        files = list(parquet.write_large(parts, WriteSettings(f"{tmp_path}/out", "r1", 1 << 28)))

        assert contents(tmp_path, files) == plain
        groups = pq.ParquetFile(f"{tmp_path}/out/{files[0].path}").num_row_groups
        assert groups > 1 or limit == 3000

    def test_a_step_that_runs_twice_writes_other_files(self, tmp_path: Path) -> None:
        """Only names that reach the commit count, so a name is never used again (invariant 5).

        Seen to fail with the files numbered from 0.
        """
        rows = [staged(tmp_path, [event("a", 1)])]
        first, second = write(tmp_path, rows), write(tmp_path, rows)
        assert first[0].path != second[0].path
        assert ids(tmp_path, [*first, *second]) == ["a", "a"]


class TestEncodings:
    """What readers have to know to read a file."""

    def test_every_reader_knows_the_encodings(self, tmp_path: Path) -> None:
        """Spark 3.0 and fastparquet know no others; nor do older versions of Hive and Impala."""
        (file,) = write(tmp_path, [staged(tmp_path, [event("a", 1, more='"v":1'), event("b", 2)])])
        metadata = pq.ParquetFile(tmp_path / "out" / file.path).metadata
        used = {
            encoding
            for group in range(metadata.num_row_groups)
            for column in range(metadata.num_columns)
            for encoding in metadata.row_group(group).column(column).encodings
        }
        assert used <= {"PLAIN", "RLE", "BIT_PACKED", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}

    @pytest.mark.parametrize("earlier", [False, True])
    def test_a_files_content_is_never_underestimated(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
    ) -> None:
        """By its footer it is as large as in memory, or a little larger; of earlier versions, too.

        Seen to fail with 23 bytes a row on top of the plain encoding: merged files stayed small.
        """
        if earlier:
            texts = dict.fromkeys(("event_id", "data"), "DELTA_LENGTH_BYTE_ARRAY")
            numbers = dict.fromkeys(("timestamp", "nanos"), "DELTA_BINARY_PACKED")
            monkeypatch.setattr(encoding, "_DICTIONARY", False)
            monkeypatch.setattr(encoding, "_ENCODINGS", {**texts, **numbers})
        events = [event(f"e{n}", n, data=f'"{n:020}"') for n in range(1000)]
        (file,) = write(tmp_path, [staged(tmp_path, events)])

        (content,) = contents(tmp_path, [file])
        size = parquet.content_bytes(file, f"{tmp_path}/out")
        assert content.nbytes <= size <= 1.1 * content.nbytes
