"""Where one JSON value ends and the next begins, in bytes of any framing.

Events arrive as JSON Lines, as objects one after another with nothing, spaces or newlines between
them, pretty-printed, or as one JSON array; a file may change from one to another midway. Between
records there may be white space, byte order marks and commas.

Two kinds of places are told apart:

* A *border* is certain, wherever in a file it is found. A newline cannot stand inside a JSON
  string, and inside an array or object a comma must stand between two values. So `}`, white space,
  and `{` at the beginning of a line is the border of two top-level values in every framing. A large
  file is cut at borders (`cuts`), and nothing broken reaches beyond one.
* A *guess* looks like the end of an event, but could lie within a nested array or a string. It
  is right if the bytes before it decode, which is how `decoding` uses it (`Walk.guess`).

Where a damaged record ends is decided in `damage`.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from pipeline.framing.damage import (
    MARK,
    TOUCHING_OBJECTS,
    WHITE,
    Damaged,
    Ending,
    Line,
    Neighbour,
    RestOfLines,
)

# Every pattern here repeats only classes of characters: repeated groups remember each round, in a
# hundred bytes of memory.
_SPACE = re.compile(rb"[ \t\r\n]*")
_BETWEEN = re.compile(rb"[ \t\r\n,]*")
_LINE_START = re.compile(rb"[ \t\r\xef\xbb\xbf]*")
_PARTS_OF_MARK = (b"\xef", b"\xef\xbb")
_MARKS = MARK * 4096
_BORDER = re.compile(rb"\}[ \t\r\n]*\n(?=\{)")
_OPENS_ARRAY = re.compile(rb"\[[ \t\r\n]*[{\]]")  # of objects; other arrays are records
_SCALAR = re.compile(
    rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9a-zA-Z.+-])"
)
_IN_STRING = re.compile(rb'["\n]|\\+"?')
# What can follow a value that is no object or array.
_AFTER_SCALAR = (b" ", b"\t", b"\r", b"\n", b",", b"]", b"\xef", b"")

# How a record begins, up to its first key. Records further on mostly begin alike.
_OPENING = re.compile(rb'\{[ \t\r\n]*"[^"\\]{1,64}"')
_GUESS_TRIES = 10  # nested objects may begin like records

_TOKEN_OF_GARBAGE = re.compile(rb'"[^"\\\n]*"|[{}\[\]":]|\\+"?')
_OBJECT_IN_GARBAGE = re.compile(rb'\{[ \t\r\n]*"')
_AFTER_TAIL = re.compile(rb"[ \t\r]*,?[ \t\r]*")
_TRIES = 20  # bounds how many objects are parsed for one record
_FALLS = 16  # bounds how often text up to the next border is gone through again

# How many bytes of a record that is too large to be kept are kept.
PREVIEW_BYTES = 1024

_SPACE_BYTES = 64  # how far back the byte before an object is looked for
_WINDOW_BYTES = 1024  # first try of `_value_end`; most events are smaller
# Larger values are left to `structure`: Python's scanner builds them.
_SCAN_BYTES = 64 << 10
# An event that a damaged record may end at, and white space after it that may be a border.
_NEIGHBOUR_BYTES = 1 << 20
_BORDER_BYTES = 64 << 10
_LOOK_AHEAD_BYTES = 2  # how far past a place `damage` looks

# Python's own scanner finds the end of a value. It reads the bytes as Latin-1, one character a
# byte, so that its positions are byte offsets; the values it builds are thrown away.
_SCAN = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).scan_once  # type: ignore[attr-defined]


def cuts(window: bytes) -> Iterator[int]:
    """Yields the offsets of the borders in any part of a file: there it may be cut in two."""
    return (border.end() for border in _BORDER.finditer(window))


def is_between_borders(file: bytes) -> bool:
    """Whether a newline before a file and one after it are borders if objects lie beyond them."""
    return file.startswith(b"{") and file.rstrip(WHITE).endswith(b"}")


def is_value(record: bytes) -> bool:
    """Whether the bytes are exactly one JSON value (with any numbers and escapes)."""
    return _value_end(record, 0, len(record)) == len(record)


class Record(NamedTuple):
    """One record: ``data[start:end]``, and whether it begins like a JSON object."""

    start: int
    end: int
    is_object: bool


class Skipped(NamedTuple):
    """A record that is too large to be kept: its end lies in a part further on.

    Attributes:
        length: Its bytes so far.
        significant: Its bytes so far, without white space and commas at their end.
        preview: How it begins.
        ending: What finds its end.
    """

    length: int
    significant: int
    preview: bytes
    ending: Ending


class State(NamedTuple):
    """What a walk knows of a file at one place, from the bytes before it.

    Attributes:
        in_array: Whether it is inside a JSON array of events.
        separated: Whether a comma or the array's bracket stands before it, after the last record.
        closed: Whether there is only white space after the "}" of a record.
        line: The line that it is on.
        falls: How many fallbacks were taken since the last border.
        skipped: The record that it is inside of, if that is too large.
    """

    in_array: bool = False
    separated: bool = False
    closed: bool = False
    line: Line = Line(0, False)
    falls: int = 0
    skipped: Skipped | None = None


START = State()


class _NotInViewError(Exception):
    """More of the file is needed."""


class Walk:
    """A walk over the records of a part of a file, good and bad.

    What it does with a record depends on the bytes of the file only, not on where parts end: what
    cannot be told before more of the file is seen counts as incomplete.

    Attributes:
        data: Bytes that begin between two records.
        final: Whether the file ends with them.
        at: How far the walk is; before it everything is done.
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
            state: What is known of the file before them.
            final: Whether the file ends with them.
            is_event: Tells an event from other JSON objects; asked where a broken record may end.
            limit: A record with more bytes is given up.
        """
        if not final and data.endswith(_PARTS_OF_MARK):
            data = data[: data.rindex(_PARTS_OF_MARK[0])]  # what goes on is not known yet
        self.data = data
        self.final = final
        self.at = 0
        self.in_array = state.in_array
        self.unclosed: list[int] = []
        self.skipped = state.skipped
        self._separated, self._closed, self._falls = state.separated, state.closed, state.falls
        self._is_event = is_event
        self._limit = limit
        self._start = state.line
        self._line_start = -1  # of the line that contains `_line_seen`; -1: before the data
        self._line_seen = 0

    @property
    def state(self) -> State:
        """What is known of the file up to where the walk is."""
        line = self._line(self.at)
        return State(self.in_array, self._separated, self._closed, line, self._falls, self.skipped)

    @property
    def with_commas(self) -> bool:
        """Whether a comma stands between records here."""
        return self.in_array or self._separated

    def to_next(self) -> bool:
        """Goes on to where the next record begins; false if there is none."""
        data = self.data
        while True:
            start = self.at
            self.at = _end(_BETWEEN, data, start)
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
                if first == b"{" and self._closed and self._line(self.at) == (0, False):
                    self._falls = 0  # here is a border
                    if self.in_array:
                        self.unclosed.append(self.at)
                        self.in_array = False
                return first != b""

    def past_run(self, end: int) -> None:
        """Goes on to where a run of good records ends, as it was guessed."""
        self._separated = self._before(end, self.at).endswith(b",")
        self._closed = not self._separated
        self.at = end

    def guess(self, run_bytes: int) -> int:
        """Where a record further on begins, at most `run_bytes` from here; 0 if none is seen."""
        reach = self.at + run_bytes
        if reach >= len(self.data) and self.final and not self.with_commas:
            return len(self.data)
        opening = _OPENING.match(self.data, self.at)
        if not opening:
            return 0
        for _ in range(_GUESS_TRIES):
            reach = self.data.rfind(opening[0], self.at + 1, reach)
            if reach < 0:
                break
            before = self._before(reach, self.at)
            if self.with_commas and before.endswith(b","):
                before = before[:-1].rstrip(WHITE)
            elif self.with_commas:
                continue
            if before.endswith(b"}"):
                return reach
        return 0

    def record(self) -> Record | None:
        """Goes past the record that begins here, and gives it; None if it is incomplete.

        A record that is too large, and has no end in view, is begun: see `skipped`.
        """
        start = self.at
        try:
            end = self._end_of_record(start)
        except _NotInViewError:
            return None
        if end is None or (end == len(self.data) and not self.final):
            return None
        first = self.data[start : start + 1]
        self._go_past(self.data[end - 1 : end])
        self.at = end
        return Record(start, end, first == b"{")

    def end_of_skipped(self) -> Skipped | None:
        """Goes past the rest of the skipped record, and gives it; None if it has no end in view."""
        assert self.skipped
        data, start, (length, significant, preview, ending) = self.data, self.at, self.skipped
        ending = ending.copy()
        end = ending.find_end(data, start, len(data))
        self.at = len(data) if end is None else end
        text = self._stripped(start, self.at)
        significant = length + len(text) if text else significant
        done = Skipped(length + self.at - start, significant, preview, ending)
        if end is None and not self.final:
            self.skipped = done
            return None
        self.skipped = None
        last = text[-1:] or ending.last
        self._go_past(last)
        if self.in_array and not ending.closed:
            self.in_array = last != b"]"
            self._separated = data.find(b",", start + len(text), self.at) >= 0
            self._closed &= not self._separated
        return done

    def _go_past(self, last: bytes) -> None:
        """Notes what is known after a record that ends with this byte."""
        self._separated, self._closed = False, last == b"}"

    def _opens_array(self) -> bool:
        """Whether an array of events is opened here."""
        if not _OPENS_ARRAY.match(self.data, self.at):
            return False
        if not self.in_array:
            return True
        if self._separated or self._line(self.at).begun:
            return False
        self.unclosed.append(self.at)  # a new array after one that has no end
        return True

    def _end_of_record(self, start: int) -> int | None:
        data = self.data
        first = data[start : start + 1]
        if first in (b"{", b"["):
            end = _value_end(data, start, _SCAN_BYTES)
            if isinstance(end, int):
                return end
            return self._end_of_damaged(start, b"")
        end = self._end_of_scalar(start, first)
        if end is not None:
            if first == b'"':
                colon = _end(_SPACE, data, end, end + _BORDER_BYTES)
                if colon == len(data) < end + _BORDER_BYTES and not self.final:
                    raise _NotInViewError
                if data[colon : colon + 1] == b":":
                    return self._end_of_tail(start)
            if data[end : end + 1] in _AFTER_SCALAR:
                return end
        return self._end_of_garbage(start)

    def _end_of_scalar(self, start: int, first: bytes) -> int | None:
        """The end of the string, number or literal here; None if there is none."""
        data = self.data
        stop = min(len(data), start + self._limit)
        if first == b'"':
            for token in _IN_STRING.finditer(data, start + 1, stop):
                if token[0] == b"\n":
                    return None
                if token[0].endswith(b'"') and len(token[0]) % 2:
                    return self._in_view(token.end())
        else:
            found = _SCALAR.match(data, start, stop)
            if found:
                return self._in_view(found.end())
            if len(data) - start > 16 or self.final:
                return None
        if stop == len(data) and not self.final:
            raise _NotInViewError
        return None

    def _in_view(self, end: int) -> int:
        if end >= len(self.data) and not self.final:
            raise _NotInViewError
        return end

    def _end_of_damaged(self, start: int, opened: bytes) -> int | None:
        """The end of a record, where some of its first brackets may be lost; see `damage`."""
        data = self.data
        stop = start + self._limit
        whole = stop + _LOOK_AHEAD_BYTES < len(data) or self.final
        stop = min(stop, len(data))
        ending = Damaged(
            data[start : min(stop, start + _BORDER_BYTES)], opened, self._line(start), self.in_array
        )
        end = ending.find_end(data, start, stop, self._look, self._falls < _FALLS)
        if ending.closed:
            return end
        if end is not None and end + _LOOK_AHEAD_BYTES >= len(data) and not self.final:
            return None
        if end is None and not whole:
            return None
        is_at_limit = end is None and stop < len(data)
        if ending.fallback and (end is not None or not is_at_limit or ending.is_certain):
            self._falls += 1
            end = ending.fallback
        elif is_at_limit:
            self._skip(start, stop, ending)
            return None
        return self._finished(start, stop if end is None else end)

    def _end_of_tail(self, start: int) -> int | None:
        """The end of what begins like a member of an object: the object's bracket is lost.

        If more seems to be lost before it, all of its lines are garbage.
        """
        in_array = self.in_array
        end = self._end_of_damaged(start, b"{")
        if end is None or self._is_apart(start, end):
            return end
        self.in_array = in_array
        return self._end_of_garbage(start)

    def _is_apart(self, start: int, end: int) -> bool:
        """Whether nothing seems to go on after a record whose beginning is lost."""
        data = self.data
        comma = _end(_AFTER_TAIL, data, end, end + _BORDER_BYTES)
        line = _end(_SPACE, data, comma, comma + _BORDER_BYTES)
        if line == len(data) < comma + _BORDER_BYTES:
            if self.final:
                return True
            raise _NotInViewError
        if data[comma : comma + 1] != b"\n":
            return self.in_array and self._line(start).begun
        indent = len(data[data.rindex(b"\n", comma, line) + 1 : line])
        return indent <= self._garbage_indent(start)

    def _garbage_indent(self, start: int) -> int:
        """Lines after garbage that are indented more than this go on with it."""
        return self._line(start).indent if self.in_array else 0

    def _finished(self, start: int, end: int) -> int:
        """The end of a damaged record without what stands between records."""
        text = self._stripped(start, end)
        if self.in_array and text.endswith(b"]"):
            self.in_array = False  # it has the array's end
        return start + len(text)

    def _stripped(self, start: int, end: int) -> bytes:
        return self.data[start:end].rstrip(WHITE + b"," if self.in_array else WHITE)

    def _skip(self, start: int, stop: int, ending: Ending) -> None:
        """Begins to skip the record at `start`, of which the bytes before `stop` are looked at."""
        preview = self.data[start : min(stop, start + PREVIEW_BYTES)]
        self.skipped = Skipped(stop - start, len(self._stripped(start, stop)), preview, ending)
        self.at = stop

    def _end_of_garbage(self, start: int) -> int | None:
        """The end of what begins like no JSON value: see `RestOfLines`, or an event on its line."""
        data = self.data
        stop = min(len(data), start + self._limit)
        line_end = data.find(b"\n", start, stop)
        place = self._event_in_garbage(start, line_end if line_end >= 0 else stop)
        if place:
            return self._finished(start, place)
        ending = RestOfLines(self._garbage_indent(start))
        end = ending.find_end(data, start, stop)
        if end is not None:
            return self._finished(start, end)
        if stop == len(data):
            return self._finished(start, stop) if self.final else None
        self._skip(start, stop, ending)
        return None

    def _event_in_garbage(self, start: int, end: int) -> int:
        """Where an event begins in garbage, outside its strings and brackets, or after a "}".

        Returns:
            Its place; 0 if there is none.
        """
        data = self.data
        if not _OBJECT_IN_GARBAGE.search(data, start, end + 1):
            return 0
        touching = itertools.islice(TOUCHING_OBJECTS.finditer(data, start, end), _TRIES)
        places = (found.end() - 1 for found in touching)
        touched = next((place for place in places if self._look(place).is_event), 0)
        end = touched or end
        depth = tries = 0
        has_colon = in_string = False
        at = start
        while at < end and tries < _TRIES:
            token = (_IN_STRING if in_string else _TOKEN_OF_GARBAGE).search(data, at, end)
            if not token:
                break
            text, at = token[0], token.end()
            if in_string:
                in_string = not (text.endswith(b'"') and len(text) % 2)
            elif text == b'"' or (text[:1] == b"\\" and text.endswith(b'"') and len(text) % 2):
                in_string = True
            elif text == b":":
                has_colon |= not depth
            elif text in (b"]", b"}"):
                depth = max(0, depth - 1)
            elif text in (b"[", b"{"):
                before = self._before(token.start(), start)[-1:]
                is_apart = before not in (b":", b"[", b",") or (
                    before == b"," and self.in_array and not has_colon
                )
                if text == b"{" and not depth and is_apart and token.start() > start:
                    tries += 1
                    if self._look(token.start()).is_event:
                        return token.start()
                depth += 1
        return touched

    def _look(self, place: int) -> Neighbour:
        """What begins at a place where a damaged record may end."""
        data = self.data
        end = _value_end(data, place, _NEIGHBOUR_BYTES)
        if end == "unfinished" and not self.final and len(data) - place < _NEIGHBOUR_BYTES:
            raise _NotInViewError
        if not isinstance(end, int) or not self._is_event(data[place:end]):
            return Neighbour(False, False)
        space = _end(_SPACE, data, end, end + _BORDER_BYTES)
        if space == len(data) and not self.final and space < end + _BORDER_BYTES:
            raise _NotInViewError
        # A piece of a file ends at a border, and a file may be read together with others.
        border = _BORDER.match(data, end - 1, end + _BORDER_BYTES)
        return Neighbour(True, border is not None or space == len(data))

    def _line(self, place: int) -> Line:
        """The line of a place; places are asked for in ascending order, mostly."""
        data = self.data
        if place < self._line_seen:
            self._line_start, self._line_seen = -1, 0
        found = data.rfind(b"\n", self._line_seen, place)
        if found >= 0:
            self._line_start = found + 1
        self._line_seen = place
        start, before = self._line_start, Line(0, False)
        if start < 0:
            start, before = 0, self._start
        if before.begun:
            return before
        text = _end(_LINE_START, data, start, place)
        indent = data.count(b" ", start, text) + data.count(b"\t", start, text)
        return Line(before.indent + indent, text < place)

    def _before(self, place: int, start: int) -> bytes:
        """Bytes from `start` on that stand before `place`, without white space at their end."""
        return self.data[max(start, place - _SPACE_BYTES) : place].rstrip(WHITE)


def _end(pattern: re.Pattern[bytes], data: bytes, start: int, end: int | None = None) -> int:
    """The end of what a pattern matches at `start`; the pattern also matches nothing."""
    found = pattern.match(data, start, len(data) if end is None else end)
    return found.end() if found else start


def _value_end(data: bytes, start: int, limit: int) -> "int | Literal['unfinished'] | None":
    """The end of the JSON value at `start`; None if it is broken, wherever the data ends.

    A value with more than `limit` bytes counts as unfinished.
    """
    window = _WINDOW_BYTES
    while True:
        # A window, since an error's message costs the scanner time in proportion to the text.
        window = min(window, limit)
        text = data[start : start + window].decode("latin-1")
        whole = start + window >= len(data)
        try:
            end = int(_SCAN(text, 0)[1])
            if end < len(text) or whole:  # else it may be a number that goes on
                return start + end
            at, in_string = end, False
        except RecursionError:
            return None
        except StopIteration as stop:
            at, in_string = stop.value, False
        except json.JSONDecodeError as error:
            at, in_string = error.pos, error.msg.startswith("Unterminated string")
        # An error at the very end (a literal or an escape may be cut there) asks for more text.
        if not in_string and at < len(text) - 16:
            return None
        if whole or window == limit:
            return "unfinished"
        window *= 8
