"""What of `data` becomes a column of a view, and of which kind."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pipeline.catalogue.nodes import Node, Type

# Of `mixed` and of arrays a column has JSON: no value is lost, and none is made another one.
Kind = Literal["integer", "number", "boolean", "string", "json"]

# Columns that every view has.
ENVELOPE = ("event_id", "timestamp", "nanos", "data", "extra")
PARTITION = ("domain", "event_type", "year", "month", "day")
# Engines plan views with thousands of columns slowly, and nobody reads them.
COLUMNS_LIMIT = 200
# An object with more members is a dictionary, whose keys are values.
_MEMBERS_LIMIT = 50
# Deeper objects stay JSON.
_DEPTH_LIMIT = 4
_SIMPLE: dict[frozenset[str], Kind] = {
    frozenset({"integer"}): "integer",
    frozenset({"number"}): "number",
    frozenset({"integer", "number"}): "number",
    frozenset({"boolean"}): "boolean",
    frozenset({"string"}): "string",
}
# Beyond this a double does not have every integer.
_EXACT = 1 << 53


class Column(NamedTuple):
    """A column of a view.

    Attributes:
        name: Unique in the view, whatever the case of its letters.
        steps: Names of members on the way to the value.
        kind: The kind of its values.
    """

    name: str
    steps: tuple[str, ...]
    kind: Kind


def columns(entry: Type) -> list[Column]:
    """Returns the columns for `data` of a type; the entity's `id` comes first."""
    taken = {name.lower() for name in (*ENVELOPE, *PARTITION)}
    found: list[Column] = []
    for steps, kind in sorted(_values(entry.root, ()), key=lambda one: (one[0] != ("id",),)):
        if len(found) < COLUMNS_LIMIT:
            found.append(Column(_unique(_name(steps), taken), steps, kind))
    return found


def _values(node: Node, steps: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Kind]]:
    """Yields the values within a node; an object is its members."""
    for name, child in sorted(node.members.items()):
        own = (*steps, name)
        kinds = set(child.kinds) - {"null"}
        few = 0 < len(child.members) <= _MEMBERS_LIMIT and not child.more
        if kinds == {"object"} and few and len(own) < _DEPTH_LIMIT:
            yield from _values(child, own)
        else:
            yield own, _kind(child, kinds)


def _kind(node: Node, kinds: set[str]) -> Kind:
    kind = _SIMPLE.get(frozenset(kinds), "json")
    bounds = node.integers or (0, 0)
    if kind == "number" and max(-bounds[0], bounds[1]) > _EXACT:
        return "json"
    return kind


def _name(steps: tuple[str, ...]) -> str:
    name = re.sub(r"\W+", "_", "_".join(steps), flags=re.ASCII).strip("_") or "field"
    return (f"_{name}" if name[0].isdigit() else name)[:100]


def _unique(name: str, taken: set[str]) -> str:
    """Returns a name that is not taken yet, and takes it."""
    found, number = name, 1
    if found.lower() in taken:
        found = f"data_{name}"
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found.lower())
    return found
