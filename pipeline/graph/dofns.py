"""The functions Beam calls: thin wiring around the plain functions of the other modules.

Elements are small named tuples; versions are packed into bytes, see `versions`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import TaggedOutput

from pipeline import processes, storage
from pipeline.bookkeeping.summary import RunSummary
from pipeline.graph import cores, tags
from pipeline.graph.cores import Cores, ParallelDoFn
from pipeline.keys import versions
from pipeline.keys.delivery_keys import DeliveryKeys
from pipeline.keys.versions import Bucketed, Packed
from pipeline.keys.weights import Cut
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.rows.staging import Slices
from pipeline.run import Run
from pipeline.steps import commit, decode, latest, plan, read, route, scan, write
from pipeline.steps.latest import Superseded
from pipeline.steps.outcome import Outcome
from pipeline.steps.plan import ReadTask, ScanTask
from pipeline.steps.read import BlockRead
from pipeline.steps.route import Routed
from pipeline.steps.tally import Tally
from pipeline.steps.write import Written

# Of files in a store: each waits for two or three requests, and works for some milliseconds.
_SCANS_AT_A_TIME = 16
# Opening a file takes as long as reading this much.
_OPENING_BYTES = 64 << 10
# 8 MB, in an element.
_ROWS_AT_A_TIME = 1 << 20

Keyed = tuple[int, Packed]


class PlanRun(beam.DoFn):
    """Run → Plan; tagged: a ReadTask for each block, the ScanTasks for some live files."""

    def process(self, run: Run) -> Iterator[Any]:
        """See `plan.plan`."""
        planned = plan.plan(run)
        for task in planned.reads:
            yield TaggedOutput(tags.READS, task)
        for scans in plan.together(planned.scans, run.root):
            yield TaggedOutput(tags.SCANS, scans)
        cores.tell(planned.tally())
        yield TaggedOutput(tags.TALLIES, planned.tally())
        yield planned._replace(reads=[], scans=[])


class ReadBlocks(ParallelDoFn):
    """ReadTask → (bucket, versions).

    Tagged: SLICES, WEIGHTS, DELIVERY_KEYS, CATALOGUES, REJECTS.
    """

    def __init__(self, run: Run, workers: int, scratch: str) -> None:
        super().__init__(Cores(workers, processes=True))
        self._run = run
        self._scratch = scratch

    def call(self, element: ReadTask, *_: Any) -> Callable[[], Any]:
        """The reading of one block, with the size of the filter beside it."""
        settings = decode.ReadSettings(
            self._run.id,
            self._run.staging,
            element.sizes,
            self._run.max_event_bytes,
            scratch=self._scratch,
            names=element.layout.fields,
            provenance=element.layout.provenance,
            contract=self._run.contract,
        )
        # A process gives all at once, an engine gets versions as soon as they are many.
        reading = read.read_block if self._cores.workers else read.portions
        return partial(reading, element.block, settings)

    def work_bytes(self, element: ReadTask) -> int:
        """Those of the block."""
        return element.block.bytes

    def outputs(self, found: BlockRead | Iterable[Bucketed | BlockRead]) -> Iterator[Any]:
        """The elements for a block."""
        parts: Iterable[Any] = [*found.earlier, found] if isinstance(found, BlockRead) else found
        for part in parts:
            if isinstance(part, Bucketed):
                yield from part.split()
            else:
                yield from self._of_all(part)

    def _of_all(self, block: BlockRead) -> Iterator[Any]:
        yield from block.versions.split()
        yield TaggedOutput(tags.SLICES, (block.number, tuple(block.slices)))
        yield TaggedOutput(tags.WEIGHTS, block.weights)
        yield TaggedOutput(tags.DELIVERY_KEYS, block.delivery_keys)
        if block.catalogue:
            yield TaggedOutput(tags.CATALOGUES, block.catalogue)
        if block.dead_letters:
            yield TaggedOutput(tags.REJECTS, block.dead_letters)
        rejected = sum(block.rejected.values())
        counts = {
            "blocks": 1,
            "bytes": block.bytes,
            "events": block.rows + rejected,
            "rejected": rejected,
            "dead_letter_files": 1 if block.dead_letters else 0,
            "versions": block.rows,
            "sampled": block.sampled,
            "slices": sum(len(slices.destinations) for slices in block.slices),
            **{f"rejected.{reason}": count for reason, count in block.rejected.items()},
        }
        if self._run.contract:
            counts["checked"], counts["broken"] = block.checked
        tally = Tally("read", counts, block.seconds, block.days, block.breaches, block.files)
        yield TaggedOutput(tags.TALLIES, tally)


class ScanLiveFiles(ParallelDoFn):
    """ScanTasks, with the delivery's keys → (bucket, versions that may compete); tagged: LIVE."""

    def __init__(self, run: Run, workers: int) -> None:
        waiting = 0 if storage.is_local(run.root) else _SCANS_AT_A_TIME
        super().__init__(Cores(workers, processes=True, waiting=waiting))
        self._run = run

    def process(self, element: tuple[ScanTask, ...], delivery: DeliveryKeys) -> Iterable[Keyed]:
        """Scans the files within the user's horizon, and passes over the others."""
        near: list[ScanTask] = []
        far: list[scan.Scanned] = []
        for task in element:
            if scan.is_near(task, delivery, self._run.dedup_days):
                near.append(task)
            else:
                far.append(scan.pass_over(task, delivery))
        if near:
            yield from super().process(tuple(near), delivery)
        if far:
            yield from self.outputs(far)

    def call(self, element: tuple[ScanTask, ...], *side_inputs: DeliveryKeys) -> Callable[[], Any]:
        """The scan of some files."""
        (delivery,) = side_inputs
        return partial(scan.scan_files, self._run.root, element, delivery)

    def work_bytes(self, element: tuple[ScanTask, ...]) -> int:
        """Of opening the files, where nobody waits for a store; and those of the event_ids.

        If there is a filter, only a few of the event_ids become Python's.
        """
        opening = 0 if self._cores.waiting else _OPENING_BYTES
        ids = 0 if element[0].sizes.filter_size.bits else 36
        return sum(opening + task.file.rows * ids for task in element)

    def outputs(self, found: list[scan.Scanned]) -> Iterator[Any]:
        """The elements for some live files."""
        for scanned in found:
            yield from scanned.versions.split()
            yield TaggedOutput(tags.LIVE, (scanned.number, scanned.live))
        counts = {
            "live_files": len(found),
            "versions": sum(scanned.rows for scanned in found),
            "comparisons": sum(scanned.blocks for scanned in found),
            "files_passed_over": sum(1 for scanned in found if scanned.passed_over),
            "rows_passed_over": sum(scanned.passed_over for scanned in found),
        }
        seconds = sum(scanned.seconds for scanned in found)
        yield TaggedOutput(tags.TALLIES, Tally("scan", counts, seconds))


