"""Bytes of any framing to events and rejects.

Long runs of records are decoded in one call (`stretches`). Where a run has anything else in it than
events, shorter ones are tried, and in the end one record is taken by itself; a record that is no
event becomes a `Reject`. The result is that of decoding record by record: tests compare the two.
"""

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.framing.skipped import PREVIEW_BYTES
from pipeline.framing.walk import START, Record, State, Walk
from pipeline.input import stretches
from pipeline.input.records import Event, is_event, parse, too_large
from pipeline.input.rejects import Problem, Reject
from pipeline.input.stretches import Run

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
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
# Bounds the memory that rejects take: some bytes of input may be one.
_REJECTS_AT_A_TIME = 10_000
_UNCLOSED_ARRAY = Problem("truncated", "the JSON array of events ends here without its ']'")


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
    state: State = START
    more: tuple[tuple[int, str], ...] = ()
    record_bytes: int = (16 << 20) + ENVELOPE_BYTES

    def place(self, at: int) -> tuple[str, int]:
        """The file that the byte at this place in `data` is of, and its offset there."""
        number = bisect.bisect_right(self.more, at, key=lambda one: one[0])
        if not number:
            return self.source, self.offset + at
        start, source = self.more[number - 1]
        return source, at - start


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
    return _Decoding(part).decode(in_runs)


def spans(part: Part, decoded: Decoded, rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yields (start, end) in the part of some of its events, given by their position, ascending."""
    return stretches.spans(part.data, decoded.runs, rows)


class _Decoding:
    """A part under way to events and rejects."""

    def __init__(self, part: Part) -> None:
        limit = part.record_bytes
        self.part = part
        self.walk = Walk(part.data, part.state, part.final, is_event, limit)
        self.events: list[Event] = []
        self.extras: dict[int, str] = {}
        self.rejects: list[Reject] = []
        self.runs: list[Run] = []
        self.learned: tuple[str, ...] = ()  # names of unknown members met so far
        self.is_utf8 = stretches.is_utf8_text(memoryview(part.data))
        self.longest = min(_LONGEST_RUN_BYTES, limit)  # so none has a record that is too large
        self.run_bytes = self.longest  # what is tried next

    def decode(self, in_runs: bool) -> Decoded:
        """See the function of this name."""
        walk = self.walk
        while len(self.rejects) < _REJECTS_AT_A_TIME:
            if walk.skipped:
                if not self.pass_skipped():
                    break
                continue
            more = walk.to_next()
            while walk.unclosed:
                place = walk.unclosed.pop(0)
                self.reject(place, place, _UNCLOSED_ARRAY)
            if not more:
                break
            if in_runs and (end := walk.guess(self.run_bytes)):
                self.try_run(end)
                continue
            with_commas = walk.with_commas
            record = walk.record()
            if record:
                self.take(record, with_commas)
            elif not walk.skipped:
                break
        else:
            return self.decoded(is_stopped=True)
        if self.part.final and walk.in_array:
            self.reject(walk.at, walk.at, _UNCLOSED_ARRAY)
        return self.decoded()

    def decoded(self, is_stopped: bool = False) -> Decoded:
        """What was decoded so far."""
        walk = self.walk
        found = self.events, self.extras, self.rejects, self.runs
        return Decoded(*found, walk.at, walk.state, is_stopped)

    def try_run(self, end: int) -> None:
        """Decodes the run that may end at a place, or notes that shorter ones are to be tried."""
        walk = self.walk
        run = Run(len(self.events), walk.at, end, walk.with_commas)
        try:
            found, extras = stretches.decode_run(self.part.data, run, self.learned, self.is_utf8)
        except (ValueError, RecursionError) as error:
            self.run_bytes = _shorter(self.run_bytes, error)
            return
        self.extras.update(extras)
        self.events += found
        self.runs.append(run)
        walk.past_run(end)
        self.run_bytes = min(4 * self.run_bytes, self.longest)

    def take(self, record: Record, with_commas: bool) -> None:
        """Makes an event or a reject of one record."""
        start, end, is_object = record
        data, limit = self.part.data, self.part.record_bytes
        if end - start > limit:
            beginning = data[start : start + min(limit, PREVIEW_BYTES)]
            self.reject_large(start, end - start, beginning)
            return
        parsed = parse(data[start:end], is_object)
        if isinstance(parsed, Problem):
            self.reject(start, end, parsed)
            self.run_bytes = min(_RUN_BYTES, self.longest)
            return
        if parsed.extra:
            self.extras[len(self.events)] = parsed.extra
        if len(self.learned) <= stretches.LEARNED_NAMES:
            self.learned = tuple(sorted({*self.learned, *parsed.unknown}))
        self.run_bytes = min(max(4 * self.run_bytes, _SHORTEST_RUN_BYTES), self.longest)
        self.runs.append(Run(len(self.events), start, end, with_commas))
        self.events.append(parsed.event)

    def pass_skipped(self) -> bool:
        """Goes on with a record that is too large; whether its end is in this part."""
        skipped = self.walk.end_of_skipped()
        if not skipped:
            return False
        size = skipped.significant
        self.reject_large(self.walk.at - skipped.length, size, skipped.preview[:size])
        self.run_bytes = min(_RUN_BYTES, self.longest)
        return True

    def reject_large(self, start: int, size: int, beginning: bytes) -> None:
        """Rejects a record that is too large; it may begin before this part (`start` < 0)."""
        problem = too_large(size, beginning, self.part.record_bytes)
        self.rejects.append(Reject(*self.part.place(start), size, *problem, beginning))

    def reject(self, start: int, end: int, problem: Problem) -> None:
        """Rejects ``[start, end)`` of the part."""
        raw = self.part.data[start:end]
        self.rejects.append(Reject(*self.part.place(start), len(raw), *problem, raw))


def _shorter(run_bytes: int, error: Exception) -> int:
    """What to try next of a run that failed: most often msgspec says up to where it was good."""
    place = _AT_BYTE.search(str(error))
    return min(int(place[1]), run_bytes - 1) if place else run_bytes // 4
