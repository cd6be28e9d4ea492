"""The DoFns from the latest versions to the commit: which elements and counts they make."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import processes
from pipeline.graph import dofns, tags
from pipeline.keys import versions
from pipeline.keys.partitions import Destination
from pipeline.rows import staging
from pipeline.rows.live_rows import LiveFile
from pipeline.steps.latest import Superseded
from pipeline.steps.route import Routed
from pipeline.steps.tally import Tally
from pipeline.steps.write import Written
from pipeline.table.datafiles import DataFile
from tests.by_hand import new_run, read_events
from tests.deliveries import Event
from tests.graph.outputs import MAIN, by_tag, tally_of

BLOCK = versions.FIRST_BLOCK
MONDAY = Destination("account", "created", 2021, 1, 8)
TUESDAY = Destination("account", "created", 2021, 1, 9)
LIVE = LiveFile(3, DataFile("live.parquet", MONDAY, 10, 100, None, None), 1000)


def numbers(rows: bytes) -> list[int]:
    """Rows as they travel."""
    return np.frombuffer(rows, np.int64).tolist()


def superseded(rows: Sequence[tuple[int, int, bool]], number: int) -> Superseded:
    """What the combine gives for a bucket: (origin, row, exact) of each superseded version."""
    locations = np.array(
        [(origin << versions._ROW_BITS) + row for origin, row, _ in rows], np.int64
    )
    return Superseded(locations, np.array([exact for _, _, exact in rows], np.bool_), number, 0.5)


def packed(*some: tuple[int, int, int, int, int]) -> bytes:
    """Versions: event_id, timestamp, digest, origin and row of each."""
    rows = [
        (id_, id_, micros, digest, (origin << versions._ROW_BITS) + row)
        for id_, micros, digest, origin, row in some
    ]
    return np.array(rows, versions.VERSION).tobytes()


class TestCombineLatest:
    """The versions of a bucket are combined; its superseded rows go to their origins."""

    def test_outputs(self) -> None:
        """Rows of one origin stay together; those of the table are counted apart."""
        rows = [(0, 4, False), (2, 1, True), (BLOCK, 0, True), (BLOCK, 9, False), (BLOCK, 10, True)]

        found = by_tag(dofns.CombineLatest(0).outputs(superseded(rows, 20)))

        assert [(origin, numbers(rows)) for origin, rows in found[MAIN]] == [
            (0, [4]),
            (2, [1]),
            (BLOCK, [0, 9, 10]),
        ]
        assert tally_of(found, "latest") == {
            "versions": 20,
            "superseded": 2,
            "exact_duplicates": 3,
            "superseded_events": 1,
            "exact_duplicate_events": 2,
        }
        assert found[tags.TALLIES][0].seconds == 0.5

    def test_no_element_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a compressed file of any size, all of whose events have one event_id."""
        monkeypatch.setattr(dofns, "_ROWS_AT_A_TIME", 2)
        rows = [(2, 1, True), *((BLOCK, row, False) for row in range(5))]

        found = by_tag(dofns.CombineLatest(0).outputs(superseded(rows, 20)))

        told = [(origin, numbers(rows)) for origin, rows in found[MAIN]]
        assert told == [(2, [1]), (BLOCK, [0, 1]), (BLOCK, [2, 3]), (BLOCK, [4])]

    def test_a_bucket_in_which_nothing_is_superseded(self) -> None:
        """Most buckets of a table's first run; only its versions are counted.

        Seen to fail: the borders of no origins once did not match.
        """
        found = by_tag(dofns.CombineLatest(0).outputs(superseded([], 20)))
        assert MAIN not in found
        assert tally_of(found, "latest")["versions"] == 20

    @pytest.mark.parametrize("workers", [0, 1, 2])
    def test_all_parts_of_a_bucket_are_compared(self, tmp_path: Path, workers: int) -> None:
        """Bytes and stored ones, on all cores or at once; buckets are told apart.

        The parts come as an iterable, as engines give them. Seen to fail with only the first
        part of a bucket compared.
        """
        buckets = [
            (
                packed((1, 10, 0, 0, 4), (2, 10, 5, BLOCK, 0)),
                packed((1, 11, 0, BLOCK, 1), (2, 10, 5, BLOCK, 2), (2, 9, 5, BLOCK, 3)),
            ),
            (packed((3, 10, 0, 1, 6)), packed((3, 9, 0, BLOCK, 4), (4, 1, 0, BLOCK, 5))),
        ]
        step = dofns.CombineLatest(workers)
        step.start_bundle()
        outputs: list[Any] = []
        for number, (one, other) in enumerate(buckets):
            table = np.frombuffer(other, versions.VERSION)
            stored = versions.by_bucket(table, 1, str(tmp_path)).packed
            assert isinstance(stored, versions.Stored)
            outputs += step.process((number, iter([one, stored])))
        assert bool(outputs) == (workers == 0)
        # At its end a bundle gives values with their windows.
        found = by_tag(outputs)
        for tag, values in by_tag(step.finish_bundle()).items():
            found.setdefault(tag, []).extend(value.value for value in values)

        assert [(origin, numbers(rows)) for origin, rows in found[MAIN]] == [
            (0, [4]),
            (BLOCK, [2, 3]),
            (BLOCK, [4]),
        ]
        assert [tally.counts for tally in found[tags.TALLIES]] == [
            {
                "versions": 5,
                "superseded": 2,
                "exact_duplicates": 1,
                "superseded_events": 1,
                "exact_duplicate_events": 1,
            },
            {
                "versions": 3,
                "superseded": 1,
                "exact_duplicates": 0,
                "superseded_events": 1,
                "exact_duplicate_events": 0,
            },
        ]


