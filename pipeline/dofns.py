"""The functions Beam calls: thin wiring around the plain functions of the other modules.

Elements are small named tuples; versions are packed into bytes, see `versions`.
"""

import itertools
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import TaggedOutput

from pipeline import latest, parquet, plan, publish, read, scan, seen, staging, storage, versions
from pipeline import outputs as out
from pipeline.cores import CallEach, Cores
from pipeline.latest import Superseded
from pipeline.parquet import Rows, Written
from pipeline.partitions import Destination, day_number, directory
from pipeline.plan import ReadTask, Run, ScanTask
from pipeline.seen import Seen
from pipeline.table import DataFile
from pipeline.tally import Tally
from pipeline.versions import Packed

Keyed = tuple[int, Packed]

# As many calls can write at a time, each a few of the destinations.
_GROUPS = 512


class Several(NamedTuple):
    """Rows of one source for one group, as one element: pickling each by itself takes longer."""

    rows: tuple[Rows, ...]


class PlanRun(beam.DoFn):
    """Run → Plan; tagged: a ReadTask for each block; for each live file a ScanTask, and LIVE."""

    def process(self, run: Run) -> Iterator[Any]:
        """See `plan.plan`."""
        planned = plan.plan(run)
        for task in planned.reads:
            yield TaggedOutput(out.READS, task)
        for live in planned.scans:
            yield TaggedOutput(out.SCANS, live)
            yield TaggedOutput(out.LIVE, (live.number, live.file))
        yield TaggedOutput(out.TALLIES, planned.tally())
        yield planned._replace(reads=[], scans=[])


class ReadBlocks(CallEach):
    """ReadTask → (bucket, versions); tagged: SLICES, SEEN, REJECTS."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=True))
        self._run = run

    def call(self, element: ReadTask, *_: Any) -> Callable[[], Any]:
        """The reading of one block, with the size of the filter beside it."""
        settings = read.ReadSettings(
            self._run.id,
            self._run.staging,
            *element.sizes,
            self._run.max_event_bytes,
            # Where one process does all the shuffling, versions need not go through it.
            store_versions=self._cores.workers > 0 and storage.is_local(self._run.staging),
        )
        return partial(read.read_block, element.block, settings)

    def work_bytes(self, element: ReadTask) -> int:
        """Those of the block."""
        return element.block.bytes

    def outputs(self, block: read.BlockRead) -> Iterator[Any]:
        """The elements for a block."""
        yield from block.versions.split()
        yield TaggedOutput(out.SLICES, (block.number, staging.Staged(tuple(block.slices))))
        yield TaggedOutput(out.SEEN, block.seen)
        if block.dead_letters:
            yield TaggedOutput(out.REJECTS, block.dead_letters)
        rejected = sum(block.rejected.values())
        counts = {
            "blocks": 1,
            "bytes": block.bytes,
            "events": block.rows + rejected,
            "rejected": rejected,
            "dead_letter_files": 1 if block.dead_letters else 0,
            "versions": sum(block.versions.counts),
            "slices": len(block.slices),
            **{f"rejected.{reason}": count for reason, count in block.rejected.items()},
        }
        yield TaggedOutput(out.TALLIES, Tally("read", counts, block.seconds))


class CombineSeen(beam.CombineFn):
    """Seen of parts of the delivery → Seen of all of it."""

    def create_accumulator(self) -> Seen:
        """Nothing."""
        return seen.NOTHING

    def add_input(self, accumulator: Seen, element: Seen) -> Seen:
        """Adds what a block has."""
        return seen.union([accumulator, element])

    def merge_accumulators(self, accumulators: Iterable[Seen]) -> Seen:
        """See `seen.union`."""
        return seen.union(accumulators)

    def extract_output(self, accumulator: Seen) -> Seen:
        """All of it."""
        return accumulator


class ScanLiveFiles(CallEach):
    """ScanTask, with what was seen → (bucket, versions that may compete)."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=True))
        self._run = run

    def process(self, task: ScanTask, delivery: Seen) -> Iterable[Keyed]:
        """See `scan.scan_file`; only of files within the horizon, if the user has set one."""
        day, horizon = day_number(task.file.destination), self._run.dedup_days
        if horizon is None or seen.near(delivery, day, horizon):
            yield from super().process(task, delivery)
        else:
            yield from self.outputs(scan.pass_over(task.file, delivery))

    def call(self, element: ScanTask, *side_inputs: Seen) -> Callable[[], Any]:
        """The scan of one file."""
        (delivery,) = side_inputs
        number, file, sizes = element
        return partial(
            scan.scan_file, self._run.root, number, file, delivery, sizes.id_seed, sizes.buckets
        )

    def work_bytes(self, element: ScanTask) -> int:
        """Those of the event_ids, unless there is a filter: then only a few become Python's."""
        return 0 if element.sizes.filter_size.bits else element.file.rows * 36

    def outputs(self, scanned: scan.Scanned) -> Iterator[Any]:
        """The elements for a live file."""
        yield from scanned.versions.split()
        counts = {
            "live_files": 1,
            "versions": scanned.rows,
            "comparisons": scanned.seen,
            "files_passed_over": 1 if scanned.passed_over else 0,
            "rows_passed_over": scanned.passed_over,
        }
        yield TaggedOutput(out.TALLIES, Tally("scan", counts, scanned.seconds))


