"""The transforms of the graph: thin wiring around the plain functions of the other modules.

Elements that hold rows are Arrow tables, and `ArrowCoder` is how Beam ships them; all others are
small named tuples.
"""

import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.coders import coders, registry
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline import latest, parquet, plan, publish, read, seen, staging
from pipeline.events import hash_ids
from pipeline.parquet import Rows, Written
from pipeline.partitions import directory
from pipeline.plan import ReadTask, Run, ScanTask
from pipeline.table import DataFile
from pipeline.tally import Tally

Keyed = tuple[int, pa.Table]

# Tags of side outputs.
READS = "reads"
SCANS = "scans"
SEEN = "seen"
STAGED = "staged"
REJECTED = "rejected"
TALLIES = "tallies"


class ArrowCoder(coders.Coder):  # type: ignore[misc]
    """Ships an Arrow table as an IPC stream: its own rows only, also if it is a slice.

    Without a coder Beam pickles tables, and a pickled slice brings along the buffers it was cut
    from.
    """

    def encode(self, value: pa.Table) -> bytes:
        """The table as an Arrow IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value.combine_chunks())
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def decode(self, encoded: bytes) -> pa.Table:
        """The table; its columns share the memory of `encoded`."""
        return pa.ipc.open_stream(encoded).read_all()

    def is_deterministic(self) -> bool:
        """Tables are values here, never keys."""
        return False

    def to_type_hint(self) -> type:
        """The type this coder is for."""
        return pa.Table  # type: ignore[no-any-return]


registry.register_coder(pa.Table, ArrowCoder)


class Cores(NamedTuple):
    """How a transform uses the machine it is on.

    Attributes:
        workers: Calls at a time; 0 where the runner itself spreads the elements over cores.
        processes: Whether calls hold Python's interpreter lock, and so need processes.
    """

    workers: int
    processes: bool


class _CallEach(beam.DoFn):  # type: ignore[misc]
    """Calls a plain function for each element, and yields what `outputs` makes of the result.

    A runner with one process gets the other cores used here: a bundle's elements are gathered, and
    its end waits for the calls. A subclass says what to call.
    """

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._calls: list[Callable[[], Any]] = []

    def call(self, element: Any) -> Callable[[], Any]:
        """The call for an element; it is pickled if `Cores.processes`."""
        raise NotImplementedError

    def outputs(self, result: Any) -> Iterable[Any]:
        """The elements for a call's result."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        """Forgets what a failed bundle has gathered."""
        self._calls = []

    def process(self, element: Any, *side_inputs: Any) -> Iterable[Any]:
        """Gathers the call, or makes it."""
        call = self.call(element, *side_inputs)
        if self._cores.workers:
            self._calls.append(call)
            return
        yield from self.outputs(call())

    def finish_bundle(self) -> Iterator[Any]:
        """Makes the calls gathered, and yields their outputs."""
        for result in _results(self._calls, self._cores):
            for output in self.outputs(result):
                if isinstance(output, TaggedOutput):
                    yield TaggedOutput(output.tag, _global(output.value))
                else:
                    yield _global(output)


def _results(calls: Sequence[Callable[[], Any]], cores: Cores) -> Iterator[Any]:
    workers = min(cores.workers, len(calls))
    if workers <= 1:
        yield from (call() for call in calls)
        return
    pool: concurrent.futures.Executor
    if cores.processes:
        # Not forked: this process has threads, whose locks a fork would copy in any state.
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(workers, context)
    else:
        pool = concurrent.futures.ThreadPoolExecutor(workers)
    with pool:
        pending = [pool.submit(call) for call in calls]
        try:
            for number, future in enumerate(pending):
                yield future.result()
                pending[number] = None  # type: ignore[call-overload]  # its memory can go
        finally:
            pool.shutdown(cancel_futures=True)


def _global(value: Any) -> WindowedValue:
    return WindowedValue(value, GlobalWindow().max_timestamp(), [GlobalWindow()])


class PlanRun(beam.DoFn):  # type: ignore[misc]
    """Run → Plan; tagged: a ReadTask for each block, a ScanTask for each live file, a Tally."""

    def process(self, run: Run) -> Iterator[Any]:
        """See `plan.plan`."""
        planned = plan.plan(run)
        for task in planned.reads:
            yield TaggedOutput(READS, task)
        for scan in planned.scans:
            yield TaggedOutput(SCANS, scan)
        yield TaggedOutput(TALLIES, planned.tally())
        yield planned._replace(reads=[], scans=[])


