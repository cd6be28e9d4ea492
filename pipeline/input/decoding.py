"""Decodes bytes of any framing into events and rejects.

Long stretches of records are decoded in one call (`stretches`). Where a stretch contains anything
but events, shorter ones are tried, and in the end a single record, which becomes an event or a
`Reject`. The result is that of decoding record by record; tests compare the two.
"""

import bisect
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.framing.skipped import PREVIEW_BYTES
from pipeline.framing.walk import START, Record, State, Walk
from pipeline.input import stretches
from pipeline.input.fields import OWN_NAMES, FieldMap
from pipeline.input.records import Event, is_event, parse, too_large
from pipeline.input.rejects import Problem, Reject
from pipeline.input.stretches import Stretch

# What one record may have besides its data and extra fields: the other fields, names, white space.
# A larger record is given up unread, so this bounds how much of a file is held at once.
ENVELOPE_BYTES = 1 << 20

# How many bytes are tried in one call: long enough that the cost of a call does not show, short
# enough that little work is lost if it fails.
_SHORTEST_STRETCH_BYTES = 1 << 10
_LONGEST_STRETCH_BYTES = 4 << 20
_STRETCH_BYTES_AFTER_REJECT = 64 << 10
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
# Bounds the memory that rejects take: a few bytes of input may become one.
_REJECTS_AT_A_TIME = 10_000
_UNCLOSED_ARRAY = Problem("truncated", "the JSON array of events ends here without its ']'")


class Part(NamedTuple):
    """Bytes of one file, or of several that were put together; they begin between two records.

    Attributes:
        source: The file's path; of several files, that of the first.
        offset: Bytes before them in the (decompressed) file.
        data: The bytes.
        final: Whether the file, or the piece of it that is read, ends here.
        state: What is known from earlier parts.
        more: Where in `data` each further file begins, ascending, and its path.
        record_bytes: A record with more bytes is given up.
        names: Where the fields of its events are.
    """

    source: str
    offset: int
    data: bytes
    final: bool = True
    state: State = START
    more: tuple[tuple[int, str], ...] = ()
    record_bytes: int = (16 << 20) + ENVELOPE_BYTES
    names: FieldMap = OWN_NAMES

    def source_at(self, at: int) -> tuple[str, int]:
        """Returns where the byte ``data[at]`` comes from: a file, and an offset in it."""
        number = bisect.bisect_right(self.more, at, key=lambda one: one[0])
        if not number:
            return self.source, self.offset + at
        start, source = self.more[number - 1]
        return source, at - start


class Decoded(NamedTuple):
    """What was decoded of a part.

    Attributes:
        events: The well-formed events, in order.
        extras: The extra fields of events that have any, as text of a JSON object, sorted by name;
            by the event's index in `events`.
        rejects: The other records.
        stretches: Where the events were found, in order.
        consumed: How many bytes were done; the rest is incomplete and belongs to the next part.
        state: What is known for the next part.
        is_stopped: Whether it stopped after many rejects, so that there may be more in the rest.
    """

    events: Sequence[Event]
    extras: dict[int, str]
    rejects: list[Reject]
    stretches: list[Stretch]
    consumed: int
    state: State
    is_stopped: bool = False


def decode(part: Part, *, in_stretches: bool = True) -> Decoded:
    """Decodes a part of any framing.

    Args:
        part: The part.
        in_stretches: Whether many records may be decoded in one call. The result is the same, but
            for `Decoded.stretches`.
    """
    return _Decoding(part).decode(in_stretches)


def rows_of_sources(part: Part, decoded: Decoded) -> list[tuple[str, int]]:
    """Returns the files of a part, in order, each with how many of its events come from it."""
    if not part.more:
        return [(part.source, len(decoded.events))]
    starts = [stretch.start for stretch in decoded.stretches]
    firsts = [*(stretch.first for stretch in decoded.stretches), len(decoded.events)]
    places = (at for at, _ in part.more)
    rows = [0]
    # A place belongs to the last stretch that begins before it.
    for number, inside in itertools.groupby(places, lambda at: bisect.bisect_left(starts, at) - 1):
        if number < 0:
            rows.extend(0 for _ in inside)
            continue
        stretch, end = decoded.stretches[number], firsts[number + 1]
        rows.extend(stretches.rows_at(part.data, stretch, decoded.events, end, inside))
    rows.append(len(decoded.events))
    sources = [part.source, *(source for _, source in part.more)]
    return [(one, end - row) for one, row, end in zip(sources, rows, rows[1:], strict=False)]


