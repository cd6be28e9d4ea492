"""Bytes of any framing to events and rejects.

Two ways lead to the same result. `decode` first lets msgspec decode a whole part in one call: its
`decode_lines` takes objects with any white space between them, and an array is a list. Where that
fails for any reason, the part is walked record by record (`framing.Framer`), and every record
that cannot be an event becomes a `Reject`. Tests hold the two against each other.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline import framing
from pipeline.rejects import Problem, Reject, shown

_Filled = Annotated[str, msgspec.Meta(min_length=1)]


class Event(msgspec.Struct, gc=False):
    """One event as delivered; `data` is a view of its bytes, already checked to be JSON."""

    event_id: _Filled
    timestamp: str
    domain: _Filled
    event_type: _Filled
    data: msgspec.Raw


class _PlainEvent(Event, forbid_unknown_fields=True, gc=False):
    """An event without unknown fields: nearly every one."""


_PLAIN_EVENT = msgspec.json.Decoder(_PlainEvent)
_PLAIN_EVENTS = msgspec.json.Decoder(list[_PlainEvent])
_EVENT = msgspec.json.Decoder(Event)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Part(NamedTuple):
    """Bytes of one file that begin between two records.

    Attributes:
        source: The file's path.
        offset: Bytes before them in the (decompressed) file.
        data: The bytes.
        final: Whether the file, or the piece of it that is read, ends here.
        in_array: Whether they are inside a JSON array that began in an earlier part.
    """

    source: str
    offset: int
    data: bytes
    final: bool = True
    in_array: bool = False


class Decoded(NamedTuple):
    """What was decoded of a part.

    Attributes:
        events: The well-formed events, in order.
        extras: JSON text of the unknown top-level fields, by position in `events`.
        rejects: The other records.
        spans: (start, end) in the part of each event; empty where all were decoded in one go.
        consumed: How many bytes were done; the rest is incomplete and belongs to the next part.
        in_array: Whether the rest is inside a JSON array.
    """

    events: Sequence[Event]
    extras: dict[int, str]
    rejects: list[Reject]
    spans: list[tuple[int, int]]
    consumed: int
    in_array: bool


def decode(part: Part) -> Decoded:
    """Decodes a part of any framing."""
    try:
        return decode_at_once(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decode_by_record(part)


def decode_at_once(part: Part) -> Decoded:
    """Decodes a part of nothing but plain events.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: The part has anything else in it.
    """
    data = part.data.removeprefix(_BYTE_ORDER_MARK) if part.offset == 0 else part.data
    consumed = len(part.data)
    if not part.final:
        end = framing.last_event(data)
        if not end:
            raise msgspec.DecodeError("no end of an event in sight")
        consumed -= len(data) - end
        data = data[:end]
    _check_utf8(data)  # msgspec does not look at the bytes within a `Raw`
    opens_array = not part.in_array and framing.opens_array(data)
    if opens_array or part.in_array:
        # An array cut after one of its elements is an array again once brackets are put back, and
        # only then: a cut within a nested value or a string leaves that one open.
        data = data if opens_array else b"[" + data.lstrip(b" \t\r\n,")
        events: Sequence[Event] = _PLAIN_EVENTS.decode(data if part.final else data + b"]")
        return Decoded(events, {}, [], [], consumed, not part.final)
    try:
        return Decoded(_PLAIN_EVENT.decode_lines(data), {}, [], [], consumed, False)
    except msgspec.ValidationError:
        events = _EVENT.decode_lines(data)  # goes through if all that is wrong are unknown fields
        members = enumerate(_MEMBERS.decode_lines(data))
        extras = {row: extra for row, member in members if (extra := _extra(member))}
        return Decoded(events, extras, [], [], consumed, False)


def _check_utf8(data: bytes) -> None:
    """Raises UnicodeDecodeError if the bytes are not UTF-8."""
    # Arrow validates several times as fast as Python decodes, and allocates nothing.
    if not data.isascii():
        ends = pa.py_buffer(np.array([0, len(data)], np.int64))
        try:
            pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)
        except pa.ArrowInvalid:
            data.decode()
            raise


def decode_by_record(part: Part) -> Decoded:
    """Decodes a part record by record; gives the same as `decode_at_once` wherever that does."""
    events: list[Event] = []
    extras: dict[int, str] = {}
    rejects: list[Reject] = []
    spans: list[tuple[int, int]] = []
    framer = framing.Framer(part.in_array)
    for start, end, parsed in framer.records(part.data, _parse, final=part.final):
        if isinstance(parsed, Parsed):
            if parsed.extra:
                extras[len(events)] = parsed.extra
            events.append(parsed.event)
            spans.append((start, end))
        else:
            record = part.data[start:end].rstrip(b" \t\r\n,")
            reason, message = parsed or _not_an_object(record)
            rejects.append(
                Reject(part.source, part.offset + start, len(record), reason, message, record)
            )
    return Decoded(events, extras, rejects, spans, framer.consumed, framer.in_array)


class Parsed(NamedTuple):
    """An event and its unknown top-level fields as the text of a JSON object, if it has any."""

    event: Event
    extra: str | None


def _parse(record: bytes) -> Parsed | Problem | None:
    """The event in the bytes of a record; or what is wrong with a JSON object; or None."""
    try:
        event = _PLAIN_EVENT.decode(record)
        if record.isascii() or record.decode():
            return Parsed(event, None)
    except UnicodeDecodeError:
        return _not_utf8(record)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        members = _MEMBERS.decode(record)
        record.decode()
        return Parsed(_EVENT.decode(record), _extra(members))
    except UnicodeDecodeError:
        return _not_utf8(record)
    except msgspec.ValidationError:
        return _not_an_event(members)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _extra(members: dict[str, msgspec.Raw]) -> str | None:
    """The members that are no fields of an event, their values byte for byte."""
    if len(members) == len(Event.__struct_fields__):
        return None
    unknown = (
        msgspec.json.encode(key) + b":" + bytes(raw)
        for key, raw in members.items()
        if key not in Event.__struct_fields__
    )
    return f"{{{b','.join(unknown).decode()}}}"


def _not_an_event(members: dict[str, msgspec.Raw]) -> Problem:
    """What is wrong with an object that is not an event."""
    for field in Event.__struct_fields__:
        if field not in members:
            shown_members = {key: bytes(raw).decode() for key, raw in members.items()}
            return Problem("missing-field", f"{field} is missing in {shown(shown_members)}")
        value = bytes(members[field]).decode()
        if field != "data" and not value.startswith('"'):
            return Problem("wrong-type", f"{field} is {shown(value)}, it must be a string")
        if field != "data" and value == '""':
            return Problem("empty-field", f"{field} is '', it must have at least one character")
    raise AssertionError(f"{members} is an event")


def _not_utf8(record: bytes) -> Problem:
    valid = record.decode(errors="replace").split("\ufffd", 1)[0]
    at = len(valid.encode())
    return Problem("invalid-utf8", f"byte 0x{record[at]:02x} at {at} is not UTF-8: {shown(record)}")


def _not_an_object(record: bytes) -> Problem:
    """What is wrong with bytes that are not one JSON object."""
    if not record:
        return Problem("truncated", "the file ends inside a JSON array: its ']' is missing")
    try:
        value = shown(record.decode())
        msgspec.json.decode(record)
    except UnicodeDecodeError:
        return _not_utf8(record)
    except (msgspec.MsgspecError, RecursionError) as error:
        if framing.is_value(record):
            return Problem("not-json", f"a \\u escape without its other half in {value}")
        reason = "truncated" if "truncated" in str(error) else "not-json"
        return Problem(reason, f"{error}: {value}")
    return Problem("not-an-object", f"{value} is not a JSON object")
