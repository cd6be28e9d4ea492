"""Merges catalogues: exactly, in any order."""

from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.catalogue import nodes
from pipeline.catalogue.nodes import Catalogue, Node, Rank, Type


def merge(
    one: Catalogue,
    other: Catalogue,
    paths: int = nodes.PATHS_LIMIT,
    types: int = nodes.TYPES_LIMIT,
) -> Catalogue:
    """Returns the catalogue of the payloads of two catalogues.

    Both stay as they are; the result may share nodes with them.

    Args:
        one: A catalogue, made with the same limits.
        other: Another one.
        paths: How many paths of a type are kept.
        types: How many types are kept.
    """
    found = {entry.name: entry for entry in one.types}
    for entry in other.types:
        before = found.get(entry.name)
        found[entry.name] = entry if before is None else _merge_types(before, entry, paths)
    kept = [entry for _, entry in sorted(found.items())[:types]]
    more = one.more_types or other.more_types or len(found) > types
    return Catalogue(kept, one.payloads + other.payloads, more)


def merge_all(catalogues: Iterable[Catalogue]) -> Catalogue:
    """Returns the catalogue of the payloads of several catalogues."""
    found = Catalogue()
    for one in catalogues:
        found = merge(found, one)
    return found


def met_by(catalogue: Catalogue, run_id: str) -> Catalogue:
    """Returns a catalogue in which a run has met everything."""
    return Catalogue(
        [
            Type(entry.domain, entry.event_type, _met(entry.root, run_id), entry.unreadable)
            for entry in catalogue.types
        ],
        catalogue.payloads,
        catalogue.more_types,
    )


def _merge_types(one: Type, other: Type, paths: int) -> Type:
    root = _merge_nodes(one.root, other.root)
    if _count(root) > paths:
        root = _first(root, nodes.ROOT, sorted(_ranks(root))[paths - 1])
    return Type(one.domain, one.event_type, root, one.unreadable + other.unreadable)


def _merge_nodes(one: Node, other: Node) -> Node:
    kinds = dict(one.kinds)
    for kind, count in other.kinds.items():
        kinds[kind] = kinds.get(kind, 0) + count
    members = dict(one.members)
    for name, node in other.members.items():
        before = members.get(name)
        members[name] = node if before is None else _merge_nodes(before, node)
    elements = one.elements or other.elements
    if one.elements is not None and other.elements is not None:
        elements = _merge_nodes(one.elements, other.elements)
    texts = one.examples | other.examples
    examples = dict(sorted(texts.items())[: nodes.EXAMPLES_LIMIT])
    return Node(
        kinds=kinds,
        integers=_bounds(one.integers, other.integers),
        numbers=_bounds(one.numbers, other.numbers),
        examples=examples,
        more_examples=one.more_examples or other.more_examples or len(texts) > len(examples),
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        first_run=min(filter(None, (one.first_run, other.first_run)), default=""),
        last_run=max(one.last_run, other.last_run),
        members=members,
        elements=elements,
        more=one.more or other.more,
    )


def _bounds(one: Any, other: Any) -> Any:
    """Returns the least and the greatest value of two pairs of them; None stands for no values."""
    if one is None or other is None:
        return other if one is None else one
    return min(one[0], other[0]), max(one[1], other[1])


def _count(root: Node) -> int:
    """Returns the number of paths, without the text that their ranks take."""
    count, waiting = 0, [root]
    while waiting:
        waiting += (child for _, child in waiting.pop().children())
        count += 1
    return count


def _ranks(root: Node) -> Iterable[Rank]:
    """Yields the ranks of all paths."""
    waiting = [(nodes.ROOT, root)]
    while waiting:
        rank, node = waiting.pop()
        yield rank
        waiting += [(nodes.rank(rank, name), child) for name, child in node.children()]


def _first(node: Node, rank: Rank, last: Rank) -> Node:
    """Returns a node without the children that come after the path `last`."""
    members = {}
    for name, child in node.members.items():
        if (own := nodes.rank(rank, name)) <= last:
            members[name] = _first(child, own, last)
    elements = node.elements
    if elements is not None:
        own = nodes.rank(rank, None)
        elements = _first(elements, own, last) if own <= last else None
    dropped = len(members) < len(node.members) or (elements is None) != (node.elements is None)
    return msgspec.structs.replace(
        node, members=members, elements=elements, more=node.more or dropped
    )


def _met(node: Node, run_id: str) -> Node:
    return msgspec.structs.replace(
        node,
        first_run=run_id,
        last_run=run_id,
        members={name: _met(child, run_id) for name, child in node.members.items()},
        elements=None if node.elements is None else _met(node.elements, run_id),
    )
