"""Bytes of any framing to events and rejects.

msgspec decodes a run of some megabytes in one call: its `decode_lines` takes objects with any white
space between them, and within an array commas can be put between brackets again. Where a run has
anything else in it, shorter ones are tried, and in the end one record is taken by itself; a record
that is no event becomes a `Reject`. A run that does decode also proves that it ends between two
records, so this gives exactly what decoding record by record gives. Tests hold the two against each
other.
"""

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.framing import walk as framing
from pipeline.framing.walk import State
from pipeline.input.records import Event, Parsed, from_members, is_event, member, parse, too_large
from pipeline.input.rejects import PREVIEW_BYTES, Problem, Reject

ENVELOPE_BYTES = 1 << 20
"""What one record may have besides its data and extra fields.

That is the other fields, names, and white space. A larger record is given up unread, so this
bounds how much of a file is held at once.
"""

# What is tried in one call: at the least, after a bad record, and at first. Long enough that the
# calls do not show, short enough that little is done in vain if one fails.
_SHORTEST_RUN_BYTES = 1 << 10
_RUN_BYTES = 64 << 10
_LONGEST_RUN_BYTES = 4 << 20
# Below this Python is faster than a call of Arrow.
_SHORT_BYTES = 8 << 10
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
# Bounds the memory that rejects take: some bytes of input may be one.
_REJECTS_AT_A_TIME = 10_000
_UNCLOSED_ARRAY = Problem("truncated", "the JSON array of events ends here without its ']'")
# With more unknown members than this, a type for all of them costs more than it saves.
_LEARNED_NAMES = 64
_UNLEARNABLE = re.compile(r'["\\\x00-\x1f]')  # what msgspec cannot have in the name of a field
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY_OF_MEMBERS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_RECORDS = msgspec.json.Decoder(msgspec.Raw)
_ARRAY_OF_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])


class Part(NamedTuple):
    """Bytes of one file, or of several that were put together, that begin between two records.

    Attributes:
        source: The file's path; of several files, that of the first.
        offset: Bytes before them in the (decompressed) file.
        data: The bytes.
        final: Whether the file, or the piece of it that is read, ends here.
        state: What is known from earlier parts.
        more: Where in `data` each further file begins, ascending, and its path.
        record_bytes: A record with more bytes is given up.
    """

    source: str
    offset: int
    data: bytes
    final: bool = True
    state: State = framing.START
    more: tuple[tuple[int, str], ...] = ()
    record_bytes: int = (16 << 20) + ENVELOPE_BYTES

    def place(self, at: int) -> tuple[str, int]:
        """The file that the byte at this place in `data` is of, and its offset there."""
        number = bisect.bisect_right(self.more, at, key=lambda one: one[0])
        if not number:
            return self.source, self.offset + at
        start, source = self.more[number - 1]
        return source, at - start


class Run(NamedTuple):
    """Records ``[start, end)`` of a part that were decoded together; the `first` is which event.

    `with_commas` says whether there are commas between them.
    """

    first: int
    start: int
    end: int
    with_commas: bool


class Decoded(NamedTuple):
    """What was decoded of a part.

    Attributes:
        events: The well-formed events, in order.
        extras: Their other members, sorted by name, as text of a JSON object, by position in
            `events`; none for most events.
        rejects: The other records.
        runs: Where the events were found, in order.
        consumed: How many bytes were done; the rest is incomplete and belongs to the next part.
        state: What is known for the next part.
        is_stopped: Whether it stopped at many rejects, so that there may be more in the rest.
    """

    events: Sequence[Event]
    extras: dict[int, str]
    rejects: list[Reject]
    runs: list[Run]
    consumed: int
    state: State
    is_stopped: bool = False

    @property
    def in_array(self) -> bool:
        """Whether the rest is inside a JSON array."""
        return self.state.in_array


