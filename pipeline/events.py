"""Bytes of any framing to one typed Arrow table of events, and the rejects.

Two ways lead to the same result. `decode` first lets msgspec decode a whole part in one call: its
`decode_lines` takes objects with any white space between them, and an array is a list. Where that
fails for any reason, the part is walked record by record (`framing.Framer`), and every record
that cannot be an event becomes a `Reject`. Tests hold the two against each other.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline import framing, partitions, timestamps
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


EVENT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("digest", pa.int64()),
        ("domain", pa.dictionary(pa.int32(), pa.string())),
        ("event_type", pa.dictionary(pa.int32(), pa.string())),
        ("data", pa.string()),
        ("extra", pa.string()),
        ("id_hash", pa.uint64()),
    ]
)

_PLAIN_EVENT = msgspec.json.Decoder(_PlainEvent)
_PLAIN_EVENTS = msgspec.json.Decoder(list[_PlainEvent])
_EVENT = msgspec.json.Decoder(Event)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)

# The digest: nanoseconds below the microsecond in the upper bits, a hash of all else below. So
# (timestamp, digest) orders versions by the instant to the nanosecond, although the table's
# timestamps (Delta has no finer ones) hold microseconds.
_HASH_BITS = 53

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

    events: list[Event]
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
    if not data.isascii():
        data.decode()  # msgspec does not look at the bytes within a `Raw`
    opens_array = not part.in_array and framing.opens_array(data)
    if opens_array or part.in_array:
        # An array cut after one of its elements is an array again once brackets are put back, and
        # only then: a cut within a nested value or a string leaves that one open.
        data = data if opens_array else b"[" + data.lstrip(b" \t\r\n,")
        events: list[Any] = _PLAIN_EVENTS.decode(data if part.final else data + b"]")
        return Decoded(events, {}, [], [], consumed, not part.final)
    try:
        return Decoded(_PLAIN_EVENT.decode_lines(data), {}, [], [], consumed, False)
    except msgspec.ValidationError:
        events = _EVENT.decode_lines(data)  # goes through if all that is wrong are unknown fields
        members = enumerate(_MEMBERS.decode_lines(data))
        extras = {row: extra for row, member in members if (extra := _extra(member))}
        return Decoded(events, extras, [], [], consumed, False)


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
            problem = parsed or _not_an_object(record)
            rejects.append(
                Reject(part.source, part.offset + start, len(record), *problem, raw=record)
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


def to_table(
    parts: Sequence[tuple[Part, Decoded]], max_event_bytes: int
) -> tuple[pa.Table, list[Reject]]:
    """The events of decoded parts as one table, and all rejects of these parts.

    Args:
        parts: Parts with what `decode` made of them.
        max_event_bytes: Limit on the bytes of `data` and `extra` together.

    Returns:
        A table of `EVENT_SCHEMA`, in the order delivered, and the rejects: those of decoding, and
        events whose timestamp, size, domain or event_type breaks a rule.
    """
    events = [event for _, decoded in parts for event in decoded.events]
    rejects = [reject for _, decoded in parts for reject in decoded.rejects]
    extras: dict[int, str] = {}  # of all parts, by row
    first_rows = np.cumsum([0] + [len(decoded.events) for _, decoded in parts])
    for first, (_, decoded) in zip(first_rows, parts):
        extras.update((int(first) + row, extra) for row, extra in decoded.extras.items())

    kinds = _Kinds()
    codes = [kinds[event.domain, event.event_type] for event in events]
    kind_codes = np.array(codes, np.int32)
    seeds = [kinds.seeds[code] for code in codes]
    for row, extra in extras.items():
        seeds[row] = _seed(events[row].domain, events[row].event_type, extra)
    payloads = [event.data for event in events]
    data = _binary(payloads)
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, payloads, seeds), np.uint64, len(events))
    texts = pa.array([event.timestamp for event in events], pa.string())
    instants = timestamps.parse(texts)

    errors = _errors(events, texts, instants.valid, data, extras, kinds, kind_codes, max_event_bytes)
    rejects += _rejects_of_rows(errors, parts, first_rows)

    ids = [event.event_id for event in events]
    table = pa.Table.from_arrays(
        [
            pa.array(ids, pa.string()),
            pa.array(instants.micros).cast(pa.timestamp("us", "UTC")),
            pa.array(digests(instants.nanos, hashes)),
            kinds.column(0, kind_codes),
            kinds.column(1, kind_codes),
            data,
            _sparse(extras, len(events)),
            pa.array(hash_ids(ids)),
        ],
        schema=EVENT_SCHEMA,
    )
    if errors:
        keep = np.ones(len(events), bool)
        keep[list(errors)] = False
        table = table.filter(pa.array(keep))
    return table, rejects


def hash_ids(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each event_id (XXH3), the same on every machine and in every run."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids))


def digests(
    nanos: npt.NDArray[np.int16], hashes: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """The digest column: nanoseconds (0 to 999) above the upper bits of the content's hash."""
    upper = nanos.astype(np.int64) << _HASH_BITS
    return upper | (hashes >> np.uint64(64 - _HASH_BITS)).astype(np.int64)