def staged(*destinations: Destination, first_row: int = 0) -> staging.Slices:
    """Slices of five rows for each destination, of a file that nobody opens."""
    rows = (5,) * len(destinations)
    offsets = tuple(range(0, 100 * len(destinations) + 1, 100))
    fields = tuple(one[:] for one in destinations)
    positions = bytes(8 * len(destinations))
    return staging.Slices(3, "x.arrow", first_row, fields, rows, offsets, positions)


def route(
    origin: int,
    slices: Sequence[staging.Slices] | None = None,
    files: Sequence[LiveFile] = (),
    rows: Sequence[Sequence[int]] = (),
) -> dict[str, list[Any]]:
    """Routes what belongs to one origin."""
    superseded = [np.array(some, np.int64).tobytes() for some in rows]
    blocks = [] if slices is None else [tuple(slices)]
    groups = {tags.SLICES: blocks, tags.LIVE: files, tags.ROWS: superseded}
    return by_tag(dofns.RouteRows(new_run(Path())).process((origin, groups), {}))


def routed(found: dict[str, list[Any]]) -> list[tuple[int, Any, list[int]]]:
    """The shards, the origins and their superseded rows."""
    return [
        (shard, one.origin, np.frombuffer(one.superseded, np.int64).tolist())
        for shard, one in found[MAIN]
    ]


class TestRouteRows:
    """Superseded rows find the slices or the live file they are in."""

    def test_a_block(self) -> None:
        """Each shard gets its own, counted from its first row; buckets come in any order.

        Seen to fail with ``side="right"`` for the first row of the slices.
        """
        first = staged(MONDAY, TUESDAY)
        second = staged(MONDAY, first_row=10)._replace(shard=1)

        found = route(BLOCK, slices=[first, second], rows=[[4, 10, 5], [9, 0, 14]])

        assert routed(found) == [(3, first, [0, 4, 5, 9]), (1, second, [0, 4])]
        assert tally_of(found, "route") == {
            "live_files": 0,
            "live_files_left": 0,
            "blocks": 1,
            "slices": 3,
            "superseded": 6,
        }

    def test_a_live_file(self) -> None:
        """Its rows are counted from the file's first; it goes where its destination's slices go."""
        found = route(0, files=[LIVE], rows=[[7], [2]])
        assert routed(found) == [(3, LIVE, [2, 7])]
        assert tally_of(found, "route") == {
            "live_files": 1,
            "live_files_left": 0,
            "blocks": 0,
            "slices": 0,
            "superseded": 2,
        }

    def test_an_origin_of_which_nothing_is_superseded(self) -> None:
        """Its rows go on nevertheless."""
        assert routed(route(BLOCK, slices=[staged(MONDAY)])) == [(3, staged(MONDAY), [])]

    def test_superseded_rows_of_a_lost_origin_are_counted(self) -> None:
        """Where a runner has lost the slices, the counts must not agree by chance."""
        found = route(BLOCK, rows=[[1, 2]])
        assert MAIN not in found
        assert tally_of(found, "route")["superseded"] == 2


class TestWriteDestinations:
    """What was written is reported, and counted."""

    def test_outputs(self, tmp_path: Path) -> None:
        """A shard with news gives its files."""
        (slices,) = read_events(tmp_path, [Event("a"), Event("b")]).slices
        step = dofns.WriteDestinations(new_run(tmp_path), 0)

        found = by_tag(step.process((7, iter([Routed(slices, np.array([0]).tobytes())]))))

        (written,) = found[MAIN]
        assert [file.rows for file in written.files] == [1]
        assert tally_of(found, "write") == {
            "slices": 1,
            "live_files": 0,
            "kept": 1,
            "superseded": 1,
            "files": 1,
            "replaced": 0,
            "live_rows": 0,
        }

    def test_a_shard_without_news_is_only_counted(self, tmp_path: Path) -> None:
        """There is nothing to commit of it (invariant 6)."""
        step = dofns.WriteDestinations(new_run(tmp_path), 0)
        found = by_tag(step.process((7, [Routed(LIVE, b"")])))
        assert MAIN not in found
        assert tally_of(found, "write")["live_files"] == 1


class TestCommitRun:
    """All the steps have to say comes to `commit`."""

    def test_outputs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every element arrives; the summary is what comes out."""
        got: list[Any] = []
        monkeypatch.setattr(
            dofns.commit, "commit", lambda *arguments: got.extend(arguments) or {"run": "r1"}
        )
        run, plan, tally = new_run(tmp_path), object(), Tally("read", {}, 0.0)
        written = Written((), (), 0, 0, 0, 0, 0)
        groups = {
            tags.PLAN: [plan],
            tags.TALLIES: iter([tally, tally]),
            tags.WRITTEN: [written],
            tags.REJECTS: ["x.jsonl"],
            tags.CATALOGUES: [b"{}"],
        }

        processes.start(1)

        assert list(dofns.CommitRun(run).process((0, groups))) == [{"run": "r1"}]

        assert processes.running() is None  # their work is done
        assert got == [run, ([plan], [tally, tally], [written], ["x.jsonl"], [b"{}"])]
