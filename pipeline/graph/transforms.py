"""The steps of the graph, as transforms: how their elements are spread and brought together.

Each step has named outputs; what they hold is said where the names are defined, in `tags`.
"""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from pipeline.bookkeeping.summary import RunSummary
from pipeline.graph import dofns, tags
from pipeline.graph.dofns import Keyed
from pipeline.keys import delivery_keys
from pipeline.keys.delivery_keys import DeliveryKeys
from pipeline.keys.weights import Cut
from pipeline.run import Run
from pipeline.steps.plan import ReadTask, ScanTask
from pipeline.steps.route import Routed

Outputs = Mapping[str, beam.PCollection[Any]]


class _Step(beam.PTransform[Any, Outputs]):
    """A step of the graph; each gives its outputs by name, tallies among them."""

    def __init__(self, run: Run, workers: int) -> None:
        super().__init__()
        self._run = run
        self._workers = workers


class Plan(beam.PTransform[Any, Any]):
    """Run → PLAN, READS, SCANS."""

    def expand(self, pcoll: beam.PCollection[Run]) -> Outputs:
        """One call of `plan.plan`."""
        return pcoll | beam.ParDo(dofns.PlanRun()).with_outputs(
            tags.READS, tags.SCANS, tags.TALLIES, main=tags.PLAN
        )


class Read(_Step):
    """READS → VERSIONS, SLICES, WEIGHTS, DELIVERY_KEYS, CATALOGUES, REJECTS."""

    def __init__(self, run: Run, workers: int, scratch: str) -> None:
        super().__init__(run, workers)
        self._scratch = scratch

    def expand(self, pcoll: beam.PCollection[ReadTask]) -> Outputs:
        """Spreads the blocks over the workers and reads each."""
        read = dofns.ReadBlocks(self._run, self._workers, self._scratch)
        outputs = beam.ParDo(read).with_outputs(
            *(tags.SLICES, tags.WEIGHTS, tags.DELIVERY_KEYS, tags.CATALOGUES),
            *(tags.REJECTS, tags.TALLIES),
            main=tags.VERSIONS,
        )
        return pcoll | "spread" >> beam.Reshuffle() | outputs


class Scan(_Step):
    """SCANS, with DELIVERY_KEYS by the whole delivery → VERSIONS, LIVE."""

    def __init__(self, run: Run, workers: int, delivery: beam.PCollection[DeliveryKeys]) -> None:
        super().__init__(run, workers)
        self._delivery = delivery

    def expand(self, pcoll: beam.PCollection[tuple[ScanTask, ...]]) -> Outputs:
        """Spreads the live files over the workers and scans each."""
        scanner = dofns.ScanLiveFiles(self._run, self._workers)
        delivery = beam.pvalue.AsSingleton(self._delivery, delivery_keys.NOTHING)
        outputs = beam.ParDo(scanner, delivery).with_outputs(
            tags.LIVE, tags.TALLIES, main=tags.VERSIONS
        )
        return pcoll | "spread" >> beam.Reshuffle() | outputs


class Latest(_Step):
    """VERSIONS → ROWS that are superseded, by origin."""

    def expand(self, pcoll: beam.PCollection[Keyed]) -> Outputs:
        """Combines the versions of each bucket, after the shuffle.

        `beam.CombinePerKey` would combine before it, too. That makes large elements of small ones
        and, since versions do not get fewer by it, copies all of them once more.
        """
        outputs = beam.ParDo(dofns.CombineLatest(self._workers)).with_outputs(
            tags.TALLIES, main=tags.ROWS
        )
        return pcoll | "by bucket" >> beam.GroupByKey() | "combine" >> outputs


class Route(beam.PTransform[Any, Any]):
    """SLICES, LIVE and superseded ROWS, with the cuts of destinations → ROWS by shard."""

    def __init__(self, run: Run, cuts: beam.PCollection[dict[int, Cut]]) -> None:
        super().__init__()
        self._run = run
        self._cuts = cuts

    def expand(self, pcoll: dict[str, beam.PCollection[tuple[int, Any]]]) -> Outputs:
        """Joins by origin."""
        cuts = beam.pvalue.AsSingleton(self._cuts, {})
        outputs = beam.ParDo(dofns.RouteRows(self._run), cuts).with_outputs(
            tags.TALLIES, main=tags.ROWS
        )
        return pcoll | "by origin" >> beam.CoGroupByKey() | "split" >> outputs


class Write(_Step):
    """ROWS by shard → WRITTEN."""

    def expand(self, pcoll: beam.PCollection[tuple[int, Routed]]) -> Outputs:
        """Brings together what belongs to a shard, and writes each."""
        outputs = beam.ParDo(dofns.WriteDestinations(self._run, self._workers)).with_outputs(
            tags.TALLIES, main=tags.WRITTEN
        )
        return pcoll | "by shard" >> beam.GroupByKey() | outputs


class Commit(beam.PTransform[Any, Any]):
    """PLAN, TALLIES, WRITTEN, REJECTS, CATALOGUES → the run's summary."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def expand(self, pcoll: dict[str, beam.PCollection[Any]]) -> beam.PCollection[RunSummary]:
        """Brings everything to one place, and publishes it."""
        keyed = {name: part | f"all {name}" >> beam.WithKeys(0) for name, part in pcoll.items()}
        return keyed | beam.CoGroupByKey() | beam.ParDo(dofns.CommitRun(self._run))