def content_hash(domain: str, event_type: str, data: bytes, extra: str | None) -> int:
    """The 64-bit hash of an event's content: XXH3 of `data`, seeded by all the other fields."""
    return int(xxhash.xxh3_64_intdigest(data, _seed(domain, event_type, extra)))


def _seed(domain: str, event_type: str, extra: str | None) -> int:
    return int(xxhash.xxh3_64_intdigest(msgspec.json.encode([domain, event_type, extra])))


class _Kinds(dict[tuple[str, str], int]):
    """Numbers each distinct (domain, event_type) as it is first met."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __missing__(self, kind: tuple[str, str]) -> int:
        self.seeds.append(_seed(*kind, None))
        self[kind] = len(self)
        return self[kind]

    def column(self, field: int, codes: npt.NDArray[np.int32]) -> pa.DictionaryArray:
        """The domain (field 0) or event_type (1) of each row, from the kind of each row."""
        values = pa.array([kind[field] for kind in self], pa.string()).dictionary_encode()
        return pa.DictionaryArray.from_arrays(values.indices.take(pa.array(codes)), values.dictionary)


def _binary(payloads: Sequence[msgspec.Raw]) -> pa.StringArray:
    """The payloads' bytes as one Arrow array, copied once."""
    offsets = np.zeros(len(payloads) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, payloads), np.int32, len(payloads)), out=offsets[1:])
    return pa.StringArray.from_buffers(
        len(payloads), pa.py_buffer(offsets), pa.py_buffer(b"".join(payloads))
    )


def _sparse(extras: dict[int, str], rows: int) -> pa.Array:
    if not extras:
        return pa.nulls(rows, pa.string())
    return pa.array([extras.get(row) for row in range(rows)], pa.string())


def _errors(
    events: Sequence[Event],
    texts: pa.StringArray,
    valid: npt.NDArray[np.bool_],
    data: pa.StringArray,
    extras: dict[int, str],
    kinds: _Kinds,
    kind_codes: npt.NDArray[np.int32],
    max_event_bytes: int,
) -> dict[int, Problem]:
    """What is wrong with the well-formed events that break a rule, by row."""
    errors: dict[int, Problem] = {}
    for row in np.flatnonzero(~valid).tolist():
        errors[row] = Problem("bad-timestamp", timestamps.explain(texts[row].as_py()))
    sizes = pc.binary_length(data).to_numpy(zero_copy_only=False).astype(np.int64)
    for row, extra in extras.items():
        sizes[row] += len(extra.encode())
    for row in np.flatnonzero(sizes > max_event_bytes).tolist():
        errors[row] = Problem(
            "too-large",
            f"event {shown(events[row].event_id)} has {sizes[row]:,} bytes of data and extra fields,"
            f" the limit is {max_event_bytes:,}; raise it with --max-event-mb",
        )
    for code, (domain, event_type) in enumerate(kinds):
        problem = partitions.check("domain", domain) or partitions.check("event_type", event_type)
        if problem:
            for row in np.flatnonzero(kind_codes == code).tolist():
                errors[row] = Problem("too-long", problem)
    return errors


def _rejects_of_rows(
    errors: dict[int, Problem],
    parts: Sequence[tuple[Part, Decoded]],
    first_rows: npt.NDArray[np.int64],
) -> list[Reject]:
    """The rejects for rows found faulty after decoding.

    Their place in the file is not known where a part was decoded in one go; it is then walked
    again, which gives the same events with their spans.
    """
    rejects = []
    spans: dict[int, list[tuple[int, int]]] = {}
    for row, problem in sorted(errors.items()):
        number = int(np.searchsorted(first_rows, row, side="right")) - 1
        part, decoded = parts[number]
        if number not in spans:
            spans[number] = decoded.spans or decode_by_record(part).spans
        start, end = spans[number][row - int(first_rows[number])]
        raw = part.data[start:end]
        rejects.append(Reject(part.source, part.offset + start, len(raw), *problem, raw=raw))
    return rejects
