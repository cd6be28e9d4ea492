"""Each step of the graph on Beam's local runner: what goes in, and what its outputs are."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.bookkeeping import journal
from pipeline.catalogue import nodes
from pipeline.graph import combiners, tags
from pipeline.graph import transforms as do
from pipeline.keys import delivery_keys, versions
from pipeline.keys.partitions import directory
from pipeline.rows import staging
from pipeline.rows.live_rows import LiveFile
from pipeline.steps import plan, route, sizes, write
from pipeline.steps.tally import Tally, add_up
from pipeline.table import delta
from tests.by_hand import (
    ID_SEED,
    NO_FILTER,
    local_pipeline,
    new_run,
    read_events,
    summary_of,
    write_live,
)
from tests.deliveries import Event, deliver, latest
from tests.tables import delta_rows

BLOCK = versions.FIRST_BLOCK
SIZES = sizes.Sizes(ID_SEED, 2, 3, NO_FILTER)


def is_true_of(check: Callable[[list[Any]], bool]) -> Callable[[Iterable[Any]], None]:
    """A matcher for `assert_that`."""

    def matcher(elements: Iterable[Any]) -> None:
        found = list(elements)
        if not check(found):
            raise AssertionError(f"not so: {found}")

    return matcher


def assert_counts(step: do.Outputs, expected: dict[str, int]) -> None:
    """The tallies of a step add up to these counts, and perhaps others."""
    assert_that(
        step[tags.TALLIES],
        is_true_of(lambda found: add_up(found).counts.items() >= expected.items()),
        label="counts",
    )


def rows_by_key(elements: list[tuple[Any, Any]]) -> dict[Any, list[int]]:
    """The rows, an array or its bytes, by key, sorted."""
    found: dict[Any, list[int]] = {}
    for key, rows in elements:
        found.setdefault(key, []).extend(np.frombuffer(rows, np.int64).tolist())
    return {key: sorted(values) for key, values in found.items()}


def test_plan(tmp_path: Path) -> None:
    """Run → PLAN, READS, SCANS, LIVE."""
    path = deliver(tmp_path / "in" / "1.jsonl", [Event("a")])
    with local_pipeline() as pipeline:
        step = pipeline | beam.Create([new_run(tmp_path)]) | do.Plan()
        assert_that(
            step[tags.READS],
            is_true_of(lambda found: [task.block.pieces[0].path for task in found] == [str(path)]),
            label="reads",
        )
        assert_that(
            step[tags.PLAN],
            is_true_of(lambda found: [one.matched for one in found] == [1]),
            label="plan",
        )
        assert_that(step[tags.SCANS], equal_to([]), label="scans")
        assert_counts(step, {"plan.blocks": 1, "plan.live_files": 0})


@pytest.mark.parametrize("workers", [0, 1])
def test_read(tmp_path: Path, workers: int) -> None:
    """READS → VERSIONS, SLICES, DELIVERY_KEYS, CATALOGUES, REJECTS.

    With workers the versions are stored.
    """
    deliver(tmp_path / "in" / "1.jsonl", [Event("a"), Event("b", event_type="sale")], "nonsense")
    run = new_run(tmp_path)
    planned = plan.plan(run)
    with local_pipeline() as pipeline:
        scratch = run.staging if workers else ""
        step = pipeline | beam.Create(planned.reads) | do.Read(run, workers, scratch)
        assert_that(
            step[tags.VERSIONS],
            is_true_of(
                lambda found: (
                    rows_by_key(
                        [(key, versions.unpack([part])["location"].copy()) for key, part in found]
                    )
                    == {0: [BLOCK << versions._ROW_BITS, (BLOCK << versions._ROW_BITS) + 1]}
                )
            ),
            label="versions",
        )
        kind = versions.Stored if workers else bytes
        assert_that(
            step[tags.VERSIONS],
            is_true_of(lambda found: [type(part) for _, part in found] == [kind]),
            label="how they travel",
        )
        assert_that(
            step[tags.SLICES],
            is_true_of(
                lambda found: (
                    [
                        (number, [event_type for _, event_type, *_ in slices.destinations])
                        for number, staged in found
                        for slices in staged
                    ]
                    == [(BLOCK, ["created", "sale"])]
                )
            ),
            label="slices",
        )
        assert_that(
            step[tags.DELIVERY_KEYS],
            is_true_of(lambda found: [one.blocks for one in found] == [1]),
            label="delivery keys",
        )
        assert_that(
            step[tags.REJECTS],
            is_true_of(lambda found: [path.endswith(".jsonl") for path in found] == [True]),
            label="rejects",
        )
        assert_that(
            step[tags.CATALOGUES],
            is_true_of(lambda found: [nodes.decode(one).payloads for one in found] == [2]),
            label="catalogues",
        )
        assert_counts(step, {"read.blocks": 1, "read.events": 3, "read.rejected": 1})


@pytest.mark.parametrize("workers", [0, 1])
def test_scan(tmp_path: Path, workers: int) -> None:
    """SCANS, with the DELIVERY_KEYS of all blocks → VERSIONS, LIVE."""
    files = [
        write_live(tmp_path, [Event("a"), Event("b")]),
        write_live(tmp_path, [Event("c"), Event("d")], "r00"),
    ]
    size = delivery_keys.Size(1 << 16, True)
    delivered = read_events(tmp_path, [Event("b"), Event("c")], filter_size=size).delivery_keys
    with local_pipeline() as pipeline:
        everything = pipeline | "delivery keys" >> beam.Create([delivered])
        scans = [(plan.ScanTask(n, file, SIZES),) for n, file in enumerate(files)]
        step = pipeline | beam.Create(scans) | do.Scan(new_run(tmp_path), workers, everything)
        assert_that(
            step[tags.VERSIONS],
            is_true_of(
                lambda found: (
                    sorted(versions.unpack([part for _, part in found])["location"].tolist())
                    == [1, 1 << versions._ROW_BITS]
                )
            ),
            label="versions",
        )
        assert_that(
            step[tags.LIVE],
            is_true_of(
                lambda found: sorted((n, live.file) for n, live in found) == [*enumerate(files)]
            ),
            label="live",
        )
        assert_counts(step, {"scan.live_files": 2, "scan.versions": 2, "scan.comparisons": 2})


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("store", [False, True])
def test_latest(tmp_path: Path, workers: int, store: bool) -> None:
    """VERSIONS → ROWS that are superseded, by origin; buckets are combined apart."""

    def packed(*rows: tuple[int, int, int, int]) -> versions.Packed:
        ids, times, digests, locations = (
            np.array(column, np.int64) for column in zip(*rows, strict=True)
        )
        found = versions.pack(np.stack([ids, ids]).astype(np.uint64), times, digests, locations)
        return versions.by_bucket(found, 1, str(tmp_path) if store else "").packed

    elements = [
        (0, packed((1, 10, 0, 5), (2, 10, 0, BLOCK << versions._ROW_BITS))),
        (
            0,
            packed(
                (1, 11, 0, (BLOCK << versions._ROW_BITS) + 1),
                (2, 10, 0, (BLOCK << versions._ROW_BITS) + 2),
            ),
        ),
        (1, packed((3, 10, 0, 6))),
    ]
    with local_pipeline() as pipeline:
        keyed = beam.Create(elements)
        step = pipeline | keyed | do.Latest(new_run(tmp_path), workers)
        assert_that(
            step[tags.ROWS],
            is_true_of(lambda found: rows_by_key(found) == {0: [5], BLOCK: [2]}),
            label="rows",
        )
        assert_counts(
            step,
            {
                "latest.versions": 5,
                "latest.superseded": 1,
                "latest.superseded_events": 0,
                "latest.exact_duplicates": 1,
                "latest.exact_duplicate_events": 1,
            },
        )


def test_route(tmp_path: Path) -> None:
    """SLICES, LIVE and superseded ROWS → ROWS by shard."""
    file = write_live(tmp_path, [Event("a"), Event("b")])
    block = read_events(tmp_path, [Event("a"), Event("b", event_type="sale")])
    (staged,) = block.slices
    monday, sale = (directory(slice_.destination) for slice_ in staged.each())
    rows = np.array([1], np.int64).tobytes()
    with local_pipeline() as pipeline:
        sources = {
            tags.SLICES: pipeline | "slices" >> beam.Create([(BLOCK, (staged,))]),
            tags.LIVE: pipeline | "live" >> beam.Create([(0, LiveFile(0, file, 100))]),
            tags.ROWS: pipeline | "rows" >> beam.Create([(0, rows), (BLOCK, rows)]),
        }
        step = sources | do.Route(new_run(tmp_path), pipeline | "cuts" >> beam.Create([{}]))
        assert_that(
            step[tags.ROWS],
            is_true_of(
                lambda found: (
                    sorted(
                        (
                            directory(part.origin.destination),
                            isinstance(part.origin, staging.Slice),
                            part.superseded.tolist(),
                        )
                        for _, routed in found
                        for rows in write.by_destination([routed])
                        for part in rows
                    )
                    == [(monday, False, [1]), (monday, True, []), (sale, True, [0])]
                )
            ),
            label="rows by shard",
        )
        assert_counts(step, {"route.slices": 2, "route.live_files": 1, "route.superseded": 2})


@pytest.mark.parametrize("workers", [0, 2])
def test_write(tmp_path: Path, workers: int) -> None:
    """ROWS by shard → WRITTEN; all of a destination come together."""
    first = read_events(tmp_path, [Event("a")], shards=5)
    some = [Event("b"), Event("c", event_type="sale")]
    more = read_events(tmp_path, some, number=BLOCK + 1, shards=5)
    parts = [(slices.shard, route.Routed(slices, b"")) for slices in [*first.slices, *more.slices]]
    with local_pipeline() as pipeline:
        step = pipeline | beam.Create(parts) | do.Write(new_run(tmp_path), workers)
        assert_that(
            step[tags.WRITTEN],
            is_true_of(
                lambda found: (
                    sorted(
                        (file.destination.event_type, file.rows)
                        for one in found
                        for file in one.files
                    )
                    == [("created", 2), ("sale", 1)]
                )
            ),
            label="written",
        )
        assert_counts(step, {"write.slices": 3, "write.kept": 3, "write.files": 2})


def test_commit(tmp_path: Path) -> None:
    """PLAN, TALLIES, WRITTEN, REJECTS, CATALOGUES → the run's summary, here without news."""
    deliver(tmp_path / "in" / "1.jsonl", [])
    run = new_run(tmp_path)
    planned = plan.plan(run)
    blocks = {"blocks": len(planned.reads)}
    tallies = [planned.tally(), Tally("read", blocks, 0.0), Tally("route", blocks, 0.0)]
    with local_pipeline() as pipeline:
        outcome = {
            tags.PLAN: pipeline | "plan" >> beam.Create([planned]),
            tags.TALLIES: pipeline | "tallies" >> beam.Create(tallies),
            tags.WRITTEN: pipeline | "written" >> beam.Create([]),
            tags.REJECTS: pipeline | "rejects" >> beam.Create([]),
            tags.CATALOGUES: pipeline | "catalogues" >> beam.Create([]),
        }
        records = outcome | do.Commit(run)
        assert_that(records, is_true_of(lambda found: [one.run for one in found] == ["r1"]))
    assert summary_of(run)["published"] is False


