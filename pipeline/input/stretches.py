"""Decodes many records in one call.

msgspec decodes a stretch of some megabytes at once: its `decode_lines` takes objects with any white
space between them, and the elements of an array are put between brackets again. A stretch that
decodes also proves that it ends between two records. A stretch that contains anything but events is
refused as a whole.

Members that no event needs are learned as they are met: a type that has fields for them keeps their
bytes, too.
"""

import bisect
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.input import nested
from pipeline.input.fields import OWN_NAMES, FieldMap, member
from pipeline.input.records import UNLEARNABLE, Event, Parsed, from_members, mapped
from pipeline.input.rejects import Problem

# With more unknown members than this, a type for all of them costs more than it saves.
LEARNED_NAMES = 64

# Below this Python is faster than a call of Arrow.
_SHORT_BYTES = 8 << 10
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY_OF_MEMBERS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_RECORDS = msgspec.json.Decoder(msgspec.Raw)
_ARRAY_OF_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])


class Stretch(NamedTuple):
    """Records of a part that were decoded together.

    Attributes:
        first: The index of its first event among the events of the part.
        start: Where it begins in the part.
        end: Where it ends.
        with_commas: Whether there are commas between its records.
    """

    first: int
    start: int
    end: int
    with_commas: bool


def decode_stretch(
    data: bytes,
    stretch: Stretch,
    learned: tuple[Any, ...],
    is_utf8: bool,
    names: FieldMap = OWN_NAMES,
) -> tuple[list[Event], dict[int, str]]:
    """Decodes a stretch of nothing but events.

    Args:
        data: The part's.
        stretch: The stretch.
        learned: Names of unknown members met so far, or by a map their paths; events with others
            may be refused.
        is_utf8: Whether all of `data` is.
        names: Where the events' fields are.

    Returns:
        The events and their extras, see `Decoded`.

    Raises:
        ValueError, RecursionError: It contains anything else.
    """
    view = _text(data, stretch)
    if not is_utf8 and not is_utf8_text(view):  # msgspec does not look at the bytes within a `Raw`
        raise ValueError("not UTF-8")
    if names == OWN_NAMES and _are_learnable(learned):
        one, many = _decoders(learned)
        events = many.decode(view) if stretch.with_commas else one.decode_lines(view)
        return events, dict(_learned_extras(events, learned, stretch.first)) if learned else {}
    if names != OWN_NAMES and len(learned) <= LEARNED_NAMES and nested.is_possible(names, learned):
        events, texts = nested.decode(view, stretch.with_commas, learned, names)
        return events, {row: text for row, text in enumerate(texts, stretch.first) if text}
    parsed = []
    for found in _one_by_one(view, stretch.with_commas, names):
        if not isinstance(found, Parsed):
            raise ValueError("not only events")
        parsed.append(found)
    extras = {row: found.extra for row, found in enumerate(parsed, stretch.first) if found.extra}
    return [found.event for found in parsed], extras


def _one_by_one(view: memoryview, with_commas: bool, names: FieldMap) -> Iterator[Parsed | Problem]:
    """Yields what each record of a stretch is."""
    if names == OWN_NAMES:
        objects = _ARRAY_OF_MEMBERS.decode(view) if with_commas else _MEMBERS.decode_lines(view)
        yield from map(from_members, objects)
        return
    records = _ARRAY_OF_RECORDS.decode(view) if with_commas else _RECORDS.decode_lines(view)
    for record in records:
        yield mapped(record, _MEMBERS.decode(record), names)