def spans(part: Part, decoded: Decoded, rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yields (start, end) in the part for some of its events, given by ascending index."""
    return stretches.spans(part.data, decoded.stretches, rows)


class _Decoding:
    """The decoding of one part, under way."""

    def __init__(self, part: Part) -> None:
        limit = part.record_bytes
        self.part = part
        is_one = functools.partial(is_event, names=part.names)
        self.walk = Walk(part.data, part.state, part.final, is_one, limit)
        self.events: list[Event] = []
        self.extras: dict[int, str] = {}
        self.rejects: list[Reject] = []
        self.stretches: list[Stretch] = []
        self.learned: tuple[Any, ...] = ()  # names of unknown members met so far, or paths
        self.is_utf8 = stretches.is_utf8_text(memoryview(part.data))
        # At most `limit`, so that no record in a stretch is too large.
        self.longest = min(_LONGEST_STRETCH_BYTES, limit)
        self.stretch_bytes = self.longest  # what is tried next

    def decode(self, in_stretches: bool) -> Decoded:
        """Decodes the part, or as much of it as gives `_REJECTS_AT_A_TIME` rejects."""
        while self.step(in_stretches):
            if len(self.rejects) >= _REJECTS_AT_A_TIME:
                return self.decoded(is_stopped=True)
        if self.part.final and self.walk.in_array:
            self.reject(self.walk.at, self.walk.at, _UNCLOSED_ARRAY)
        return self.decoded()

    def step(self, in_stretches: bool) -> bool:
        """Decodes a stretch or a record; returns False if there is none that is complete."""
        walk = self.walk
        if walk.skipped:
            return self.pass_skipped()
        has_record = walk.to_next()
        while walk.unclosed:
            at = walk.unclosed.pop(0)
            self.reject(at, at, _UNCLOSED_ARRAY)
        if not has_record:
            return False
        if in_stretches and (end := walk.guess(self.stretch_bytes)):
            self.try_stretch(end)
            return True
        with_commas = walk.with_commas
        record = walk.record()
        if record:
            self.take(record, with_commas)
        return record is not None or walk.skipped is not None

    def decoded(self, is_stopped: bool = False) -> Decoded:
        """Returns what was decoded so far."""
        walk = self.walk
        found = self.events, self.extras, self.rejects, self.stretches
        return Decoded(*found, walk.at, walk.state, is_stopped)

    def try_stretch(self, end: int) -> None:
        """Decodes the stretch that may end at `end`; if it cannot, a shorter one is tried next."""
        walk = self.walk
        stretch = Stretch(len(self.events), walk.at, end, walk.with_commas)
        try:
            found, extras = stretches.decode_stretch(
                self.part.data, stretch, self.learned, self.is_utf8, self.part.names
            )
        except (ValueError, RecursionError) as error:
            self.stretch_bytes = _shorter(self.stretch_bytes, error)
            return
        self.extras.update(extras)
        self.events += found
        self.stretches.append(stretch)
        walk.past_stretch(end)
        self.stretch_bytes = min(4 * self.stretch_bytes, self.longest)

    def take(self, record: Record, with_commas: bool) -> None:
        """Makes an event or a reject of one record."""
        start, end, is_object = record
        data, limit = self.part.data, self.part.record_bytes
        if end - start > limit:
            beginning = data[start : start + min(limit, PREVIEW_BYTES)]
            self.reject_large(start, end - start, beginning)
            return
        parsed = parse(data[start:end], is_object, self.part.names)
        if isinstance(parsed, Problem):
            self.reject(start, end, parsed)
            self.stretch_bytes = min(_STRETCH_BYTES_AFTER_REJECT, self.longest)
            return
        if parsed.extra:
            self.extras[len(self.events)] = parsed.extra
        if len(self.learned) <= stretches.LEARNED_NAMES:
            self.learned = tuple(sorted({*self.learned, *parsed.unknown}))
        self.stretch_bytes = min(max(4 * self.stretch_bytes, _SHORTEST_STRETCH_BYTES), self.longest)
        self.stretches.append(Stretch(len(self.events), start, end, with_commas))
        self.events.append(parsed.event)

    def pass_skipped(self) -> bool:
        """Passes the rest of a record that is too large; returns False if its end is not here."""
        skipped = self.walk.end_of_skipped()
        if not skipped:
            return False
        size = skipped.significant
        self.reject_large(self.walk.at - skipped.length, size, skipped.preview[:size])
        self.stretch_bytes = min(_STRETCH_BYTES_AFTER_REJECT, self.longest)
        return True

    def reject_large(self, start: int, size: int, beginning: bytes) -> None:
        """Rejects a record that is too large; it may begin before this part (`start` < 0)."""
        problem = too_large(size, beginning, self.part.record_bytes)
        self.rejects.append(Reject(*self.part.source_at(start), size, *problem, beginning))

    def reject(self, start: int, end: int, problem: Problem) -> None:
        """Rejects ``[start, end)`` of the part."""
        raw = self.part.data[start:end]
        self.rejects.append(Reject(*self.part.source_at(start), len(raw), *problem, raw))


def _shorter(stretch_bytes: int, error: Exception) -> int:
    """Returns how many bytes to try after `stretch_bytes` failed.

    Most often msgspec's message says up to which byte they were good.
    """
    found = _AT_BYTE.search(str(error))
    return min(int(found[1]), stretch_bytes - 1) if found else stretch_bytes // 4