def test_the_steps_together(tmp_path: Path) -> None:
    """What `flow` joins can also be joined by hand: the transforms are all there is."""
    events = [Event("a"), Event("a", "2021-01-09T00:00:00Z"), Event("b")]
    deliver(tmp_path / "in" / "1.jsonl", events)
    run = new_run(tmp_path)
    with local_pipeline() as pipeline:
        planned = pipeline | beam.Create([run]) | "p" >> do.Plan()
        read = planned[tags.READS] | "r" >> do.Read(run, 0, "")
        delivery = read[tags.DELIVERY_KEYS] | beam.CombineGlobally(combiners.CombineDeliveryKeys())
        scan = planned[tags.SCANS] | "s" >> do.Scan(run, 0, delivery)
        found = (read[tags.VERSIONS], scan[tags.VERSIONS]) | beam.Flatten()
        superseded = found | "l" >> do.Latest(run, 0)
        cuts = read[tags.WEIGHTS] | "c" >> beam.CombineGlobally(combiners.CombineWeights(run))
        sources = {
            tags.SLICES: read[tags.SLICES],
            tags.LIVE: scan[tags.LIVE],
            tags.ROWS: superseded[tags.ROWS],
        }
        route = sources | "ro" >> do.Route(run, cuts)
        write = route[tags.ROWS] | "w" >> do.Write(run, 0)
        steps = [planned, read, scan, superseded, route, write]
        outcome = {
            tags.PLAN: planned[tags.PLAN],
            tags.TALLIES: [step[tags.TALLIES] for step in steps] | "t" >> beam.Flatten(),
            tags.WRITTEN: write[tags.WRITTEN],
            tags.REJECTS: read[tags.REJECTS],
            tags.CATALOGUES: read[tags.CATALOGUES],
        }
        outcome | do.Commit(run)
    assert delta_rows(run.root) == latest(events)
    assert delta.load(run.table).version == 1
    assert journal.RUNS in str(next((tmp_path / "out").rglob("r1.json")))
