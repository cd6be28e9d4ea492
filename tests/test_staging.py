from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import events, staging
from pipeline.decoding import Part, decode
from pipeline.partitions import Destination
from tests.helpers import EVENTS, ID_SEED, Event, read_events, rows_of

MAX_ROW = (1 << 40) - 1
MAX_SOURCE = (1 << 23) - 1


def event_table(some: list[Event]) -> pa.Table:
    """Events as they come from decoding."""
    part = Part("in.jsonl", 0, "\n".join(event.line() for event in some).encode())
    table, rejects = events.to_table([(part, decode(part))], 1 << 20, ID_SEED)
    assert not rejects
    return table


class TestStage:
    """What goes into a staged file comes out of it, by destination."""

    def test_rows_lie_by_destination(self, tmp_path: Path) -> None:
        """A slice says where its rows belong, and reading it gives just them, in their order."""
        table = event_table(
            [
                Event("a", event_type="sale"),
                Event("b", "2021-01-09T00:00:00Z"),
                Event("c"),
                Event("d", event_type="sale"),
            ]
        )

        staged, slices = staging.stage(table, str(tmp_path), 10)

        assert [(part.destination, part.first_row, part.rows) for part in slices] == [
            (Destination("account", "created", 2021, 1, 8), 10, 1),
            (Destination("account", "created", 2021, 1, 9), 11, 1),
            (Destination("account", "sale", 2021, 1, 8), 12, 2),
        ]
        assert [staging.read_slice(part)["event_id"].to_pylist() for part in slices] == [
            ["c"],
            ["b"],
            ["a", "d"],
        ]
        assert staged["event_id"].to_pylist() == ["c", "b", "a", "d"]

    @given(st.lists(EVENTS, min_size=1, max_size=12))
    def test_slices_hold_every_row_once(
        self, tmp_path_factory: pytest.TempPathFactory, some: list[Event]
    ) -> None:
        """Rows are neither lost nor doubled nor changed, and their numbers are those of versions.

        Seen to fail with the slices' rows off by one, and with the events left unsorted.
        """
        folder = tmp_path_factory.mktemp("staged")

        staged, slices = staging.stage(event_table(some), str(folder), 7)

        found = []
        for part in slices:
            content = staging.read_slice(part)
            start = part.first_row - 7
            assert (
                content["event_id"].to_pylist()
                == (staged["event_id"].to_pylist()[start : start + part.rows])
            )
            found += rows_of(content, part.destination)
        numbers = [part.first_row + row for part in slices for row in range(part.rows)]
        assert numbers == list(range(7, 7 + len(some)))
        assert sorted(found, key=repr) == sorted((event.row() for event in some), key=repr)

    def test_every_staged_file_has_a_name_of_its_own(self, tmp_path: Path) -> None:
        """A step that runs twice never meets its own files (invariant 5).

        Seen to fail with a file name made of `first_row`.
        """
        table = event_table([Event("a")])
        paths = {staging.stage(table, str(tmp_path), 0)[1][0].path for _ in range(3)}
        assert len(paths) == 3

    def test_a_version_finds_its_row(self, tmp_path: Path) -> None:
        """`where` leads from a version to its payload, in every part of a block."""
        some = [Event(f"e{n}", data=str(n), event_type=f"t{n % 3}") for n in range(9)]

        block = read_events(tmp_path, some, buckets=2)

        versions = block.versions.table
        assert set(staging.source_of(versions["where"].to_numpy())) == {staging.FIRST_BLOCK}
        rows = staging.row_of(versions["where"].to_numpy()).tolist()
        hashes = dict(zip(rows, versions["id_low"].to_pylist(), strict=True))
        for part in block.slices:
            ids = staging.read_slice(part)["event_id"].to_pylist()
            assert events.hash_ids(ids, ID_SEED)[1].tolist() == (
                [hashes[part.first_row + row] for row in range(part.rows)]
            )


class TestWhere:
    """A place is one integer: a source and a row."""

    @given(st.integers(0, MAX_SOURCE), st.integers(0, MAX_ROW))
    def test_source_and_row_come_back(self, source: int, row: int) -> None:
        """Round trip for any source and row that fit."""
        where = staging.place(source, np.array([row]))
        assert staging.source_of(where).tolist() == [source]
        assert staging.row_of(where).tolist() == [row]

    @pytest.mark.parametrize(
        "source", [0, staging.FIRST_BLOCK - 1, staging.FIRST_BLOCK, MAX_SOURCE]
    )
    @pytest.mark.parametrize("row", [0, MAX_ROW])
    def test_at_the_limits(self, source: int, row: int) -> None:
        """The largest source and row fit, and stay positive: they are compared by `where`."""
        where = staging.place(source, np.array([row]))
        assert where.dtype == np.int64
        assert where[0] >= 0
        assert (staging.source_of(where)[0], staging.row_of(where)[0]) == (source, row)

    def test_live_files_come_before_blocks(self) -> None:
        """Of equal versions the smallest `where` stays, which then is the live one."""
        live = staging.place(staging.FIRST_BLOCK - 1, np.array([MAX_ROW]))
        block = staging.place(staging.FIRST_BLOCK, np.array([0]))
        assert live[0] < block[0]


class TestBuckets:
    """All versions of an event_id meet in one bucket."""

    @given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.sampled_from([1, 2, 3, 7, 40_000]))
    def test_every_row_is_in_the_bucket_of_its_id(self, hashes: list[int], buckets: int) -> None:
        """No row is lost or doubled, and its bucket depends on its event_id alone.

        Seen to fail with the buckets counted in int8 (40,000 of them wrap around).
        """
        rows = np.arange(len(hashes))
        ids = np.array([hashes, hashes], np.uint64)

        parts = list(staging.by_bucket(staging.versions(ids, rows, rows, rows), buckets).split())

        assert all(len(versions) for _, versions in parts)
        found = [(row, number) for number, part in parts for row in part["where"].to_pylist()]
        assert sorted(found) == [(row, hash_ % buckets) for row, hash_ in enumerate(hashes)]
        assert len({number for number, _ in parts}) == len(parts)
