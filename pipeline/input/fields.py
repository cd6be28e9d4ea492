r"""Field maps: where in a record the five fields of an event are, if not under their own names.

A map is written ``event_id=id,timestamp=ts,data=payload.body``. A dot leads into an object; ``.``
alone, for `data` only, is the whole record. In a name, a backslash stands before a dot, a comma or
a backslash: ``timestamp=event\.time``. Fields that are not named keep their own name.

>>> shown(parsed(r"timestamp=event\.time, data=payload.body"))
'timestamp=event\\.time,data=payload.body'

What no field has taken goes into `extra`, as always: of an object from which a field was taken, the
rest of its members, if there are any.
"""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

# Leads from a record into its objects: the name of a member, then that of a member of this, ….
Path = tuple[str, ...]

# The whole record.
WHOLE: Path = ()

# What `plan` prints where a person has to fill in a path.
UNKNOWN = "???"

_WHOLE_TEXT = "."
_NAME = r"(?:[^\\.,]|\\[\\.,])+"
_ENTRY = re.compile(rf"([^=]*)=(\.|{_NAME}(?:\.{_NAME})*)", re.DOTALL)
_COMMA = re.compile(r"((?:[^\\,]|\\.|\\$)*),?", re.DOTALL)
_STEP = re.compile(_NAME, re.DOTALL)
_SPECIAL = re.compile(r"([\\.,])")
_ESCAPED = re.compile(r"\\([\\.,])")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class FieldMap(NamedTuple):
    """Where each field of an event is."""

    event_id: Path = ("event_id",)
    timestamp: Path = ("timestamp",)
    domain: Path = ("domain",)
    event_type: Path = ("event_type",)
    data: Path = ("data",)


OWN_NAMES = FieldMap()


def parsed(text: str) -> FieldMap:
    """Returns the map that a text stands for; see the module.

    Raises:
        ValueError: It stands for none; the message is for the person who has written it.
    """
    paths: dict[str, Path] = {}
    for entry in filter(str.strip, _COMMA.findall(text)):
        found = _ENTRY.fullmatch(entry.lstrip())
        if not found:
            raise ValueError(f"{entry!r} is not FIELD=NAME or FIELD=NAME.NAME, such as event_id=id")
        field, path = found[1].strip(), found[2]
        if field not in FieldMap._fields:
            fields = ", ".join(FieldMap._fields)
            raise ValueError(f"{field!r} is no field of an event; these are {fields}")
        if field in paths:
            raise ValueError(f"{field} is given twice")
        if path == UNKNOWN:
            raise ValueError(f"{entry.strip()!r}: put the name in your files in place of {path}")
        if path == _WHOLE_TEXT and field != "data":
            raise ValueError(f"{field} cannot be the whole record (.), only data can")
        steps = [] if path == _WHOLE_TEXT else _STEP.findall(path)
        paths[field] = tuple(_ESCAPED.sub(r"\1", step) for step in steps)
    fields_ = OWN_NAMES._replace(**paths)
    for field, inner in fields_._asdict().items():
        for outer, path in fields_._asdict().items():
            if outer != "data" and len(path) < len(inner) and inner[: len(path)] == path:
                raise ValueError(f"{field} cannot lie in {outer}, which must be a text")
    return fields_


def shown(fields: FieldMap) -> str:
    """Returns a map as it is written, without the fields that keep their name."""
    entries = zip(fields._asdict().items(), OWN_NAMES, strict=True)
    return ",".join(f"{field}={shown_path(path)}" for (field, path), own in entries if path != own)


def shown_path(path: Path) -> str:
    """Returns a path as it is written."""
    return ".".join(_SPECIAL.sub(r"\\\1", name) for name in path) or _WHOLE_TEXT


class Taken(NamedTuple):
    """What a map finds in a record.

    Attributes:
        values: The values of the fields that are there.
        rest: The members that no field has taken.
        paths: Where these members are; of objects from which a field was taken, their members.
    """

    values: dict[str, msgspec.Raw]
    rest: dict[str, bytes | msgspec.Raw]
    paths: list[Path]


def take(members: Mapping[str, msgspec.Raw], fields: FieldMap) -> Taken:
    """Takes the fields out of a record, but for `data` where it is the whole record.

    Args:
        members: The record's.
        fields: Where they are.
    """
    found = Taken({}, {}, [])
    _take(members, _tree(fields), (), found)
    return found if fields.data else Taken(found.values, {}, [])


class _Node(NamedTuple):
    """What is taken of a member: its value, for some fields; and members of its own."""

    fields: list[str]
    inner: "_Tree"


_Tree = dict[str, _Node]


@functools.lru_cache(maxsize=16)
def _tree(fields: FieldMap) -> _Tree:
    tree: _Tree = {}
    for field, path in fields._asdict().items():
        inner = tree
        for number, name in enumerate(path, 1):
            node = inner.setdefault(name, _Node([], {}))
            if number == len(path):
                node.fields.append(field)
            inner = node.inner
    return tree


def _take(
    members: Mapping[str, msgspec.Raw],
    tree: _Tree,
    path: Path,
    found: Taken,
) -> None:
    """Takes the fields out of an object, which is at a path in its record."""
    for name, raw in members.items():
        node = tree.get(name)
        if node is None:
            found.rest[name] = raw
            found.paths.append((*path, name))
            continue
        for field in node.fields:
            found.values[field] = raw
        if not node.inner:
            continue
        try:
            inner = _MEMBERS.decode(raw)
        except msgspec.ValidationError:  # no object, so nothing lies in it
            continue
        own = Taken(found.values, {}, [])
        _take(inner, node.inner, (*path, name), own)
        if own.rest and not node.fields:
            found.rest[name] = as_object(own.rest)
            found.paths.extend(own.paths)


def as_object(members: Mapping[str, bytes | msgspec.Raw]) -> bytes:
    """Returns members as the text of a JSON object, sorted by name."""
    texts = (member(name) + bytes(members[name]) for name in sorted(members))
    return b"{%s}" % b",".join(texts)


def member(name: str) -> bytes:
    """Returns a member's name as compact JSON has it before the value, colon included."""
    return msgspec.json.encode(name) + b":"
