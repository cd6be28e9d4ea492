"""docs/architecture.md: its drawing is the graph that Beam gets, and a step has one name."""

import re
from pathlib import Path

import pytest

from pipeline.command import report
from pipeline.steps import tally
from tests.by_hand import new_run, run_graph
from tests.deliveries import Event, deliver
from tests.project import drawing
from tests.project.drawing import Graph
from tests.project.test_readme import README, blocks

ROOT = Path(__file__).parents[2]
ARCHITECTURE = drawing.PAGE.read_text()

# Modules of `steps` that are no step: what steps share.
NO_STEPS = {"checks", "decode", "outcome", "sizes", "summing_up", "tally"}
# Steps without a line in the report: too little time passes in them; the page says so.
NOT_REPORTED = {"route"}
# What only brings elements together.
WIRING = {"Create", "catalogue", "delivery keys", "large destinations", "versions", "tallies"}


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The graph that the job builds."""
    return drawing.graph()


def test_the_drawing_is_the_graph(graph: Graph) -> None:
    """A newcomer looks at it before the code. Where they differ: ./run.sh draw.

    Seen to fail with an edge left out, and with an output of a step called otherwise.
    """
    assert drawing.DRAWING.findall(ARCHITECTURE) == [drawing.mermaid(graph)]


def test_every_step_gives_tallies(graph: Graph) -> None:
    """They are left out of the drawing because the page says that each step gives them."""
    *steps, last = graph.steps
    given = [(edge.giver, edge.taker) for edge in graph.edges if edge.what == "tallies"]
    assert given == [(step, last) for step in steps]


def test_steps_are_modules(graph: Graph) -> None:
    """The label that an engine shows leads to the code."""
    modules = {path.stem for path in (ROOT / "pipeline" / "steps").glob("[!_]*.py")} - NO_STEPS
    assert set(graph.steps) == modules
    assert set(graph.wiring) == WIRING


def test_steps_are_those_of_tallies_and_report(graph: Graph, tmp_path: Path) -> None:
    """A count that is off, and a line of the report, name a box of the graph."""
    deliver(tmp_path / "in" / "a.jsonl", [Event("a")])
    record = run_graph(new_run(tmp_path))
    counted = {name.partition(".")[0] for name in record["counts"]}
    compared = {
        name.partition(".")[0] for _, *sides in tally.EQUATIONS for side in sides for name in side
    }
    assert counted | {"scan"} == compared == set(graph.steps)  # a new table has nothing to scan
    assert set(record["seconds"]) | {"scan"} == set(graph.steps)
    assert [step for step in graph.steps if step not in NOT_REPORTED] == [*report._STEPS]


def test_steps_are_those_of_the_page(graph: Graph) -> None:
    """The table has a row for each box, in the order of the graph, and names the exceptions."""
    table = ARCHITECTURE[ARCHITECTURE.index("| step |") :].partition("\n\n")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE) == ["step", *graph.steps]
    for step in NOT_REPORTED:
        assert f"`{step}`" in ARCHITECTURE


def test_the_picture_in_the_readme_is_the_graph(graph: Graph) -> None:
    """It has fewer boxes, but none that there is not, and no arrow either."""
    (picture,) = [block for block in blocks(README, "") if "─►" in block]
    arrows = re.findall(r"(?=\b(\w+)[\w ]* ─► (\w+))", picture)
    edges = {(edge.giver, edge.taker) for edge in graph.edges}
    between_steps = {arrow for arrow in arrows if set(arrow) <= set(graph.steps)}
    assert len(between_steps) == 3
    assert between_steps <= edges
    assert set(graph.steps) - {"plan"} <= set(re.findall(r"\w+", picture))