class ReadBlocks(_CallEach):
    """ReadTask → (bucket, versions); tagged: what was staged, seen and rejected, and a Tally.

    STAGED are (block number, slices), SEEN are (filter bits, positions), REJECTED is a file of
    dead letters.
    """

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=True))
        self._run = run

    def process(self, task: ReadTask) -> Iterable[Keyed]:
        """See `read.read_block`."""
        yield from super().process(task)

    def call(self, element: ReadTask) -> Callable[[], Any]:
        """The reading of one block, with the size of the filter beside it."""
        settings = read.ReadSettings(
            self._run.id,
            self._run.staging,
            element.sizes.buckets,
            self._run.max_event_bytes,
        )
        return partial(_read_block, element, settings)

    def outputs(self, result: tuple[read.BlockRead, int]) -> Iterator[Any]:
        """The elements for a block."""
        block, filter_bits = result
        yield from block.versions
        yield TaggedOutput(STAGED, (block.number, block.slices))
        yield TaggedOutput(SEEN, (filter_bits, seen.positions(block.id_hashes, filter_bits)))
        if block.dead_letters:
            yield TaggedOutput(REJECTED, block.dead_letters)
        rejected = sum(block.rejected.values())
        counts = {
            "blocks": 1,
            "bytes": block.bytes,
            "events": block.rows + rejected,
            "rejected": rejected,
            "dead_letter_files": 1 if block.dead_letters else 0,
            "versions": sum(len(versions) for _, versions in block.versions),
            "slices": len(block.slices),
            **{f"rejected.{reason}": count for reason, count in block.rejected.items()},
        }
        yield TaggedOutput(TALLIES, Tally("read", counts, block.seconds))


def _read_block(task: ReadTask, settings: read.ReadSettings) -> tuple[read.BlockRead, int]:
    return read.read_block(task.block, settings), task.sizes.filter_bits


class CombineSeen(beam.CombineFn):  # type: ignore[misc]
    """(filter bits, positions) → the Bloom filter of all event_ids of the delivery."""

    def create_accumulator(self) -> tuple[int, npt.NDArray[np.uint8]]:
        """No event_id."""
        return 0, seen.empty()

    def add_input(
        self,
        accumulator: tuple[int, npt.NDArray[np.uint8]],
        element: tuple[int, npt.NDArray[np.uint32]],
    ) -> tuple[int, npt.NDArray[np.uint8]]:
        """Adds a block's event_ids."""
        bits, positions = element
        if not bits:
            return accumulator
        return bits, seen.add(accumulator[1], positions, bits)

    def merge_accumulators(
        self, accumulators: Iterable[tuple[int, npt.NDArray[np.uint8]]]
    ) -> tuple[int, npt.NDArray[np.uint8]]:
        """The union."""
        merged = self.create_accumulator()
        for bits, bitmap in accumulators:
            if bitmap.size:
                merged = (bits, merged[1] | bitmap if merged[1].size else bitmap)
        return merged

    def extract_output(
        self, accumulator: tuple[int, npt.NDArray[np.uint8]]
    ) -> npt.NDArray[np.uint8]:
        """The filter."""
        return accumulator[1]


class ScanLiveFiles(_CallEach):
    """ScanTask, with the filter → (bucket, versions that may compete); tagged: a Tally."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=False))
        self._run = run

    def process(self, task: ScanTask, bitmap: npt.NDArray[np.uint8]) -> Iterable[Keyed]:
        """See `parquet.read_keys`."""
        yield from super().process(task, bitmap)

    def call(self, element: ScanTask, bitmap: npt.NDArray[np.uint8]) -> Callable[[], Any]:
        """The scan of one file."""
        return partial(scan, self._run.root, element, bitmap)

    def outputs(self, result: tuple[list[Keyed], float]) -> Iterator[Any]:
        """The elements for a live file."""
        versions, seconds = result
        yield from versions
        counts = {"live_files": 1, "versions": sum(len(table) for _, table in versions)}
        yield TaggedOutput(TALLIES, Tally("scan", counts, seconds))


def scan(
    root: str, task: ScanTask, bitmap: npt.NDArray[np.uint8]
) -> tuple[list[Keyed], float]:
    """The versions of a live file's rows whose event_id may be in the delivery, by bucket."""
    started = time.perf_counter()
    keys = parquet.read_keys(root, task.file)
    hashes = hash_ids(keys["event_id"].to_pylist())
    rows = np.flatnonzero(seen.contains(bitmap, hashes, task.sizes.filter_bits))
    where = staging.place(task.number, rows)
    versions = staging.versions(keys.take(pa.array(rows)), where)
    buckets = staging.by_bucket(versions, hashes[rows], task.sizes.buckets)
    return buckets, time.perf_counter() - started


