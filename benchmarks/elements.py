"""``python -m benchmarks elements``: how large the elements are that a run shuffles.

The graph is the job's own, run in this process as on an engine: the runner is left to spread the
work, so that versions travel as bytes. In front of each shuffle every element is encoded as a
runner would encode it, and behind it each group is added up. The filter's parts are combined before
their shuffle (its accumulators are of the same type as its elements), so they are measured there.
"""

import contextlib
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

import apache_beam as beam
from apache_beam import coders

from benchmarks import data, tables
from pipeline import flow
from pipeline.command import runners
from pipeline.graph import combiners
from pipeline.keys.delivery_keys import DeliveryKeys
from pipeline.run import Run, new_run_id
from pipeline.table.address import Table

LIMIT_BYTES = 16 << 20
"""What no element may exceed: engines hold a few of them at once, and some refuse larger ones."""


class Shuffle(NamedTuple):
    """What went through one shuffle.

    Attributes:
        elements: How many.
        bytes: All of them, encoded.
        largest: The largest of them.
        group: The largest group, of all elements of one key.
    """

    elements: int
    bytes: int
    largest: int
    group: int


_measured: dict[str, Shuffle] = {}
_GroupByKey = beam.GroupByKey


class _Element(beam.DoFn):
    """Passes elements on and notes how large they are."""

    def __init__(self, name: str, coder: coders.Coder) -> None:
        self._name = name
        self._coder = coder

    def process(self, element: Any) -> Iterator[Any]:
        """The element."""
        size = len(self._coder.encode(element))
        sums = _measured.get(self._name, Shuffle(0, 0, 0, 0))
        _measured[self._name] = Shuffle(
            sums.elements + 1, sums.bytes + size, max(sums.largest, size), sums.group
        )
        yield element


class _Group(beam.DoFn):
    """Passes groups on and notes how large they are."""

    def __init__(self, name: str, coder: coders.Coder) -> None:
        self._name = name
        self._coder = coder

    def process(self, element: tuple[Any, Any]) -> Iterator[Any]:
        """The group."""
        key, values = element
        held = list(values)
        size = sum(len(self._coder.encode((key, value))) for value in held)
        sums = _measured[self._name]
        _measured[self._name] = sums._replace(group=max(sums.group, size))
        yield key, held


class _MeasuredGroupByKey(beam.PTransform[Any, Any]):
    """Groups, and measures before and after it."""

    def expand(self, pcoll: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """The groups."""
        name = pcoll.pipeline.transforms_stack[-1].full_label.split("/")[0]
        coder = coders.registry.get_coder(pcoll.element_type)
        element = beam.ParDo(_Element(name, coder)).with_output_types(pcoll.element_type)
        groups = pcoll | "measure" >> element | "group" >> _GroupByKey()
        group = beam.ParDo(_Group(name, coder)).with_output_types(groups.element_type)
        return groups | "measure group" >> group


class _MeasuredCombineSeen(combiners.CombineDeliveryKeys):
    """Notes how large the parts and the accumulators are: each is an element of a shuffle."""

    def merge_accumulators(self, accumulators: Iterable[DeliveryKeys]) -> DeliveryKeys:
        """The union."""
        noted = _Element("seen", coders.registry.get_coder(Any))
        return super().merge_accumulators([next(noted.process(part)) for part in accumulators])


@contextlib.contextmanager
def _instruments() -> Iterator[None]:
    """Measures around each shuffle of the graphs that are built within the ``with`` block."""
    with (
        mock.patch.object(beam, "GroupByKey", _MeasuredGroupByKey),
        mock.patch.object(beam.transforms.util, "GroupByKey", _MeasuredGroupByKey),
        mock.patch.object(combiners, "CombineDeliveryKeys", _MeasuredCombineSeen),
    ):
        yield


def measure(
    delivery: data.Delivery, root: pathlib.Path, temporary: pathlib.Path
) -> dict[str, Shuffle]:
    """Publishes a delivery into a new table, or one that is there; what it shuffled, by step."""
    _measured.clear()
    run = Run(
        id=new_run_id(),
        inputs=(delivery.pattern,),
        table=Table(str(root)),
        temp=str(temporary),
        rebuild=False,
        max_partitions=10_000,
        max_event_bytes=16 << 20,
        target_file_bytes=256 << 20,
    )
    with _instruments(), runners.quiet(False), beam.Pipeline(runner="FnApiRunner") as pipeline:
        flow.build(pipeline, run)
    return dict(_measured)


class Results(NamedTuple):
    """What was measured.

    Attributes:
        delivery: What was delivered.
        onto: What the table was made of before; None if it is new.
        shuffles: By the step that they belong to.
    """

    delivery: data.Delivery
    onto: data.Delivery | None
    shuffles: dict[str, Shuffle]


def compare(delivery: data.Delivery, onto: data.Delivery | None, work: pathlib.Path) -> Results:
    """Publishes `onto`, if there is any, and then the delivery, which is measured."""
    root, temporary = work / "table-elements", work / "temp-elements"
    for folder in (root, temporary):
        shutil.rmtree(folder, ignore_errors=True)
    if onto is not None:
        measure(onto, root, temporary)
    results = Results(delivery, onto, measure(delivery, root, temporary))
    for folder in (root, temporary):
        shutil.rmtree(folder, ignore_errors=True)
    return results


def largest(results: Results) -> int:
    """The size of the largest element in any shuffle."""
    return max(shuffle.largest for shuffle in results.shuffles.values())


def markdown(results: Results) -> str:
    """The results as a table for people."""
    events = results.delivery.summary.events
    rows: list[Sequence[str]] = [
        [
            name,
            f"{shuffle.elements:,}",
            f"{shuffle.bytes / tables.MIB:,.2f}",
            f"{shuffle.bytes / events:,.1f}",
            f"{shuffle.largest / tables.MIB:,.3f}",
            f"{shuffle.group / tables.MIB:,.3f}",
        ]
        for name, shuffle in results.shuffles.items()
    ]
    header = [
        "shuffle of",
        "elements",
        "MiB",
        "bytes an event",
        "largest, MiB",
        "largest group, MiB",
    ]
    onto = "a new table" if results.onto is None else f"{results.onto.summary.events:,} events"
    caption = (
        f"{events:,} events, {results.delivery.summary.size_bytes / 1e6:,.0f} MB, into {onto};"
        f" the largest element has {largest(results) / tables.MIB:,.2f} MiB,"
        f" the limit is {LIMIT_BYTES / tables.MIB:,.0f}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
