from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.input import events
from pipeline.keys import delivery_keys, versions
from pipeline.steps import scan
from pipeline.steps.plan import ScanTask
from pipeline.steps.sizes import Sizes
from pipeline.table import datafiles
from pipeline.table.datafiles import DataFile
from tests.by_hand import ID_SEED, NO_FILTER, read_events, write_live
from tests.deliveries import Event
from tests.oracle import digest

FILTER = delivery_keys.Size(1 << 16, True)
NUMBER = 5
MIDNIGHT = "2021-01-08T00:00:00"
LIVE = [
    Event("plain", f"{MIDNIGHT}Z"),
    Event("nanos", f"{MIDNIGHT}.000001001Z", data='{"a": [1, 2]}'),
    Event("extra", f"{MIDNIGHT}.000002Z", more='"v":1.50'),
    Event("null", f"{MIDNIGHT}.000003Z", data="null"),
]


def task(file: DataFile) -> ScanTask:
    """What the scan of a live file is asked to do."""
    return ScanTask(NUMBER, file, Sizes(ID_SEED, 3, 1, NO_FILTER))


def scanned(
    folder: Path,
    live: Sequence[Event],
    delivered: Sequence[Event],
    size: delivery_keys.Size = FILTER,
) -> dict[int, tuple[str, int, int]]:
    """By row of the live file: event_id, timestamp and digest of those that compete."""
    file = write_live(folder, live)
    delivery = delivery_keys.union([read_events(folder, delivered, filter_size=size).delivery_keys])
    found = scan.scan_file(f"{folder}/out", task(file), delivery)
    ids = sorted({event.id for event in live})
    names = dict(zip(events.hash_ids(ids, ID_SEED)[1].tolist(), ids, strict=True))
    rows = {}
    for bucket, part in found.versions.split():
        for high, low, micros, digest_, where in versions.unpack([part]).tolist():
            assert high % 3 == bucket
            assert where >> versions._ROW_BITS == NUMBER
            rows[where & (1 << versions._ROW_BITS) - 1] = (names[low], micros, digest_)
    assert found.rows == len(rows)
    return dict(sorted(rows.items()))


class TestScan:
    """Of a live file come the rows that compete, and just enough of each."""

    def test_only_rows_that_compete_come_out(self, tmp_path: Path) -> None:
        """A delivery of some ids does not shuffle the keys of the whole table."""
        delivered = [Event("nanos", "2021-02-01T00:00:00Z"), Event("new")]
        assert [id_ for id_, _, _ in scanned(tmp_path, LIVE, delivered).values()] == ["nanos"]

    @pytest.mark.parametrize("size", [FILTER, FILTER._replace(listed=False)])
    def test_ids_of_any_length_are_found(self, tmp_path: Path, size: delivery_keys.Size) -> None:
        """A row missed stays beside its later version (invariant 2).

        Seen to fail when what an id hashed to depended on the lengths of its neighbours, which are
        others in the table than in the delivery.
        """
        ids = ["a", "", "b" * 9, "c" * 36, "d" * 37, "e" * 8, "f" * 300, "é" * 20]
        live = [Event(f"{id_}{n}", f"{MIDNIGHT}.00000{n}Z") for n, id_ in enumerate(ids)]
        for event in live:
            found = scanned(tmp_path, live, [event, Event("new" * 20)], size)
            assert event.id in {id_ for id_, _, _ in found.values()}

    def test_without_a_filter_every_row_comes_out(self, tmp_path: Path) -> None:
        """Where no filter is worth its size, all rows compete, and each has its digest."""
        rows = scanned(tmp_path, LIVE, [Event("new")], NO_FILTER)
        assert rows == {
            row: (event.id, event.row().micros, digest(event.row()))
            for row, event in enumerate(LIVE)
        }

    def test_the_digest_is_that_of_the_delivery(self, tmp_path: Path) -> None:
        """What went through Parquet ties with itself when it is delivered again (invariant 1).

        Seen to fail with `extra` left out of the seed, and with nanos left out of the digest.
        """
        again = read_events(tmp_path, LIVE, number=versions.FIRST_BLOCK + 1)
        delivered = np.sort(versions.unpack([again.versions.packed]), order="timestamp")

        rows = scanned(tmp_path, LIVE, LIVE)

        assert [found[2] for found in rows.values()] == delivered["digest"].tolist()
        assert [found[2] for found in rows.values()] == [digest(event.row()) for event in LIVE]

    def test_the_location_is_the_row_in_the_file(self, tmp_path: Path) -> None:
        """Rows are numbered as the file has them, not as they were delivered."""
        rows = scanned(tmp_path, LIVE[::-1], [LIVE[2], LIVE[1]])
        assert {row: found[0] for row, found in rows.items()} == {1: "nanos", 2: "extra"}

    def test_payloads_are_read_for_ties_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a row with another timestamp than any delivered version the digest decides nothing.

        So payloads, by far the most of a table, are not read for it.
        """
        digested: list[int] = []
        real = events.digest
        monkeypatch.setattr(
            events, "digest", lambda rows, *kind: digested.append(len(rows)) or real(rows, *kind)
        )
        later = [event._replace(timestamp="2021-02-01T00:00:00Z") for event in LIVE]

        assert {found[2] for found in scanned(tmp_path, LIVE, later).values()} == {0}
        assert sum(digested) == 0
        scanned(tmp_path, LIVE, [LIVE[1], *later])
        assert sum(digested) == 1

    def test_any_row_group_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Digests belong to their rows also where a file has many row groups."""
        monkeypatch.setattr("pipeline.rows.encoding.ROW_GROUP_ROWS", 3)
        live = [Event(f"e{n}", f"{MIDNIGHT}.00000{n}Z", data=str(n)) for n in range(10)]

        rows = scanned(tmp_path, live, [live[1], live[2], live[8]])

        assert {row: found[2] for row, found in rows.items()} == {
            row: digest(live[row].row()) for row in (1, 2, 8)
        }

    def test_it_says_how_much_of_the_delivery_it_knew(self, tmp_path: Path) -> None:
        """A block missing from the filter must show in the counts (invariant 3)."""
        file = write_live(tmp_path, LIVE)
        part = read_events(tmp_path, [Event("new")], filter_size=FILTER).delivery_keys
        for blocks in (0, 1, 3):
            delivery = delivery_keys.union([part] * blocks)
            found = scan.scan_file(f"{tmp_path}/out", task(file), delivery)
            assert found.blocks == blocks

    def test_a_file_that_has_gone_is_a_conflict(self, tmp_path: Path) -> None:
        """Another run has superseded it: start again from the new table."""
        file = write_live(tmp_path, LIVE)._replace(path="gone.parquet")
        with pytest.raises(datafiles.ConflictError, match=r"gone\.parquet"):
            scan.scan_file(f"{tmp_path}/out", task(file), delivery_keys.NOTHING)
