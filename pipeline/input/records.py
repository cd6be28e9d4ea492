r"""Parses one record: an event, or what is wrong with it.

A record is an event if it is a JSON object (RFC 8259) in UTF-8 with the strings `event_id`,
`domain` and `event_type`, none of them empty, a string `timestamp`, and `data`, which may be any
JSON value, `null` too. All other members are kept as `extra`. Of members with the same name the
last one counts. Refused, since other readers of the table could not read them, are `NaN` and the
like, half of a surrogate pair (`"\ud800"`), and values nested deeper than `NESTING_LIMIT`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import msgspec

from pipeline.errors import shown
from pipeline.framing import structure, values
from pipeline.input import fields
from pipeline.input.fields import OWN_NAMES, WHOLE, FieldMap, Path, member
from pipeline.input.rejects import Problem

# Levels of arrays and objects in `data` or an extra field. Python ends recursion at about 1,000
# levels, those of the callers included. This limit is well below, so that what is accepted does not
# depend on who calls.
NESTING_LIMIT = 500

# What msgspec does not allow in the name of a type's field.
UNLEARNABLE = re.compile(r'["\\\x00-\x1f]')

# A member that is an array of objects.
_LIST_OF_OBJECTS = re.compile(rb'"([^"\\]{1,64})"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*\{')
_HINT_BYTES = 4096  # how many bytes of a record are searched for such a member

_Filled = Annotated[str, msgspec.Meta(min_length=1)]


class Event(msgspec.Struct, gc=False):
    """One event as delivered; `data` is a view of its bytes, which are known to be JSON."""

    event_id: _Filled
    timestamp: str
    domain: _Filled
    event_type: _Filled
    data: msgspec.Raw


FIELDS = Event.__struct_fields__
_TEXT = msgspec.json.Decoder(str)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder(msgspec.Raw)


class Parsed(NamedTuple):
    """A parsed record.

    Attributes:
        event: The event.
        unknown: The names of its other members; by a map of fields, their paths.
        extra: These members as the text of a JSON object; None if there are none.
    """

    event: Event
    unknown: Sequence[str | Path] = ()
    extra: str | None = None


def is_event(record: bytes, names: FieldMap = OWN_NAMES) -> bool:
    """Tells whether a JSON object is an event."""
    return isinstance(parse(record, True, names), Parsed)


def parse(record: bytes, is_object: bool, names: FieldMap = OWN_NAMES) -> Parsed | Problem:
    """Returns the event in the bytes of a record, or what is wrong with them.

    Args:
        record: The bytes.
        is_object: Whether they begin as an object does.
        names: Where the fields are.
    """
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        value = f"byte 0x{record[error.start]:02x} at {error.start}"
        return Problem("invalid-utf8", f"{value} is not UTF-8: {shown(record)}")
    try:
        members = (_MEMBERS if is_object else _VALUE).decode(record)
    except RecursionError:
        return too_deep(shown(text))
    except msgspec.MsgspecError as error:
        truncated = "truncated" in str(error)
        # A surrogate at the end of a string looks truncated to msgspec, which expects another one.
        is_escape = b"\\u" in record and (truncated or "escape" in str(error))
        if "surrogate" in str(error) or (is_escape and values.is_value(record)):
            rule = "half of a surrogate pair, which is no character"
            return Problem("not-json", f"a \\u escape is {rule}: {shown(text)}")
        return Problem("truncated" if truncated else "not-json", f"{error}: {shown(text)}")
    if not isinstance(members, dict):
        return Problem("not-an-object", f"{shown(text)} is not a JSON object")
    parsed = from_members(members) if names == OWN_NAMES else mapped(record, members, names)
    if isinstance(parsed, Problem) and parsed.reason == "missing-field":
        # What has data is an event, or should be one, whatever lists are in it.
        hint = "" if "data" in members else _wrapper_hint(record)
        return Problem(parsed.reason, parsed.message + hint)
    return parsed


def from_members(members: Mapping[str, msgspec.Raw]) -> Parsed | Problem:
    """Returns the event that has these members, or the rule that they break."""
    event = _event(members, members, OWN_NAMES)
    if isinstance(event, Problem):
        return event
    unknown = sorted(members.keys() - set(FIELDS))
    extra = b",".join(member(name) + bytes(members[name]) for name in unknown).decode()
    return Parsed(event, unknown, f"{{{extra}}}" if unknown else None)


def mapped(
    record: bytes | msgspec.Raw, members: Mapping[str, msgspec.Raw], names: FieldMap
) -> Parsed | Problem:
    """Returns the event in a record whose fields are called otherwise, or the rule that it breaks.

    Args:
        record: The record's bytes.
        members: Its members.
        names: Where its fields are.
    """
    values, rest, paths = fields.take(members, names)
    if names.data == WHOLE:
        values["data"] = msgspec.Raw(record)
    event = _event(values, members, names)
    if isinstance(event, Problem):
        return event
    extra = fields.as_object(rest).decode() if rest else None
    return Parsed(event, paths, extra)


def _event(
    values: Mapping[str, msgspec.Raw], members: Mapping[str, msgspec.Raw], names: FieldMap
) -> Event | Problem:
    """Returns the event that has these values of fields, or the rule that they break."""
    texts: list[str] = []
    for field, path in zip(FIELDS, names, strict=True):
        if field not in values:
            what = field if path == (field,) else f"{field} ({fields.shown_path(path)})"
            there = shown(list(members))
            return Problem("missing-field", f"{what} is missing, there is only {there}")
        if field == "data":
            continue
        try:
            value = _TEXT.decode(values[field])
        except msgspec.ValidationError:
            value = bytes(values[field]).decode()
            return Problem("wrong-type", f"{field} is {shown(value)}, it must be a string")
        if not value and field != "timestamp":
            return Problem("empty-field", f"{field} is '', it must have at least one character")
        texts.append(value)
    event_id, timestamp, domain, event_type = texts
    return Event(event_id, timestamp, domain, event_type, values["data"])


def too_deep(what: str) -> Problem:
    """Returns the problem of a record that is nested deeper than `NESTING_LIMIT`."""
    return Problem("too-deep", f"{what} has values nested deeper than {NESTING_LIMIT} levels")


def too_large(size: int, beginning: bytes, limit: int) -> Problem:
    """Returns the problem of a record with more than `limit` bytes."""
    what = f"a record of {size:,} bytes that begins with {shown(beginning[:100])}"
    rule = f"the limit of one record is {limit:,} bytes; raise it with --max-event-mb"
    return Problem("too-large", f"{what}; {rule}{_wrapper_hint(beginning)}")


def _wrapper_hint(record: bytes) -> str:
    """Returns a hint for a record that seems to contain events instead of being one; or ""."""
    found = _LIST_OF_OBJECTS.search(record, 0, _HINT_BYTES)
    if not found:
        return ""
    name = shown(found[1].decode(errors="replace"))
    return f"; if it is a wrapper of events in {name}, deliver these as an array or as lines"


def is_deeper(value: bytes, levels: int) -> bool:
    """Tells whether the arrays and objects of a JSON value are nested deeper than `levels`."""
    if value.count(b"[") + value.count(b"{") <= levels:
        return False
    return structure.depth(value) > levels