class CombineLatest(beam.CombineFn):  # type: ignore[misc]
    """Versions of a bucket → those that are superseded, with a count of the versions.

    The accumulator is simply the versions so far: each of them must end as kept or as reported
    superseded, so there is nothing to throw away early.
    """

    def create_accumulator(self) -> pa.Table:
        """No versions."""
        return staging.VERSION_SCHEMA.empty_table()

    def add_input(self, accumulator: pa.Table, versions: pa.Table) -> pa.Table:
        """Adds versions; no row is copied."""
        return pa.concat_tables([accumulator, versions])

    def merge_accumulators(self, accumulators: Iterable[pa.Table]) -> pa.Table:
        """All versions."""
        return pa.concat_tables([*accumulators, staging.VERSION_SCHEMA.empty_table()])

    def extract_output(self, accumulator: pa.Table) -> pa.Table:
        """See `latest.superseded`; the count is in the table's metadata."""
        found = latest.superseded(accumulator)
        return found.replace_schema_metadata({"versions": str(len(accumulator))})

    def get_accumulator_coder(self) -> coders.Coder:
        """Accumulators travel as Arrow."""
        return ArrowCoder()


class SplitSuperseded(beam.DoFn):  # type: ignore[misc]
    """(bucket, superseded) → (source number, its superseded rows); tagged: a Tally."""

    def process(self, element: Keyed) -> Iterable[Keyed]:
        """Splits the rows, which come sorted by `where`, by source."""
        _, superseded = element
        where = superseded["where"].to_numpy()
        exact = superseded["exact"].to_numpy()
        sources = staging.source_of(where)
        numbers, starts = np.unique(sources, return_index=True)
        ends = [*starts[1:].tolist(), len(where)]
        for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
            rows = staging.row_of(where[start:end])
            yield number, pa.table({"row": rows})
        delivered = sources >= staging.FIRST_BLOCK
        counts = {
            "versions": int(superseded.schema.metadata[b"versions"]),
            "superseded": int(np.sum(~exact)),
            "exact_duplicates": int(np.sum(exact)),
            "superseded_events": int(np.sum(~exact & delivered)),
            "exact_duplicate_events": int(np.sum(exact & delivered)),
        }
        yield TaggedOutput(TALLIES, Tally("latest", counts, 0.0))


class RouteRows(beam.DoFn):  # type: ignore[misc]
    """(source number, slices or live file, and superseded rows) → (partition, Rows); a Tally.

    Of a live file, all rows are one element; of a block, the rows of each slice.
    """

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """Gives each slice and live file its share of the superseded rows."""
        number, groups = element
        rows = [table["row"].to_numpy() for table in groups["superseded"]]
        superseded = np.sort(np.concatenate([np.empty(0, np.int64), *rows]))
        slices = [slice_ for staged in groups["staged"] for slice_ in staged]
        files: list[DataFile] = list(groups["live"])
        for file in files:
            yield directory(file.destination), Rows(file, superseded)
        for slice_ in slices:
            first, last = np.searchsorted(
                superseded, [slice_.first_row, slice_.first_row + slice_.rows]
            )
            own = superseded[first:last] - slice_.first_row
            yield directory(slice_.destination), Rows(slice_, own)
        counts = {
            "live_files": len(files),
            "blocks": len(list(groups["staged"])),
            "slices": len(slices),
            "superseded": len(superseded),
        }
        yield TaggedOutput(TALLIES, Tally("route", counts, 0.0))


class WriteDestinations(_CallEach):
    """(partition, Rows of it) → Written; tagged: a Tally."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=False))
        self._settings = parquet.WriteSettings(run.root, run.id, run.target_file_bytes)

    def call(self, element: tuple[str, Iterable[Rows]]) -> Callable[[], Any]:
        """The writing of one destination."""
        return partial(_write_destination, list(element[1]), self._settings)

    def outputs(self, result: tuple[Written, float]) -> Iterator[Any]:
        """The elements for a destination."""
        written, seconds = result
        if written.files or written.replaced:
            yield written
        counts = {
            "slices": written.slices,
            "kept": written.staged,
            "superseded": written.superseded,
            "files": len(written.files),
            "replaced": len(written.replaced),
            "live_rows": written.live,
        }
        yield TaggedOutput(TALLIES, Tally("write", counts, seconds))


def _write_destination(
    rows: Sequence[Rows], settings: parquet.WriteSettings
) -> tuple[Written, float]:
    started = time.perf_counter()
    return parquet.write_destination(rows, settings), time.perf_counter() - started


class Publish(beam.DoFn):  # type: ignore[misc]
    """(key, everything the steps have to say) → the run's record."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[dict[str, Any]]:
        """See `publish.publish`."""
        _, groups = element
        (planned,) = groups["plan"]
        outcome = publish.Outcome(
            planned,
            tallies=list(groups["tallies"]),
            written=list(groups["written"]),
            dead_letters=list(groups["dead_letters"]),
        )
        yield publish.publish(self._run, outcome)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
