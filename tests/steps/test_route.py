"""Routing: large destinations go to several shards, and every row to one of them."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.keys import partitions
from pipeline.keys.partitions import Destination
from pipeline.keys.weights import Cut
from pipeline.rows import staging
from pipeline.rows.live_rows import LiveFile
from pipeline.steps import route
from pipeline.steps.route import Routed
from pipeline.table.datafiles import DataFile
from tests.deliveries import MIDNIGHT

MONDAY = Destination("account", "created", 2021, 1, 8)
TUESDAY = Destination("account", "created", 2021, 1, 9)
NOTHING = np.empty(0, np.int64)
TARGET_BYTES = 1000


def staged(*slices: tuple[Destination, int], shard: int = 3, first_row: int = 0) -> staging.Slices:
    """Slices of five rows each, by destination and second of the day."""
    seconds = np.array([second for _, second in slices], np.int64)
    return staging.Slices(
        shard,
        "x.arrow",
        first_row,
        tuple(destination[:] for destination, _ in slices),
        (5,) * len(slices),
        tuple(range(0, 100 * len(slices) + 1, 100)),
        partitions.position(seconds * 1_000_000, 0 * seconds).tobytes(),
    )


def cut(destination: Destination, first_shard: int, *seconds: int) -> dict[int, Cut]:
    """Where a destination is cut."""
    positions = tuple(partitions.position(second * 1_000_000, 0) for second in seconds)
    return {partitions.hash_of(destination): Cut(first_shard, positions)}


def rows_of_routed(routed: Routed) -> list[int]:
    """The superseded rows, counted from the first of the origin."""
    return np.frombuffer(routed.superseded, np.int64).tolist()


class TestBlock:
    """The slices of a block."""

    def test_those_of_a_large_destination_go_by_their_times(self) -> None:
        """The others stay together; superseded rows go with their slices.

        Seen to fail with the rows of a part counted from the first row of all slices.
        """
        slices = staged((MONDAY, 0), (TUESDAY, 9), (TUESDAY, 10), (TUESDAY, 11), first_row=100)

        found = list(route.block([slices], np.array([101, 106, 114]), cut(TUESDAY, 512, 10)))

        assert [shard for shard, _ in found] == [3, 512, 513]
        assert [
            [(part.destination, part.first_row, part.offset) for part in routed.origin.each()]
            for _, routed in found
            if isinstance(routed.origin, staging.Slices)
        ] == [
            [(MONDAY, 100, 0)],
            [(TUESDAY, 105, 100)],
            [(TUESDAY, 110, 200), (TUESDAY, 115, 300)],
        ]
        assert [rows_of_routed(routed) for _, routed in found] == [[1], [1], [4]]
        assert {routed.origin.shard for _, routed in found} == {3, 512, 513}

    def test_without_large_destinations_slices_stay_together(self) -> None:
        """Thousands of small destinations cost what they always have."""
        slices = staged((MONDAY, 0), (TUESDAY, 9))
        ((shard, routed),) = route.block([slices], NOTHING, {})
        assert (shard, routed.origin) == (3, slices)
        assert routed.origin is slices


class TestLiveFile:
    """Live files."""

    @pytest.fixture
    def live(self) -> LiveFile:
        """One that is small."""
        ends = MIDNIGHT + 9_000_000, MIDNIGHT + 50_000_000
        return LiveFile(3, DataFile("live.parquet", MONDAY, 10, 100, *ends), TARGET_BYTES // 4 - 1)

    def routed(
        self, live: LiveFile, rows: Sequence[int], cuts: dict[int, Cut]
    ) -> list[tuple[int, Routed]]:
        """Where it goes."""
        found = route.live_file(7, live, np.array(rows, np.int64), cuts, TARGET_BYTES)
        return list(found)

    def test_a_small_one_goes_with_its_destination(self, live: LiveFile) -> None:
        """To the shard of small destinations, or to the one that has the first of its times."""
        assert self.routed(live, [2], {}) == [(3, Routed(live, np.array([2]).tobytes()))]
        assert self.routed(live, [], cut(MONDAY, 512, 8, 9, 10))[0][0] == 514
        assert self.routed(live, [], cut(TUESDAY, 512, 8, 9, 10))[0][0] == 3

    def test_a_full_one_stays(self, live: LiveFile) -> None:
        """Nobody who writes needs to know of it."""
        assert self.routed(live._replace(bytes=TARGET_BYTES // 4), [], {}) == []

    def test_a_full_one_with_superseded_rows_is_a_shard(self, live: LiveFile) -> None:
        """Many such files of one destination are written side by side.

        Seen to fail with the shard of the destination.
        """
        full = live._replace(bytes=TARGET_BYTES // 4)
        ((shard, routed),) = self.routed(full, [4], cut(MONDAY, 512, 8, 9, 10))
        assert (shard, routed.origin, rows_of_routed(routed)) == (-8, full, [4])