class CombineLatest(ParallelDoFn):
    """(bucket, its versions) → (origin number, its superseded rows).

    As `beam.CombineValues` would, but on all cores of a machine with one worker.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(Cores(workers, processes=False))

    def call(self, element: tuple[int, Iterable[Packed]], *_: Any) -> Callable[[], Any]:
        """The combining of one bucket."""
        return partial(latest.latest, list(element[1]))

    def outputs(self, found: Superseded) -> Iterator[Any]:
        """Splits the rows by origin; as bytes, since Beam would pickle arrays one by one."""
        locations, exact, count, seconds, days = found
        origins = versions.origins_of(locations)
        numbers, starts = np.unique(origins, return_index=True)
        borders = [*starts.tolist(), len(locations)]
        for number, (first, end) in zip(numbers.tolist(), itertools.pairwise(borders), strict=True):
            for start in range(first, end, _ROWS_AT_A_TIME):
                some = locations[start : min(start + _ROWS_AT_A_TIME, end)]
                yield number, versions.rows_of(some).tobytes()
        delivered = origins >= versions.FIRST_BLOCK
        counts = {
            "versions": count,
            "superseded": int(np.sum(~exact)),
            "exact_duplicates": int(np.sum(exact)),
            "superseded_events": int(np.sum(~exact & delivered)),
            "exact_duplicate_events": int(np.sum(exact & delivered)),
        }
        yield TaggedOutput(tags.TALLIES, Tally("latest", counts, seconds, days))


class RouteRows(beam.DoFn):
    """(origin number, its slices or live file, and superseded rows) → (shard, Routed)."""

    def __init__(self, run: Run) -> None:
        self._target_bytes = run.target_file_bytes

    def process(
        self, element: tuple[int, dict[str, Iterable[Any]]], cuts: dict[int, Cut]
    ) -> Iterator[Any]:
        """See `route`, the module."""
        number, inputs = element
        files: list[LiveFile] = list(inputs[tags.LIVE])
        blocks: list[tuple[Slices, ...]] = list(inputs[tags.SLICES])
        rows = route.superseded_rows(inputs[tags.ROWS])
        routed = [
            one
            for file in files
            for one in route.live_file(number, file, rows, cuts, self._target_bytes)
        ]
        yield from routed
        slices = list(itertools.chain.from_iterable(blocks))
        yield from route.block(slices, rows, cuts)
        counts = {
            "live_files": len(files),
            "live_files_left": len(files) - len(routed),
            "blocks": len(blocks),
            "slices": sum(len(one.rows) for one in slices),
            "superseded": len(rows),
        }
        yield TaggedOutput(tags.TALLIES, Tally("route", counts, 0.0))


class WriteDestinations(ParallelDoFn):
    """(shard, Routed to its destinations) → Written."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__(Cores(workers, processes=True))
        self._settings = WriteSettings(
            run.root, run.id, run.target_file_bytes, run.keep_seconds > 0
        )

    def call(self, element: tuple[int, Iterable[Routed]], *_: Any) -> Callable[[], Any]:
        """The writing of one shard."""
        return partial(write.write_shard, list(element[1]), self._settings)

    def outputs(self, result: tuple[Written, float]) -> Iterator[Any]:
        """The elements for a shard."""
        written, seconds = result
        if written.files or written.replaced:
            yield written
        counts = {
            "slices": written.slices,
            "live_files": written.live_files,
            "kept": written.staged,
            "superseded": written.superseded,
            "files": len(written.files),
            "replaced": len(written.replaced),
            "live_rows": written.live,
        }
        yield TaggedOutput(tags.TALLIES, Tally("write", counts, seconds))


class CommitRun(beam.DoFn):
    """(key, everything the steps have to say) → the run's summary."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[RunSummary]:
        """See `commit.commit`."""
        processes.stop(wait=False)  # their work is done, and they end while this goes on
        _, results = element
        outcome = Outcome(
            plans=list(results[tags.PLAN]),
            tallies=list(results[tags.TALLIES]),
            written=list(results[tags.WRITTEN]),
            dead_letters=list(results[tags.REJECTS]),
            catalogues=list(results[tags.CATALOGUES]),
        )
        yield commit.commit(self._run, outcome)
