"""`sample`: which events of a block are looked at."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import nodes, observe, sample
from pipeline.catalogue.nodes import Catalogue
from pipeline.catalogue.observe import Payload
from pipeline.catalogue.sample import Rows


def block(types: Sequence[tuple[str, list[object]]]) -> tuple[pa.ChunkedArray, list[Rows]]:
    """The payloads of a block, and which rows are of which type, all on one day."""
    rows, texts = [], list[str]()
    for event_type, values in types:
        rows.append(Rows(("d", event_type, 2021, 1, 8), len(texts), len(values)))
        texts += map(json.dumps, values)
    return pa.chunked_array([pa.array(texts, pa.string())]), rows


def take(types: Sequence[tuple[str, list[object]]]) -> Catalogue:
    """The catalogue of a sample."""
    data, rows = block(types)
    return sample.take(data, np.arange(len(data)), rows)


def looked_at(catalogue: Catalogue) -> dict[str, int]:
    """How many payloads of each type were looked at."""
    return {entry.event_type: entry.payloads for entry in catalogue.types}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(), min_size=1)), max_size=6))
def test_few_events_are_all_looked_at(types: list[tuple[str, list[object]]]) -> None:
    """Of small deliveries the catalogue is exact, whichever days a type has."""
    expected = [(event_type, json.dumps(value)) for event_type, values in types for value in values]
    data, _ = block(types)
    payloads = [
        Payload("d", event_type, at, text) for at, (event_type, text) in enumerate(expected)
    ]
    if len(payloads) <= sample._FEWEST_ROWS // 3:
        assert take(types) == observe.observe(payloads)
    assert len(data) == len(payloads)


def test_rare_types_are_looked_at() -> None:
    """A type has its share, however many events the others have."""
    found = looked_at(take([("often", [{"a": 1}] * 100_000), ("once", [{"b": 1}])]))
    assert found["once"] == 1
    assert 150 <= found["often"] <= 400


def test_it_is_spread_over_all_rows() -> None:
    """And does not keep step with events that come in turn.

    Seen to fail with every 100th row.
    """
    values: list[object] = [{"turn": number % 100, "at": number} for number in range(100_000)]
    (entry,) = take([("t", values)]).types
    bounds = entry.root.members["at"].integers
    turns = entry.root.members["turn"].integers
    assert bounds is not None and bounds[0] < 1_000 and bounds[1] > 99_000
    assert turns is not None and turns[0] < 5 and turns[1] > 95


def test_large_payloads_take_no_time() -> None:
    """What is looked at is bounded in bytes, too; one large payload is left out."""
    large: list[object] = [{"a": "x" * 60_000}] * 1_000
    found = looked_at(take([("large", large), ("huge", ["x" * 100_000]), ("small", [1])]))
    assert 1 <= found["large"] <= 5
    assert "huge" not in found
    assert found["small"] == 1


def test_it_does_not_depend_on_where_rows_lie() -> None:
    """Engines order destinations in their own way: by shards, of which there may be more."""
    one: list[object] = [{"a": number} for number in range(5_000)]
    other: list[object] = [{"b": number} for number in range(5_000)]
    assert looked_at(take([("t", one), ("u", other)])) == looked_at(
        take([("u", other), ("t", one)])
    )
    assert nodes.encode(take([("t", one), ("u", other)])) == nodes.encode(
        take([("t", one), ("u", other)])
    )


def test_many_types() -> None:
    """More than are kept: that is said."""
    found = take([(f"{number:05}", [1]) for number in range(nodes.TYPES_LIMIT + 1)])
    assert (len(found.types), found.more_types) == (nodes.TYPES_LIMIT, True)


def test_no_rows() -> None:
    """Nothing was delivered."""
    assert take([]) == Catalogue()
