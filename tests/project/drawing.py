"""Draws the job's graph, as Beam gets it, into docs/architecture.md: ``./run.sh draw``."""

if __name__ == "__main__":  # before the imports of Beam, which warns of what is not installed
    from pipeline import imports

    imports.quieten()

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform
from apache_beam.pvalue import PCollection

from pipeline import flow
from pipeline.graph import tags, transforms
from pipeline.run import Run
from pipeline.table.address import Table

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
DRAWING = re.compile(r"(?<=^```mermaid\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)

# What does not travel through Beam, so that the graph does not have it.
_THROUGH_STORAGE = ["read -.->|payloads, staged in temp| write"]


class Edge(NamedTuple):
    """What flows from one step to another.

    Attributes:
        giver: The label of the step that gives the elements.
        what: The name of its output; see `tags`.
        taker: The label of the step that takes them.
    """

    giver: str
    what: str
    taker: str


class Graph(NamedTuple):
    """The job's graph.

    Attributes:
        steps: The labels of the steps, in order.
        wiring: The labels of all else, which only brings elements together.
        edges: What flows between the steps; what passes through wiring keeps its name.
    """

    steps: list[str]
    wiring: list[str]
    edges: list[Edge]


def graph() -> Graph:
    """Returns the graph that the job builds."""
    logging.disable()  # Beam warns of type hints that it does not check
    pipeline = beam.Pipeline(runner="FnApiRunner")
    try:
        flow.build(pipeline, Run("run", ("in",), Table("table"), "temp", False, 1, 1, 1))
    finally:
        logging.disable(logging.NOTSET)
    parts = pipeline.transforms_stack[0].parts
    steps = [part for part in parts if type(part.transform).__module__ == transforms.__name__]
    givers = {output: part for part in parts for output in part.outputs.values()}

    def given(elements: PCollection) -> Iterator[tuple[str, str]]:
        """Yields the steps that elements come from, each with the name of its output."""
        giver = givers[elements]
        if giver in steps:
            yield giver.full_label, elements.tag or _main_tag(elements)
            return
        for passed in _taken(giver):
            yield from given(passed)

    edges = [
        Edge(*source, step.full_label)
        for step in steps
        for elements in _taken(step)
        for source in given(elements)
    ]
    labels = [step.full_label for step in steps]
    edges.sort(key=lambda edge: (labels.index(edge.giver), labels.index(edge.taker)))
    return Graph(labels, [part.full_label for part in parts if part not in steps], edges)


def _taken(part: AppliedPTransform) -> list[PCollection]:
    """Returns what a part of the graph takes from others, as main or side input."""
    taken = [*part.inputs, *(side.pvalue for side in part.side_inputs)]
    for inner in part.parts:
        taken += [elements for elements in _taken(inner) if not _is_within(elements, part)]
    return [found for found in dict.fromkeys(taken) if isinstance(found, PCollection)]


def _main_tag(elements: PCollection) -> str:
    """Returns the name of a main output; only the transform that gives it has the name."""
    found: str = elements.producer.parent.transform._main_tag
    return found


def _is_within(elements: PCollection, part: AppliedPTransform) -> bool:
    producer = elements.producer
    while producer is not None and producer is not part:
        producer = producer.parent
    return producer is part


def mermaid(found: Graph) -> str:
    """Returns the drawing; without the tallies, which every step gives."""
    edges = [edge for edge in found.edges if edge.what != tags.TALLIES]
    arrows = [f"{giver} -->|{what.replace('_', ' ')}| {taker}" for giver, what, taker in edges]
    return "\n    ".join(["flowchart LR", *arrows, *_THROUGH_STORAGE]) + "\n"


def main() -> None:
    """Draws the graph anew."""
    drawn = mermaid(graph())
    PAGE.write_text(DRAWING.sub(lambda _: drawn, PAGE.read_text()))


if __name__ == "__main__":
    main()