def decode(part: Part, *, in_runs: bool = True) -> Decoded:
    """Decodes a part of any framing.

    Args:
        part: The part.
        in_runs: Whether to try many records at once. If not, the result is the same but for `runs`.
    """
    limit = part.record_bytes
    walk = framing.Walk(part.data, part.state, part.final, is_event, limit)
    events: list[Event] = []
    extras: dict[int, str] = {}
    rejects: list[Reject] = []
    runs: list[Run] = []
    learned: tuple[str, ...] = ()
    is_utf8 = _is_utf8(memoryview(part.data))
    longest = min(_LONGEST_RUN_BYTES, limit)  # so none has a record that is too large
    run_bytes = longest

    def reject(start: int, end: int, problem: Problem) -> None:
        raw = part.data[start:end]
        rejects.append(Reject(*part.place(start), len(raw), *problem, raw))

    while len(rejects) < _REJECTS_AT_A_TIME:
        if walk.skipped:
            skipped = walk.end_of_skipped()
            if skipped is None:
                break
            source, offset = part.source, part.offset + walk.at - skipped.length
            if part.more:
                source, offset = part.place(walk.at - skipped.length)
            raw = skipped.preview[: skipped.significant]
            problem = too_large(skipped.significant, raw, limit)
            rejects.append(Reject(source, offset, skipped.significant, *problem, raw))
            run_bytes = min(_RUN_BYTES, longest)
            continue
        more = walk.to_next()
        while walk.unclosed:
            place = walk.unclosed.pop(0)
            reject(place, place, _UNCLOSED_ARRAY)
        if not more:
            break
        if in_runs and (end := walk.guess(run_bytes)):
            run = Run(len(events), walk.at, end, walk.with_commas)
            try:
                found, found_extras = _decode_run(part.data, run, learned, is_utf8)
            except (ValueError, RecursionError) as error:
                run_bytes = _shorter(run_bytes, error)
                continue
            extras.update(found_extras)
            events += found
            runs.append(run)
            walk.past_run(end)
            run_bytes = min(4 * run_bytes, longest)
            continue

        with_commas = walk.with_commas
        record = walk.record()
        if record is None:
            if walk.skipped:
                continue
            break
        if record.end - record.start > limit:
            size = record.end - record.start
            raw = part.data[record.start : record.start + min(limit, PREVIEW_BYTES)]
            problem = too_large(size, raw, limit)
            rejects.append(Reject(*part.place(record.start), size, *problem, raw))
            continue
        parsed = parse(part.data[record.start : record.end], record.is_object)
        if isinstance(parsed, Problem):
            reject(record.start, record.end, parsed)
            run_bytes = min(_RUN_BYTES, longest)
        else:
            if parsed.extra:
                extras[len(events)] = parsed.extra
            if len(learned) <= _LEARNED_NAMES:
                learned = tuple(sorted({*learned, *parsed.unknown}))
            run_bytes = min(max(4 * run_bytes, _SHORTEST_RUN_BYTES), longest)
            runs.append(Run(len(events), record.start, record.end, with_commas))
            events.append(parsed.event)
    else:
        return Decoded(events, extras, rejects, runs, walk.at, walk.state, True)
    if part.final and walk.in_array:
        reject(walk.at, walk.at, _UNCLOSED_ARRAY)
    return Decoded(events, extras, rejects, runs, walk.at, walk.state)


def spans(part: Part, decoded: Decoded, rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yields (start, end) in the part of some of its events, given by their position, ascending."""
    firsts = [run.first for run in decoded.runs]
    number = -1
    for row in rows:
        if (at := bisect.bisect_right(firsts, row) - 1) != number:
            # The run is decoded again, into views of its records: their addresses tell their place.
            number, run = at, decoded.runs[at]
            data = _run_data(part.data, run)
            records = (_ARRAY_OF_RECORDS.decode if run.with_commas else _RECORDS.decode_lines)(data)
            base = pa.py_buffer(data).address + run.with_commas - run.start
        start = pa.py_buffer(records[row - run.first]).address - base
        yield start, start + len(records[row - run.first])


def _run_data(data: bytes, run: Run) -> memoryview:
    """The bytes of a run as msgspec takes them."""
    view = memoryview(data)[run.start : run.end]
    if not run.with_commas:
        return view
    if data[run.end - 1] != ord("}"):  # after the last element is a comma, and maybe space
        view = view[: data.rindex(b",", run.start, run.end) - run.start]
    return memoryview(b"".join((b"[", view, b"]")))


def _decode_run(
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
    view = _run_data(data, run)
    if not is_utf8 and not _is_utf8(view):  # msgspec does not look at the bytes within a `Raw`
        raise ValueError("not UTF-8")
    if len(learned) <= _LEARNED_NAMES and not _UNLEARNABLE.search("".join(learned)):
        one, many = _decoders(learned)
        events = many.decode(view) if run.with_commas else one.decode_lines(view)
        return events, dict(_learned_extras(events, learned, run.first)) if learned else {}
    objects = _ARRAY_OF_MEMBERS.decode(view) if run.with_commas else _MEMBERS.decode_lines(view)
    parsed = [found for members in objects if isinstance(found := from_members(members), Parsed)]
    if len(parsed) < len(objects):
        raise ValueError("not only events")
    extras = {row: found.extra for row, found in enumerate(parsed, run.first) if found.extra}
    return [found.event for found in parsed], extras


def _shorter(run_bytes: int, error: Exception) -> int:
    """What to try next of a run that failed: most often msgspec says up to where it was good."""
    place = _AT_BYTE.search(str(error))
    return min(int(place[1]), run_bytes - 1) if place else run_bytes // 4


def _is_utf8(view: memoryview) -> bool:
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
