"""Looks at payloads, one after the other."""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import xxhash

from pipeline.catalogue import nodes
from pipeline.catalogue.nodes import Catalogue, Node, Rank, Type

_DECODE = msgspec.json.Decoder().decode
_INT64 = 1 << 63
_HASH = xxhash.xxh3_64_hexdigest


class Payload(NamedTuple):
    """The payload of an event.

    Attributes:
        domain: The event's.
        event_type: The event's.
        micros: When it happened, in microseconds since 1970.
        data: JSON.
    """

    domain: str
    event_type: str
    micros: int
    data: str | bytes


class _BigInteger:
    """Stands for an integer that is too long to be worth knowing."""


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    _BigInteger: "big-integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class _Builder:
    """A node that is being filled; see `Node`."""

    __slots__ = (
        *("elements", "examples", "first", "integers", "kinds", "last", "members", "more"),
        *("more_examples", "most_hash", "numbers", "rank"),
    )

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self.kinds: dict[type, int] = {}
        self.integers: list[int] = []
        self.numbers: list[float] = []
        self.examples: dict[str, str] = {}
        self.most_hash = ""
        self.more_examples = False
        self.first, self.last = nodes.NEVER_FIRST, nodes.NEVER_LAST
        self.members: dict[str, _Builder] = {}
        self.elements: _Builder | None = None
        self.more = False

    def children(self) -> Iterator["_Builder"]:
        yield from self.members.values()
        if self.elements is not None:
            yield self.elements

    def drop(self, last: Rank) -> None:
        """Drops the children that come after a rank."""
        kept = {name: child for name, child in self.members.items() if child.rank <= last}
        elements = self.elements
        if elements is not None and elements.rank > last:
            elements = None
        if len(kept) < len(self.members) or elements is not self.elements:
            self.members, self.elements, self.more = kept, elements, True

    def node(self) -> Node:
        """Returns the node, with its children."""
        return Node(
            kinds={_KINDS[kind]: count for kind, count in self.kinds.items()},
            integers=(self.integers[0], self.integers[1]) if self.integers else None,
            numbers=(self.numbers[0], self.numbers[1]) if self.numbers else None,
            examples=self.examples,
            more_examples=self.more_examples,
            first=self.first,
            last=self.last,
            members={name: child.node() for name, child in self.members.items()},
            elements=self.elements.node() if self.elements else None,
            more=self.more,
        )


class _Tree:
    """The fields of one type, being filled."""

    def __init__(self, limit: int) -> None:
        self.root = _Builder(nodes.ROOT)
        self.unreadable = 0
        self._limit = limit
        self._count = 1
        # Paths after this one are not among the first, whatever is still to come.
        self._last: Rank | None = None

    def add(self, data: str | bytes, micros: int) -> None:
        """Looks at a payload."""
        try:
            value = _decoded(data)
        except (ValueError, RecursionError):
            self.unreadable += 1
            return
        self._walk(self.root, value, micros)

    def _walk(self, node: _Builder, value: Any, micros: int) -> None:
        """Adds a value to a node. This is called for each value, so it is written for speed."""
        kind = type(value)
        if kind is int and not -_INT64 <= value < _INT64:
            kind = _BigInteger
        kinds = node.kinds
        kinds[kind] = kinds.get(kind, 0) + 1
        if micros < node.first:
            node.first = micros
        if micros > node.last:
            node.last = micros
        if kind is str:
            _add_text(node, value)
        elif kind is int:
            _widen(node.integers, value)
        elif kind is float:
            if math.isfinite(value):
                _widen(node.numbers, value + 0.0)  # -0.0 becomes 0.0
        elif kind is dict:
            members = node.members
            for name, inner in value.items():
                child = members.get(name)
                if child is None:
                    child = self._new(node, name)
                    if child is None:
                        continue
                    members = node.members
                self._walk(child, inner, micros)
        elif kind is list and value:
            child = node.elements
            if child is None:
                child = self._new(node, None)
            if child is not None:
                for inner in value:
                    self._walk(child, inner, micros)

    def _new(self, parent: _Builder, name: str | None) -> _Builder | None:
        """Returns a new child of a node; None if it is not among the first paths."""
        if parent.rank[0] >= nodes.DEPTH_LIMIT or len(name or "") > nodes.NAME_LIMIT:
            parent.more = True
            return None
        rank = nodes.rank(parent.rank, name)
        if self._last is not None and rank > self._last:
            parent.more = True
            return None
        child = _Builder(rank)
        if name is None:
            parent.elements = child
        else:
            parent.members[name] = child
        self._count += 1
        if self._count > 2 * self._limit:
            self.prune()
            if self._last is not None and rank > self._last:
                return None
        return child

    def prune(self) -> None:
        """Keeps only the first paths."""
        if self._count <= self._limit:
            return
        found = [self.root]
        for node in found:  # it grows meanwhile
            found += node.children()
        self._last = sorted(node.rank for node in found)[self._limit - 1]
        for node in found:
            node.drop(self._last)
        self._count = self._limit


def observe(
    payloads: Iterable[Payload],
    paths: int = nodes.PATHS_LIMIT,
    types: int = nodes.TYPES_LIMIT,
) -> Catalogue:
    """Returns the catalogue of some payloads.

    Args:
        payloads: The payloads, in any order.
        paths: How many paths of a type are kept.
        types: How many types are kept.
    """
    trees: dict[tuple[str, str], _Tree] = {}
    count = 0
    more_types = False
    for domain, event_type, micros, data in payloads:
        count += 1
        tree = trees.get((domain, event_type))
        if tree is None:
            tree = trees[domain, event_type] = _Tree(paths)
            if len(trees) > 2 * types:
                trees = dict(sorted(trees.items())[:types])
                more_types = True
        tree.add(data, micros)
    found = []
    for (domain, event_type), tree in sorted(trees.items())[:types]:
        tree.prune()
        found.append(Type(domain, event_type, tree.root.node(), tree.unreadable))
    return Catalogue(found, count, more_types or len(trees) > types)


def _add_text(node: _Builder, text: str) -> None:
    key = _HASH(text.encode())
    examples = node.examples
    if key in examples:
        return
    if len(examples) < nodes.EXAMPLES_LIMIT:
        examples[key] = _cut(text)
        if key > node.most_hash:
            node.most_hash = key
        return
    node.more_examples = True
    if key < node.most_hash:
        del examples[node.most_hash]
        examples[key] = _cut(text)
        node.most_hash = max(examples)


def _cut(text: str) -> str:
    limit = nodes.EXAMPLE_CHARACTERS
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _widen(bounds: list[Any], value: Any) -> None:
    """Makes bounds contain a value; these are empty, or the least and the greatest."""
    if not bounds:
        bounds += [value, value]
    elif value < bounds[0]:
        bounds[0] = value
    elif value > bounds[1]:
        bounds[1] = value


def _decoded(data: str | bytes) -> Any:
    """Returns the value of a payload.

    Raises:
        ValueError, RecursionError: It is not JSON.
    """
    try:
        return _DECODE(data)
    except msgspec.DecodeError:
        # msgspec knows no number beyond 1.8e308, and no integer of hundreds of digits.
        value = json.loads(data, parse_int=_integer, parse_constant=_refuse)
        # Nor does it know half of a surrogate pair, which cannot be encoded here.
        json.dumps(value, ensure_ascii=False, default=repr).encode()
        return value


def _integer(digits: str) -> int | _BigInteger:
    return int(digits) if len(digits) < 40 else _BigInteger()


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
