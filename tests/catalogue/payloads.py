"""Payloads for tests of the catalogue: any JSON, and an independent walk through it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

from pipeline.catalogue.observe import Payload

Steps = tuple[str | None, ...]

NAMES = st.sampled_from(
    ["id", "a", "b", "a.b", 'q"', "\\", "'", "é", "7", "x1", "", "Id", "$", "[*]"]
)
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.integers(),
    st.integers(min_value=1 << 62, max_value=1 << 66),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=3), st.sampled_from("abcd")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
PAYLOADS = st.builds(
    Payload,
    st.sampled_from(["d", "e"]),
    st.sampled_from(["t", "u", "v"]),
    st.integers(-(1 << 50), 1 << 50),
    VALUES.map(json.dumps),
)


def kind(value: Any) -> str:
    """The JSON type of a value, as a catalogue calls it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "big-integer"
    names = {float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def places(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every value within a value, with its path."""
    yield steps, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*steps, name))
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner, (*steps, None))


def walked(payloads: Iterable[Payload]) -> dict[tuple[str, str], dict[Steps, Counter[str]]]:
    """How many values of each JSON type are at each path of each type, counted simply."""
    found: dict[tuple[str, str], dict[Steps, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for payload in payloads:
        for steps, value in places(json.loads(payload.data)):
            found[payload[:2]][steps][kind(value)] += 1
    return {name: dict(paths) for name, paths in found.items()}
