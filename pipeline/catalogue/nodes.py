"""What a catalogue keeps: a tree of fields for each type of events.

A node stands for all values at one path of `data`, such as ``$.items[*].price``: the elements of an
array share a node. Its children are the members and elements of these values.
"""

from __future__ import annotations  # else Python 3.10 does not find Node in its own fields

import datetime
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

# Paths of a type that are kept: the widest webhooks of GitHub have 730.
PATHS_LIMIT = 1000
# Types of events in a catalogue.
TYPES_LIMIT = 1000
# What lies deeper is not looked at: no view and no person gets there.
DEPTH_LIMIT = 20
# A member with a longer name is not kept, for names may be as long as events.
NAME_LIMIT = 200
# Different texts of a field that are kept: enough to show that there are only a few.
EXAMPLES_LIMIT = 8
# Of a longer text the beginning is kept.
EXAMPLE_CHARACTERS = 80

# JSON's types, by the names of JSON Schema, and integers that do not fit 64 bits with a sign.
KINDS = ("null", "boolean", "integer", "big-integer", "number", "string", "array", "object")

# Before the first event and after the last one, in microseconds since 1970.
NEVER_FIRST, NEVER_LAST = 1 << 62, -(1 << 62)

ELEMENTS = "[*]"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A member that is called like this was named by a person, and not after a key of some database.
_NAMED = re.compile(r"[A-Za-z_][A-Za-z_-]{0,39}")

# A catalogue as JSON, see `encode`.
Encoded = bytes

# Comes first: paths that are kept rather than others. See `rank`.
Rank = tuple[int, int, str]


class Node(msgspec.Struct, omit_defaults=True):
    """What is known of the values at one path.

    Attributes:
        kinds: How many there are of each JSON type; see `KINDS`.
        integers: The least and the greatest of those that fit 64 bits.
        numbers: The least and the greatest number with a fraction or an exponent.
        examples: Different texts, by their hashes; long ones are cut.
        more_examples: Whether there were more texts.
        first: When the first event with such a value happened, in microseconds since 1970.
        last: When the last one happened.
        first_run: The first run that has met one; "" if that is not known.
        last_run: The last run.
        members: Of the objects, by name.
        elements: Of the arrays.
        more: Whether there were members or elements that are not kept.
    """

    kinds: dict[str, int] = {}
    integers: tuple[int, int] | None = None
    numbers: tuple[float, float] | None = None
    examples: dict[str, str] = {}
    more_examples: bool = False
    first: int = NEVER_FIRST
    last: int = NEVER_LAST
    first_run: str = ""
    last_run: str = ""
    members: dict[str, Node] = {}
    elements: Node | None = None
    more: bool = False

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.kinds.values())

    def children(self) -> Iterator[tuple[str | None, Node]]:
        """Yields the members by their names, and the elements with None."""
        yield from self.members.items()
        if self.elements is not None:
            yield None, self.elements


class Type(msgspec.Struct, omit_defaults=True):
    """The payloads of one domain and event_type.

    Attributes:
        domain: The domain.
        event_type: The event_type.
        root: What is known of `data` itself.
        unreadable: Payloads that are no JSON, which other tools may have written.
    """

    domain: str
    event_type: str
    root: Node = msgspec.field(default_factory=Node)
    unreadable: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """Domain and event_type."""
        return self.domain, self.event_type

    @property
    def payloads(self) -> int:
        """How many payloads were looked at."""
        return self.root.count + self.unreadable


class Catalogue(msgspec.Struct, omit_defaults=True):
    """What is known of payloads.

    Attributes:
        types: Each type, sorted by name.
        payloads: How many payloads were looked at, in all types.
        more_types: Whether there were types that are not kept.
    """

    types: list[Type] = []
    payloads: int = 0
    more_types: bool = False


class Field(NamedTuple):
    """A node with its place in the tree.

    Attributes:
        steps: The names on the way to it; None stands for the elements of an array.
        node: The node.
        parents: How many values it could be in: the objects or arrays around it.
    """

    steps: tuple[str | None, ...]
    node: Node
    parents: int

    @property
    def path(self) -> str:
        """The path as text."""
        return path(self.steps)


def encode(catalogue: Catalogue) -> Encoded:
    """Returns a catalogue as JSON: the same bytes for the same content."""
    return msgspec.json.encode(catalogue, order="deterministic")


def decode(content: Encoded) -> Catalogue:
    """Returns the catalogue that `encode` was given.

    Raises:
        msgspec.MsgspecError: It is not JSON, or not a catalogue.
    """
    return msgspec.json.decode(content, type=Catalogue)


def step(name: str | None) -> str:
    """Returns a step of a path as text; None stands for the elements of an array."""
    if name is None:
        return ELEMENTS
    if _PLAIN.fullmatch(name):
        return f".{name}"
    return f"[{msgspec.json.encode(name).decode()}]"


def path(steps: tuple[str | None, ...]) -> str:
    """Returns a path as text, as JSONPath (RFC 9535) has it: ``$.items[*]["unit price"]``."""
    return "$" + "".join(map(step, steps))


def rank(parent: Rank, name: str | None) -> Rank:
    """Returns the place of a path in the order in which paths are kept.

    Paths that are less deep come first, so a parent comes before its children. Names that a person
    has chosen come before those with digits in them, which may be keys: an object with 50,000 of
    them does not hide the fields beside it. The rest is in the order of the text.

    Args:
        parent: The rank of the path without its last step.
        name: The last step.
    """
    depth, odd, text = parent
    if name is not None and not _NAMED.fullmatch(name):
        odd += 1
    return depth + 1, odd, text + step(name)


ROOT: Rank = (0, 0, "$")


def instant(micros: int) -> str:
    """Returns an instant in microseconds since 1970 as text: 2021-01-08T10:00:00Z."""
    found = _EPOCH + datetime.timedelta(microseconds=micros)
    return found.isoformat().replace("+00:00", "Z")


def day(micros: int) -> str:
    """Returns the day of an instant, in UTC: 2021-01-08."""
    return instant(micros)[:10]


def fields(root: Node) -> Iterator[Field]:
    """Yields `data` itself, and every path below it, each before its children."""
    waiting = [Field((), root, root.count)]
    while waiting:
        found = waiting.pop()
        yield found
        kinds = found.node.kinds
        children = [
            Field((*found.steps, name), node, kinds.get("array" if name is None else "object", 0))
            for name, node in sorted(found.node.members.items())
        ]
        if found.node.elements is not None:
            children.append(Field((*found.steps, None), found.node.elements, kinds.get("array", 0)))
        waiting += reversed(children)
