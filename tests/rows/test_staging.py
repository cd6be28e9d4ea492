import itertools
from collections import Counter
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.input import events
from pipeline.input.decoding import Part, decode
from pipeline.keys import partitions, versions
from pipeline.keys.partitions import Destination
from pipeline.rows import staging
from tests.by_hand import ID_SEED, content_of, read_events, slices_of
from tests.deliveries import EVENTS, Event, as_rows
from tests.oracle import Rows
from tests.tables import rows_of


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

        staged, (shard,) = staging.stage(table, str(tmp_path), 10, 1)
        slices = list(shard.each())

        assert [(part.destination, part.first_row, part.rows) for part in slices] == [
            (Destination("account", "created", 2021, 1, 8), 10, 1),
            (Destination("account", "created", 2021, 1, 9), 11, 1),
            (Destination("account", "sale", 2021, 1, 8), 12, 2),
        ]
        assert [content_of(part)["event_id"].to_pylist() for part in slices] == [
            ["c"],
            ["b"],
            ["a", "d"],
        ]
        assert staged["event_id"].to_pylist() == ["c", "b", "a", "d"]

    @given(st.lists(EVENTS, min_size=1, max_size=12), st.integers(1, 4))
    def test_slices_hold_every_row_once(
        self, tmp_path_factory: pytest.TempPathFactory, some: list[Event], shards: int
    ) -> None:
        """Rows are neither lost nor doubled nor changed, and their numbers are those of versions.

        Seen to fail with the slices' rows off by one, and with the events left unsorted.
        """
        folder = tmp_path_factory.mktemp("staged")

        staged, found_shards = staging.stage(event_table(some), str(folder), 7, shards)
        slices = [part for shard in found_shards for part in shard.each()]

        found: Rows = Counter()
        for part in slices:
            content = content_of(part)
            start = part.first_row - 7
            assert (
                content["event_id"].to_pylist()
                == (staged["event_id"].to_pylist()[start : start + part.rows])
            )
            found += rows_of(content, part.destination)
        numbers = [part.first_row + row for part in slices for row in range(part.rows)]
        assert numbers == list(range(7, 7 + len(some)))
        assert found == as_rows(some)

    def test_a_shard_has_all_rows_of_its_destinations(self, tmp_path: Path) -> None:
        """In every block the same ones, one after another."""
        some = [Event(f"e{n}", event_type=f"t{n % 7}") for n in range(20)]

        _, found = staging.stage(event_table(some), str(tmp_path), 0, 3)

        shards = {slices.shard: [*slices.each()] for slices in found}
        assert len(shards) == len(found) > 1
        for shard, slices in shards.items():
            assert {partitions.shard_of(one.destination, 3) for one in slices} == {shard}
            for one, following in itertools.pairwise(slices):
                assert one.offset + one.bytes == following.offset
                assert one.first_row + one.rows == following.first_row

    def test_slices_come_in_the_order_asked_for(self, tmp_path: Path) -> None:
        """However they lie, and with as few reads as there are gaps.

        Seen to fail with the batches given in the order read.
        """
        some = [Event(f"e{n}", event_type=f"t{n}") for n in range(6)]
        _, (shard,) = staging.stage(event_table(some), str(tmp_path), 0, 1)
        slices = list(shard.each())
        asked = [slices[n] for n in (4, 0, 5, 1)]

        with mock.patch.object(storage, "read_part", wraps=storage.read_part) as reads:
            found = [batch["event_id"].to_pylist() for batch in staging.read_slices(asked)]

        assert found == [["e4"], ["e0"], ["e5"], ["e1"]]
        assert reads.call_count == 2

    def test_every_staged_file_has_a_name_of_its_own(self, tmp_path: Path) -> None:
        """A step that runs twice never meets its own files (invariant 5).

        Seen to fail with a file name made of `first_row`.
        """
        table = event_table([Event("a")])
        paths = {staging.stage(table, str(tmp_path), 0, 1)[1][0].path for _ in range(3)}
        assert len(paths) == 3

    @pytest.mark.parametrize("stored", [False, True])
    def test_a_version_finds_its_row(self, tmp_path: Path, stored: bool) -> None:
        """`location` leads from a version to its payload, in every part of a block."""
        some = [Event(f"e{n}", data=str(n), event_type=f"t{n % 3}") for n in range(9)]

        scratch = str(tmp_path) if stored else ""
        block = read_events(tmp_path, some, buckets=2, scratch=scratch)

        found = versions.unpack([block.versions.packed])
        assert set(versions.origins_of(found["location"]).tolist()) == {versions.FIRST_BLOCK}
        rows = versions.rows_of(found["location"]).tolist()
        hashes = dict(zip(rows, found["id_low"].tolist(), strict=True))
        for part in slices_of(block):
            ids = content_of(part)["event_id"].to_pylist()
            assert events.hash_ids(ids, ID_SEED)[1].tolist() == (
                [hashes[part.first_row + row] for row in range(part.rows)]
            )


class TestProvenance:
    """Rows that say which file and run they come from."""

    def test_each_row_has_its_own(self, tmp_path: Path) -> None:
        """Also where a slice has rows of several files, in any order."""
        parts = [
            Part(f"/in/{number}", 0, "\n".join(event.line() for event in some).encode())
            for number, some in enumerate(
                [
                    [Event("a"), Event("b", event_type="sale")],
                    [Event("c"), Event("d")],
                    [Event("e")],
                ]
            )
        ]
        tables = [events.to_table([(part, decode(part))], 1 << 20, ID_SEED)[0] for part in parts]

        _, (shard,) = staging.stage(pa.concat_tables(tables), str(tmp_path), 0, 1, "r1")

        first, second = shard.each()
        rows, others = staging.read_slices([first, second])
        names = ["event_id", "source_file", "run"]
        assert list(zip(*(rows[name].to_pylist() for name in names), strict=True)) == [
            ("a", "/in/0", "r1"), ("c", "/in/1", "r1"), ("d", "/in/1", "r1"), ("e", "/in/2", "r1"),
        ]  # fmt: skip
        assert others["source_file"].to_pylist() == ["/in/0"]
        assert (first.provenance, shard.part(0, 0, 1).provenance) == (True, True)

    def test_a_path_is_staged_once_for_many_rows(self, tmp_path: Path) -> None:
        """It would be a third of what is staged."""
        some = [Event(f"{number:05}") for number in range(5000)]
        part = Part("/in/" + "x" * 500, 0, "\n".join(event.line() for event in some).encode())
        table, _ = events.to_table([(part, decode(part))], 1 << 20, ID_SEED)
        sizes = []
        for run in ("", "r1"):
            _, (shard,) = staging.stage(table, str(tmp_path), 0, 1, run)
            sizes.append(shard.offsets[-1])
        assert sizes[1] - sizes[0] < 5000 * 10
