"""Decodes many records in one call where fields of events lie within objects of a record.

For each map a type is made that has the fields where they are, so msgspec finds them, and Python
only puts them together. As in `stretches`, members that no event needs are learned as they are met,
here by their paths. If `data` is the whole record, all of them can be passed over instead.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline.input import fields
from pipeline.input.fields import WHOLE, FieldMap, Path
from pipeline.input.records import FIELDS, UNLEARNABLE, Event

_RECORDS = msgspec.json.Decoder(msgspec.Raw)
_ARRAY_OF_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])


class _Decoders(NamedTuple):
    """What reads records by a map.

    Attributes:
        one: The decoder of one record.
        many: That of an array.
        values: Gives the values of the fields that are in the record.
        learned: The other members, with what gives the value of each.
    """

    one: msgspec.json.Decoder[Any]
    many: msgspec.json.Decoder[list[Any]]
    values: Callable[[Any], tuple[Any, ...]]
    learned: list[tuple[Path, Callable[[Any], msgspec.Raw | None]]]


def decode(
    view: memoryview, with_commas: bool, learned: tuple[Path, ...], names: FieldMap
) -> tuple[list[Event], list[str | None]]:
    """Decodes nothing but events; returns them, and the extra of each.

    Args:
        view: The records, as lines or an array.
        with_commas: Whether they are an array.
        learned: Where other members are; none is needed if `data` is the whole record.
        names: Where the fields are; see `is_possible`.

    Raises:
        ValueError, RecursionError: There is anything else.
    """
    found = _decoders(learned if names.data else (), names)
    records = found.many.decode(view) if with_commas else found.one.decode_lines(view)
    if names.data == WHOLE:
        wholes = _ARRAY_OF_RECORDS.decode(view) if with_commas else _RECORDS.decode_lines(view)
        own = (
            (*texts, data) for texts, data in zip(map(found.values, records), wholes, strict=True)
        )
        return list(itertools.starmap(Event, own)), []
    events = list(itertools.starmap(Event, map(found.values, records)))
    return events, list(_extras(records, found.learned)) if found.learned else []


def is_possible(names: FieldMap, learned: Sequence[Path]) -> bool:
    """Tells whether there is a type for a map: no two fields overlap, and it can have the names."""
    paths = [path for path in names if path]
    apart = all(one is other or one[: len(other)] != other for one in paths for other in paths)
    used = (name for path in (*paths, *learned) for name in path)
    return apart and len(set(paths)) == len(paths) and not UNLEARNABLE.search("".join(used))


def _extras(
    records: Sequence[Any], learned: Sequence[tuple[Path, Callable[[Any], msgspec.Raw | None]]]
) -> Iterator[str | None]:
    """Yields the extra of each record."""
    for record in records:
        rest: dict[str, Any] = {}
        for path, value in learned:
            raw = value(record)
            if raw is not None:
                place = rest
                for name in path[:-1]:
                    place = place.setdefault(name, {})
                place[path[-1]] = raw
        yield _as_object(rest).decode() if rest else None


def _as_object(members: dict[str, Any]) -> bytes:
    """Returns members, with members of their own, as the text of a JSON object."""
    return fields.as_object(
        {
            name: _as_object(value) if isinstance(value, dict) else value
            for name, value in members.items()
        }
    )


@functools.lru_cache(maxsize=256)
def _decoders(learned: tuple[Path, ...], names: FieldMap) -> _Decoders:
    kinds = Event.__annotations__
    tree: dict[str, Any] = {}
    attributes: dict[Path, str] = {}
    for field, path in zip(FIELDS, names, strict=True):
        if path:
            attributes[path] = _put(tree, path, (kinds[field],))
    for path in learned:
        attributes[path] = _put(tree, path, (msgspec.Raw, None))
    record: Any = _type(tree, strict=bool(names.data))
    return _Decoders(
        msgspec.json.Decoder(record),
        msgspec.json.Decoder(list[record]),
        operator.attrgetter(*(attributes[path] for path in names if path)),
        [(path, operator.attrgetter(attributes[path])) for path in learned],
    )


def _put(tree: dict[str, Any], path: Path, kind: tuple[Any, ...]) -> str:
    """Puts a member of this kind into a tree of types; returns how to get at its value."""
    steps = []
    for name in path[:-1]:
        steps.append(_attribute(tree, name))
        tree = tree.setdefault(name, {})
    steps.append(_attribute(tree, path[-1]))
    tree[path[-1]] = kind
    return ".".join(steps)


def _attribute(tree: dict[str, Any], name: str) -> str:
    """Returns the attribute of a member; they are numbered as they come."""
    return f"member_{[*tree, name].index(name)}"


def _type(tree: dict[str, Any], *, strict: bool) -> Any:
    """Makes a type of objects that have these members."""
    members = []
    for number, kind in enumerate(tree.values()):
        own = (_type(kind, strict=strict),) if isinstance(kind, dict) else kind
        members.append((f"member_{number}", *own))
    renamed = {f"member_{number}": name for number, name in enumerate(tree)}
    needed_first = sorted(members, key=len)
    return msgspec.defstruct(
        "Record", needed_first, rename=renamed, forbid_unknown_fields=strict, gc=False
    )