class CombineLatest(beam.CombineFn):
    """Packed versions of a bucket → those that are superseded.

    The accumulator is simply the versions so far: each of them must end as kept or as reported
    superseded, so there is nothing to throw away early.
    """

    def create_accumulator(self) -> list[Packed]:
        """No versions."""
        return []

    def add_input(self, accumulator: list[Packed], part: Packed) -> list[Packed]:
        """Adds versions."""
        return [*accumulator, part]

    def add_inputs(self, accumulator: list[Packed], parts: Iterable[Packed]) -> list[Packed]:
        """Adds versions of many elements in one step."""
        return [*accumulator, *parts]

    def merge_accumulators(self, accumulators: Iterable[list[Packed]]) -> list[Packed]:
        """All versions."""
        return list(itertools.chain.from_iterable(accumulators))

    def extract_output(self, accumulator: list[Packed]) -> Superseded:
        """See `latest.latest`."""
        return latest.latest(accumulator)


class CombineBuckets(CallEach):
    """(bucket, its versions) → (source number, its superseded rows).

    Combines what is grouped, as `beam.CombineValues` does, but on all cores.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(Cores(workers, processes=False))

    def call(self, element: tuple[int, Iterable[Packed]], *_: Any) -> Callable[[], Any]:
        """The combining of one bucket."""
        return partial(_combine, list(element[1]))

    def outputs(self, found: Superseded) -> Iterator[Any]:
        """Splits the rows by source; as bytes, since Beam would pickle arrays one by one."""
        where, exact, count, seconds = found
        sources = versions.source_of(where)
        numbers, starts = np.unique(sources, return_index=True)
        borders = [*starts.tolist(), len(where)]
        for number, (start, end) in zip(numbers.tolist(), itertools.pairwise(borders), strict=True):
            yield number, versions.row_of(where[start:end]).tobytes()
        delivered = sources >= versions.FIRST_BLOCK
        counts = {
            "versions": count,
            "superseded": int(np.sum(~exact)),
            "exact_duplicates": int(np.sum(exact)),
            "superseded_events": int(np.sum(~exact & delivered)),
            "exact_duplicate_events": int(np.sum(exact & delivered)),
        }
        yield TaggedOutput(out.TALLIES, Tally("latest", counts, seconds))


def _combine(parts: Sequence[Packed]) -> Superseded:
    combine = CombineLatest()
    return combine.extract_output(combine.add_inputs(combine.create_accumulator(), parts))


class RouteRows(beam.DoFn):
    """(source number, slices or live file, and superseded rows) → (group, Several).

    Of a live file, all rows are one `Rows`; of a block, the rows of each slice. Destinations are
    written in groups, of which there are few: elements for thousands of destinations in each block
    would take longer than their rows.
    """

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """Gives each slice and live file its share of the superseded rows."""
        _, sources = element
        superseded = np.sort(np.frombuffer(b"".join(sources[out.ROWS]), np.int64))
        slices = [slice_ for staged in sources[out.SLICES] for slice_ in staged.slices]
        files: list[DataFile] = list(sources[out.LIVE])
        groups: defaultdict[int, list[Rows]] = defaultdict(list)
        for file in files:
            groups[_group(file.destination)].append(Rows(file, superseded))
        for slice_ in slices:
            first, last = np.searchsorted(
                superseded, [slice_.first_row, slice_.first_row + slice_.rows]
            )
            own = superseded[first:last] - slice_.first_row
            groups[_group(slice_.destination)].append(Rows(slice_, own))
        for group, rows in groups.items():
            yield group, Several(tuple(rows))
        counts = {
            "live_files": len(files),
            "blocks": len(list(sources[out.SLICES])),
            "slices": len(slices),
            "superseded": len(superseded),
        }
        yield TaggedOutput(out.TALLIES, Tally("route", counts, 0.0))


def _group(destination: Destination) -> int:
    """Which destinations are written together: the same on every worker."""
    return zlib.crc32(directory(destination).encode()) % _GROUPS


class WriteDestinations(CallEach):
    """(group, Several Rows of its destinations) → Written of each destination."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=False))
        self._settings = parquet.WriteSettings(run.root, run.id, run.target_file_bytes)

    def call(self, element: tuple[int, Iterable[Several]], *_: Any) -> Callable[[], Any]:
        """The writing of one group."""
        destinations: defaultdict[Destination, list[Rows]] = defaultdict(list)
        for several in element[1]:
            for rows in several.rows:
                destinations[rows.source.destination].append(rows)
        return partial(_write, list(destinations.values()), self._settings)

    def outputs(self, result: tuple[list[Written], float]) -> Iterator[Any]:
        """The elements for a group."""
        group, seconds = result
        yield from (written for written in group if written.files or written.replaced)
        counts = {
            "slices": sum(written.slices for written in group),
            "live_files": sum(written.live_files for written in group),
            "kept": sum(written.staged for written in group),
            "superseded": sum(written.superseded for written in group),
            "files": sum(len(written.files) for written in group),
            "replaced": sum(len(written.replaced) for written in group),
            "live_rows": sum(written.live for written in group),
        }
        yield TaggedOutput(out.TALLIES, Tally("write", counts, seconds))


def _write(
    destinations: Sequence[Sequence[Rows]], settings: parquet.WriteSettings
) -> tuple[list[Written], float]:
    started = time.perf_counter()
    written = [parquet.write_destination(rows, settings) for rows in destinations]
    return written, time.perf_counter() - started


class PublishRun(beam.DoFn):
    """(key, everything the steps have to say) → the run's record."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[dict[str, Any]]:
        """See `publish.publish`."""
        _, groups = element
        outcome = publish.Outcome(
            plans=list(groups[out.PLAN]),
            tallies=list(groups[out.TALLIES]),
            written=list(groups[out.WRITTEN]),
            dead_letters=list(groups[out.REJECTS]),
        )
        yield publish.publish(self._run, outcome)
