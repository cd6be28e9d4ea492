"""Runs: many records that are decoded in one call.

msgspec decodes a run of some megabytes at once: its `decode_lines` takes objects with any white
space between them, and within an array commas can be put between brackets again. A run that does
decode also proves that it ends between two records. One with anything else in it than events is
refused as a whole.

Members that no event needs are learned as they are met: a type that has fields for them keeps their
bytes, too.
"""

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.input.records import Event, Parsed, from_members, member

LEARNED_NAMES = 64
"""With more unknown members than this, a type for all of them costs more than it saves."""

_UNLEARNABLE = re.compile(r'["\\\x00-\x1f]')  # what msgspec cannot have in the name of a field
# Below this Python is faster than a call of Arrow.
_SHORT_BYTES = 8 << 10
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY_OF_MEMBERS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_RECORDS = msgspec.json.Decoder(msgspec.Raw)
_ARRAY_OF_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])


class Run(NamedTuple):
    """Records ``[start, end)`` of a part that were decoded together; the `first` is which event.

    `with_commas` says whether there are commas between them.
    """

    first: int
    start: int
    end: int
    with_commas: bool


def decode_run(
    data: bytes, run: Run, learned: tuple[str, ...], is_utf8: bool
) -> tuple[list[Event], dict[int, str]]:
    """Decodes a run of nothing but events.

    Args:
        data: The part's.
        run: The run.
        learned: Names of unknown members met so far; events with further ones may be refused.
        is_utf8: Whether all of `data` is.

    Returns:
        The events and their extras, see `Decoded`.

    Raises:
        ValueError, RecursionError: There is anything else in it.
    """
    view = _text(data, run)
    if not is_utf8 and not is_utf8_text(view):  # msgspec does not look at the bytes within a `Raw`
        raise ValueError("not UTF-8")
    if len(learned) <= LEARNED_NAMES and not _UNLEARNABLE.search("".join(learned)):
        one, many = _decoders(learned)
        events = many.decode(view) if run.with_commas else one.decode_lines(view)
        return events, dict(_learned_extras(events, learned, run.first)) if learned else {}
    objects = _ARRAY_OF_MEMBERS.decode(view) if run.with_commas else _MEMBERS.decode_lines(view)
    parsed = [found for members in objects if isinstance(found := from_members(members), Parsed)]
    if len(parsed) < len(objects):
        raise ValueError("not only events")
    extras = {row: found.extra for row, found in enumerate(parsed, run.first) if found.extra}
    return [found.event for found in parsed], extras


def spans(data: bytes, runs: Sequence[Run], rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of some of the events in runs.

    Args:
        data: The part's.
        runs: Where its events were found, in order.
        rows: Which events, by their position in all of these runs, ascending.
    """
    firsts = [run.first for run in runs]
    number = -1
    for row in rows:
        if (at := bisect.bisect_right(firsts, row) - 1) != number:
            # The run is decoded again, into views of its records: their addresses tell their place.
            number, run = at, runs[at]
            text = _text(data, run)
            records = (_ARRAY_OF_RECORDS.decode if run.with_commas else _RECORDS.decode_lines)(text)
            base = pa.py_buffer(text).address + run.with_commas - run.start
        start = pa.py_buffer(records[row - run.first]).address - base
        yield start, start + len(records[row - run.first])


def _text(data: bytes, run: Run) -> memoryview:
    """The bytes of a run as msgspec takes them: without commas, or as an array."""
    view = memoryview(data)[run.start : run.end]
    if not run.with_commas:
        return view
    if data[run.end - 1] != ord("}"):  # after the last element is a comma, and maybe space
        view = view[: data.rindex(b",", run.start, run.end) - run.start]
    return memoryview(b"".join((b"[", view, b"]")))


def is_utf8_text(view: memoryview) -> bool:
    """Whether the bytes are UTF-8."""
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


@functools.lru_cache(maxsize=256)
def _decoders(
    learned: tuple[str, ...],
) -> tuple[msgspec.json.Decoder[Event], msgspec.json.Decoder[list[Event]]]:
    """Decoders of one event and of an array, for events whose other members have these names."""
    fields: Any = [(_attribute(n), msgspec.Raw, None) for n in range(len(learned))]
    names = {_attribute(n): name for n, name in enumerate(learned)}
    event: Any = msgspec.defstruct(
        "LearnedEvent", fields, bases=(Event,), rename=names, forbid_unknown_fields=True, gc=False
    )
    return msgspec.json.Decoder(event), msgspec.json.Decoder(list[event])


def _attribute(number: int) -> str:
    """The attribute of an event that holds its learned field of this number."""
    return f"learned_{number}"


def _learned_extras(
    events: Sequence[Event], learned: tuple[str, ...], first: int
) -> Iterator[tuple[int, str]]:
    """Yields the extras of events of a run, each with its position; the run begins at `first`."""
    fields = [(_attribute(n), member(name)) for n, name in enumerate(learned)]
    for row, event in enumerate(events, first):
        members = [
            head + bytes(raw)
            for attribute, head in fields
            if (raw := getattr(event, attribute)) is not None
        ]
        if members:
            yield row, f"{{{b','.join(members).decode()}}}"