def spans(
    data: bytes, stretches: Sequence[Stretch], rows: Iterable[int]
) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of some of the events in stretches.

    Args:
        data: The part's.
        stretches: Where its events were found, in order.
        rows: Which events, by their index among all events of the part, ascending.
    """
    firsts = [stretch.first for stretch in stretches]
    number = -1
    for row in rows:
        if (at := bisect.bisect_right(firsts, row) - 1) != number:
            # Decodes the stretch again, into views of its records, whose memory addresses give
            # their offsets.
            number, stretch = at, stretches[at]
            text = _text(data, stretch)
            decode = _ARRAY_OF_RECORDS.decode if stretch.with_commas else _RECORDS.decode_lines
            records = decode(text)
            base = pa.py_buffer(text).address + stretch.with_commas - stretch.start
        start = pa.py_buffer(records[row - stretch.first]).address - base
        yield start, start + len(records[row - stretch.first])


def rows_at(
    data: bytes, stretch: Stretch, events: Sequence[Event], end: int, places: Iterable[int]
) -> Iterator[int]:
    """Yields for each place the index of the first event of a part that begins there or after it.

    Args:
        data: The part's.
        stretch: The last stretch that begins before the places.
        events: The events of the part.
        end: The index behind the stretch's last event.
        places: Places between two records, in ascending order.
    """
    rows = range(stretch.first, end)
    base = pa.py_buffer(data).address
    starts: list[int] = []
    found = 0
    for at in places:
        if at >= stretch.end:
            found = len(rows)
        elif stretch.with_commas:  # its events are views of a copy
            starts = starts or [start for start, _ in spans(data, [stretch], rows)]
            found = bisect.bisect_left(starts, at, found)
        else:  # the data of an event lies within its record
            found = bisect.bisect_left(
                rows, at, found, key=lambda row: pa.py_buffer(events[row].data).address - base
            )
        yield stretch.first + found


def _text(data: bytes, stretch: Stretch) -> memoryview:
    """Returns the bytes of a stretch in a form that msgspec takes: lines, or an array."""
    view = memoryview(data)[stretch.start : stretch.end]
    if not stretch.with_commas:
        return view
    if data[stretch.end - 1] != ord("}"):  # after the last element is a comma, and maybe space
        view = view[: data.rindex(b",", stretch.start, stretch.end) - stretch.start]
    return memoryview(b"".join((b"[", view, b"]")))


def is_utf8_text(view: memoryview) -> bool:
    """Tells whether the bytes are UTF-8."""
    try:
        if len(view) < _SHORT_BYTES:
            str(view, "utf-8")
        else:
            # Arrow validates several times as fast as Python decodes, once it has started.
            ends = pa.py_buffer(np.array([0, len(view)], np.int64))
            pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(view)).validate(full=True)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return False
    return True


def _are_learnable(learned: tuple[str, ...]) -> bool:
    """Tells whether a type can have fields for these members."""
    return len(learned) <= LEARNED_NAMES and not UNLEARNABLE.search("".join(learned))


@functools.lru_cache(maxsize=256)
def _decoders(
    learned: tuple[str, ...],
) -> tuple[msgspec.json.Decoder[Event], msgspec.json.Decoder[list[Event]]]:
    """Makes decoders of one event and of an array, for events with these unknown members."""
    fields: Any = [(_attribute(n), msgspec.Raw, None) for n in range(len(learned))]
    names = {_attribute(n): name for n, name in enumerate(learned)}
    event: Any = msgspec.defstruct(
        "LearnedEvent", fields, bases=(Event,), rename=names, forbid_unknown_fields=True, gc=False
    )
    return msgspec.json.Decoder(event), msgspec.json.Decoder(list[event])


def _attribute(number: int) -> str:
    """Returns the attribute of an event that holds the learned member of this number."""
    return f"learned_{number}"


def _learned_extras(
    events: Sequence[Event], learned: tuple[str, ...], first: int
) -> Iterator[tuple[int, str]]:
    """Yields the extras of events, each with the event's index; the indices begin at `first`."""
    fields = [(_attribute(n), member(name)) for n, name in enumerate(learned)]
    for row, event in enumerate(events, first):
        members = [
            head + bytes(raw)
            for attribute, head in fields
            if (raw := getattr(event, attribute)) is not None
        ]
        if members:
            yield row, f"{{{b','.join(members).decode()}}}"
