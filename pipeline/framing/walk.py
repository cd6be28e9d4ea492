"""Walks from record to record through a file of any framing.

How a file's bytes become events:

* `streams` reads a file, decompressed, in parts. What a part leaves over begins the next one.
* `decoding` decodes a part. It tries to decode many records in one call: a `Walk` *guesses* where
  such a stretch ends, at something further on that looks like the beginning of a record. The guess
  is right if the stretch decodes.
* If it does not, the walk finds one record, good or bad, and `records` makes an event of it, or a
  reject. `record_end` finds where the record ends.

Between records there may be white space, byte order marks, commas, and the brackets of arrays. A
`Walk` passes them, and remembers whether it is in an array of events (`State`).
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from pipeline.framing.borders import MARK, WHITE
from pipeline.framing.record_end import end_of_record
from pipeline.framing.skipped import Skipped, without_separators
from pipeline.framing.view import Line, NotInViewError, View, end_of

_BETWEEN = re.compile(rb"[ \t\r\n,]*")
_UNFINISHED_MARKS = (b"\xef", b"\xef\xbb")
_MARKS = MARK * 4096
_OPENS_ARRAY = re.compile(rb"\[[ \t\r\n]*[{\]]")  # of objects; other arrays are records

# How a record begins, up to its first key. Most records of a file begin in the same way.
_OPENING = re.compile(rb'\{[ \t\r\n]*"[^"\\]{1,64}"')
_GUESS_TRIES = 10  # nested objects may begin like records
_LIKELY_ENDS = 16  # bounds how often the text up to the next border is read again


class Record(NamedTuple):
    """One record.

    Attributes:
        start: Where it begins in the data.
        end: Where it ends.
        is_object: Whether it begins like a JSON object.
    """

    start: int
    end: int
    is_object: bool


class State(NamedTuple):
    """What a walk knows of a file at one place, from the bytes before it.

    Attributes:
        in_array: Whether the place is inside a JSON array of events.
        separated: Whether a comma or the array's bracket stands between the last record and it.
        closed: Whether the last record ends with "}", and only white space follows.
        line: The line that the place is on.
        likely_ends: How many records since the last border ended at a likely end, see `damage`.
        skipped: The record that the place is inside of, if that record is too large.
    """

    in_array: bool = False
    separated: bool = False
    closed: bool = False
    line: Line = Line(0, False)
    likely_ends: int = 0
    skipped: Skipped | None = None


START = State()


class Walk:
    """A walk over the records of a part of a file, good and bad.

    What it does with a record depends on the bytes of the file only, not on where parts end: a
    record counts as incomplete as long as more of the file could change where it ends.

    Attributes:
        data: Bytes that begin between two records.
        final: Whether the file ends with them.
        at: How far the walk has come.
        in_array: Whether that is inside a JSON array of events.
        unclosed: Where arrays were found to have no end.
        skipped: The record that reaches beyond `data`, if it is too large to wait for its end.
    """

    def __init__(
        self,
        data: bytes,
        state: State,
        final: bool,
        is_event: Callable[[bytes], bool],
        limit: int,
    ) -> None:
        """Begins a walk.

        Args:
            data: The bytes.
            state: What is known from the bytes before them.
            final: Whether the file ends with them.
            is_event: Tells an event from other JSON objects; asked where a broken record may end.
            limit: A record with more bytes is given up.
        """
        if not final and data.endswith(_UNFINISHED_MARKS):
            data = data[: data.rindex(_UNFINISHED_MARKS[0])]  # it may become a mark
        self.data = data
        self.final = final
        self.at = 0
        self.in_array = state.in_array
        self.unclosed: list[int] = []
        self.skipped = state.skipped
        self._separated, self._closed = state.separated, state.closed
        self._likely_ends = state.likely_ends
        self._view = View(data, final, limit, state.line, is_event)

    @property
    def state(self) -> State:
        """What is known at the place where the walk is."""
        line = self._view.line(self.at)
        return State(
            self.in_array, self._separated, self._closed, line, self._likely_ends, self.skipped
        )

    @property
    def with_commas(self) -> bool:
        """Whether a comma stands between records here."""
        return self.in_array or self._separated

    def to_next(self) -> bool:
        """Goes on to where the next record begins; returns False if there is none."""
        data = self.data
        while True:
            start = self.at
            self.at = end_of(_BETWEEN, data, start)
            if data.find(b",", start, self.at) >= 0:
                self._separated, self._closed = True, False
            first = data[self.at : self.at + 1]
            if first == b"\xef" and data.startswith(MARK, self.at):
                while data.startswith(_MARKS, self.at):
                    self.at += len(_MARKS)
                while data.startswith(MARK, self.at):
                    self.at += len(MARK)
                self._closed = False
            elif first == b"]" and self.in_array:
                self.at += 1
                self.in_array = self._separated = self._closed = False
            elif first == b"[" and self._opens_array():
                self.at += 1
                self.in_array = self._separated = True
                self._closed = False
            else:
                if first == b"{" and self._closed and self._view.line(self.at) == (0, False):
                    self._pass_border()
                return first != b""

    def guess(self, stretch_bytes: int) -> int:
        """Guesses where a record further on begins: one that begins like the record here.

        Args:
            stretch_bytes: How far from here, at most.

        Returns:
            The place, or the end of the file; it may in fact lie in a nested array or a string. 0
            if there is none.
        """
        reach = self.at + stretch_bytes
        if reach >= len(self.data) and self.final and not self.with_commas:
            return len(self.data)
        opening = _OPENING.match(self.data, self.at)
        if not opening:
            return 0
        for _ in range(_GUESS_TRIES):
            reach = self.data.rfind(opening[0], self.at + 1, reach)
            if reach < 0:
                break
            before = self._view.before(reach, self.at)
            if self.with_commas and before.endswith(b","):
                before = before[:-1].rstrip(WHITE)
            elif self.with_commas:
                continue
            if before.endswith(b"}"):
                return reach
        return 0

    def past_stretch(self, end: int) -> None:
        """Goes on to `end`, the guess, after the records up to there turned out to be good."""
        self._separated = self._view.before(end, self.at).endswith(b",")
        self._closed = not self._separated
        self.at = end

    def record(self) -> Record | None:
        """Passes the record that begins here, and returns it; None if it is incomplete.

        If it is too large, and its end is not in view, what is known of it goes to `skipped`.
        """
        data, start = self.data, self.at
        may_guess = self._likely_ends < _LIKELY_ENDS
        try:
            end = end_of_record(self._view, start, self.in_array, may_guess)
        except NotInViewError:
            return None
        if isinstance(end, Skipped):
            self.skipped = end
            self.at += end.length
            return None
        if end.at == len(data) and not self.final:
            return None
        self.at = end.at
        self.in_array &= not end.has_array_end
        self._likely_ends += end.is_likely
        self._separated, self._closed = False, data.startswith(b"}", end.at - 1)
        return Record(start, end.at, data.startswith(b"{", start))

    def end_of_skipped(self) -> Skipped | None:
        """Passes the rest of the skipped record, and returns it; None if its end is not in view."""
        assert self.skipped
        start = self.at
        done, end = self.skipped.go_on(self.data, start, self.in_array)
        self.at = len(self.data) if end is None else end
        if end is None and not self.final:
            self.skipped = done
            return None
        self.skipped = None
        text = without_separators(self.data[start : self.at], self.in_array)
        last = text[-1:] or done.ending.last
        self._separated, self._closed = False, last == b"}"
        if self.in_array and not done.ending.closed:
            self.in_array = last != b"]"
            self._separated = self.data.find(b",", start + len(text), self.at) >= 0
            self._closed &= not self._separated
        return done

    def _pass_border(self) -> None:
        """Passes a border: no array reaches beyond it."""
        self._likely_ends = 0
        if self.in_array:
            self.unclosed.append(self.at)
            self.in_array = False

    def _opens_array(self) -> bool:
        """Tells whether the "[" here opens an array of events."""
        if not _OPENS_ARRAY.match(self.data, self.at):
            return False
        if not self.in_array:
            return True
        if self._separated or self._view.line(self.at).begun:
            return False
        self.unclosed.append(self.at)  # a new array after one that has no end
        return True
