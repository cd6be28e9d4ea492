"""The steps from reading to writing, without Beam: any shards make the same table."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.keys import delivery_keys, versions, weights
from pipeline.rows import encoding, merging, parquet, staging
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.steps import latest as combining
from pipeline.steps import read, route, scan, write
from pipeline.steps.plan import ScanTask
from pipeline.steps.route import Routed
from pipeline.steps.sizes import SHARDS_LIMIT, Sizes
from pipeline.table.datafiles import DataFile
from tests.by_hand import ID_SEED, NO_FILTER, read_events
from tests.deliveries import EVENTS, Event, latest
from tests.oracle import Rows
from tests.tables import rows_of

SIZES = Sizes(ID_SEED, 1, 2, NO_FILTER)
HUGE = 1 << 28


class Table:
    """A table that is made by the steps alone."""

    def __init__(self, folder: Path, target_bytes: int) -> None:
        self._folder = folder
        self._settings = WriteSettings(f"{folder}/out", "20210108T000000-0a1b2c", target_bytes)
        self._files: list[DataFile] = []

    def deliver(self, blocks: Sequence[Sequence[Event]]) -> set[int]:
        """Merges a delivery, in some blocks, into the table; the shards that were written."""
        reads = [
            read_events(self._folder, events, number=versions.FIRST_BLOCK + n, shards=2)
            for n, events in enumerate(blocks)
        ]
        delivery = delivery_keys.union(one.delivery_keys for one in reads)
        scans = [
            scan.scan_file(self._settings.root, ScanTask(n, file, SIZES), delivery)
            for n, file in enumerate(self._files)
        ]
        found = combining.latest([one.versions.packed for one in (*reads, *scans)]).locations
        shards: defaultdict[int, list[Routed]] = defaultdict(list)
        for shard, routed in self._route(reads, [one.live for one in scans], found):
            shards[shard].append(routed)
        for rows in shards.values():
            written, _ = write.write_shard(rows, self._settings)
            self._files = [file for file in self._files if file not in written.replaced]
            self._files += written.files
        return set(shards)

    def _route(
        self, reads: Sequence[read.BlockRead], live: Sequence[LiveFile], locations: np.ndarray
    ) -> list[tuple[int, Routed]]:
        target = self._settings.target_bytes
        cuts = weights.cuts(weights.union(one.weights for one in reads), target, SHARDS_LIMIT)
        origins, rows = versions.origins_of(locations), versions.rows_of(locations)
        files = (
            route.live_file(number, file, rows[origins == number], cuts, target)
            for number, file in enumerate(live)
        )
        blocks = (route.block(one.slices, rows[origins == one.number], cuts) for one in reads)
        return list(itertools.chain(*files, *blocks))

    def rows(self) -> Rows:
        """All rows; those of each file are in order of time, and its description is true."""
        found: Rows = Counter()
        for file in self._files:
            table = pq.ParquetFile(f"{self._folder}/out/{file.path}").read()
            times = [row.micros for row in rows_of(table, file.destination).elements()]
            in_file = table["timestamp"].cast("int64").to_pylist()
            assert in_file == sorted(times)
            assert (file.rows, file.min_timestamp, file.max_timestamp) == (
                len(in_file),
                in_file[0],
                in_file[-1],
            )
            found += rows_of(table, file.destination)
        return found


@pytest.fixture(scope="module", autouse=True)
def small() -> object:
    """All sizes but that of a file are so small that a few events exceed them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "_SLICE_BYTES", 60)
        patch.setattr(merging, "_PIECE_BYTES", 900)
        patch.setattr(encoding, "ROW_GROUP_ROWS", 2)
        patch.setattr(parquet, "LARGE_BYTES", 1000)
        patch.setattr(write, "_TOGETHER_BYTES", 1500)
        yield


@settings(deadline=None)
@given(
    st.lists(st.lists(st.lists(EVENTS, max_size=12), max_size=3), max_size=3),
    st.sampled_from([300, 2_000, 5_000]),
)
def test_any_shards_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, deliveries: list[list[list[Event]]], target: int
) -> None:
    """One file for all, or one for a few rows: each latest version is there once.

    Seen to fail with the superseded rows of a part of a block's slices counted from the first row
    of all of them, with slices of the last shard dropped, and with full live files left as they
    are though rows of them are superseded.
    """
    events = [event for blocks in deliveries for block in blocks for event in block]
    for target_bytes in (target, HUGE):
        table = Table(tmp_path_factory.mktemp("table"), target_bytes)
        for blocks in deliveries:
            table.deliver(blocks)
        assert table.rows() == latest(events)


def test_a_large_destination_is_several_shards(tmp_path: Path) -> None:
    """Beside it small ones share a shard; files of a large one cover times of their own.

    Seen to fail with the positions of slices left out, so that all lie at midnight.
    """
    hot = [
        [Event(f"{block}-{n}", f"2021-01-08T{n % 24:02}:{block:02}:00Z") for n in range(48)]
        for block in range(3)
    ]
    cold = [Event(f"{kind}-{n}", event_type=kind) for kind in "abcdef" for n in range(2)]
    table = Table(tmp_path, 20_000)

    shards = table.deliver([*hot, cold])

    assert len([shard for shard in shards if shard >= SHARDS_LIMIT]) > 2
    assert len([shard for shard in shards if shard < SHARDS_LIMIT]) <= 2
    files = sorted(
        (file for file in table._files if file.destination.event_type == "created"),
        key=lambda file: file.min_timestamp or 0,
    )
    assert len(files) > 2
    for file, following in itertools.pairwise(files):
        assert (file.max_timestamp or 0) - (following.min_timestamp or 0) < 3600 * 10**6
    assert table.rows() == latest([*itertools.chain(*hot), *cold])


def test_thousands_of_destinations_are_few_elements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as shards; and few destinations at a time are in memory.

    Seen to fail with a shard for each destination, and with all of a shard read together.
    """
    at_a_time: list[int] = []
    real = parquet.content.read

    def note(parts: Sequence[parquet.Rows], root: str) -> object:
        at_a_time.append(len(parts))
        return real(parts, root)

    monkeypatch.setattr(parquet.content, "read", note)
    events = [Event(f"{n}", event_type=f"kind-{n}") for n in range(300)]
    table = Table(tmp_path, HUGE)

    assert table.deliver([events[::2], events[1::2]]) == {0, 1}

    assert sum(at_a_time) == len(table._files) == 300
    assert max(at_a_time) < 10
    assert table.rows() == latest(events)


def test_all_events_at_one_instant_are_still_cut(tmp_path: Path) -> None:
    """By what the first of each slice is called.

    Seen to fail with the instants alone as positions.
    """
    events = [[Event(f"{block}-{n}") for n in range(40)] for block in range(4)]
    table = Table(tmp_path, 10_000)
    assert len(table.deliver(events)) > 4
    assert table.rows() == latest(itertools.chain(*events))


def test_one_event_with_many_versions(tmp_path: Path) -> None:
    """One of them is left; no empty files are written for the others."""
    versions_ = [
        [Event("same", f"2021-01-08T{n % 24:02}:{block:02}:{n:02}Z") for n in range(50)]
        for block in range(4)
    ]
    table = Table(tmp_path, 5_000)
    assert len(table.deliver(versions_)) > 4
    assert [file.rows for file in table._files] == [1]
    assert table.rows() == latest(itertools.chain(*versions_))
