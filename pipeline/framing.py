"""Where one JSON value ends and the next begins, in bytes of any framing.

Events arrive as JSON Lines, as objects one after another with nothing, spaces or newlines between
them, pretty-printed, or as one JSON array; a file may change from one to another midway. Between
records there may be white space and byte order marks, and commas within an array.

Two kinds of places are told apart:

* A *border* is certain, wherever in a file it is found. A newline cannot stand inside a JSON
  string, and inside an array or object a comma must stand between two values. So `}`, white space
  with a newline, `{` is the border of two top-level values in every framing. A large file is cut at
  borders (`cuts`), and nothing broken reaches beyond one.
* A *guess* looks like the end of an event, but could lie within a nested array or a string. It
  is right if the bytes before it decode, which is how `decoding` uses it (`Walk.guess`).
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

_WHITE = b" \t\r\n"
_SPACE = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*")  # a byte order mark counts as space
_PARTS_OF_MARK = (b"\xef", b"\xef\xbb")
_BORDER = re.compile(rb"\}[ \t\r]*\n[ \t\r\n]*(?=\{)")
_OPENS_ARRAY = re.compile(rb"\[[ \t\r\n]*[{\]]")  # of objects; other arrays are records

# How a record begins, up to its first key. Records further on mostly begin alike.
_OPENING = re.compile(rb'\{[ \t\r\n]*"[^"\\]{1,64}"')
_GUESS_TRIES = 10  # nested objects may begin like records

# A broken object ends at a border or where a line begins that cannot go on with it: one that begins
# with neither space nor a closing bracket, a key or a comma. Anything else ends with its line. But
# before that, an object may begin that is a record of its own.
_OBJECT_START = rb'(\{)(?=[ \t\r\n]*")'
_AFTER_OBJECT = re.compile(rb'%b|\n(?=[^\s}\]",])|%b' % (_BORDER.pattern, _OBJECT_START))
_AFTER_LINE = re.compile(rb"\n|%b" % _OBJECT_START)
_AFTER_VALUE = re.compile(rb"[ \t\r\n]*(,?)[ \t\r\n]*")
_RESUME_TRIES = 20  # bounds the work on one broken record
_SPACE_BYTES = 64  # how far back the byte before an object is looked for
_WINDOW_BYTES = 1024  # first try of `_value_end`; most events are smaller

# Python's own scanner finds the end of a value. It reads the bytes as Latin-1, one character a
# byte, so that its positions are byte offsets; the values it builds are thrown away.
_SCAN = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).scan_once  # type: ignore[attr-defined]


def cuts(window: bytes) -> Iterator[int]:
    """Yields the offsets of the borders in any part of a file: there it may be cut in two."""
    return (border.end() for border in _BORDER.finditer(window))


def is_between_borders(file: bytes) -> bool:
    """Whether a newline before a file and one after it are borders if objects lie beyond them."""
    return file.startswith(b"{") and file.rstrip(_WHITE).endswith(b"}")


def is_value(record: bytes) -> bool:
    """Whether the bytes are exactly one JSON value (with any numbers and escapes)."""
    return _value_end(record, 0) == len(record)


class Record(NamedTuple):
    """One record: ``data[start:end]``, and whether that is one JSON object."""

    start: int
    end: int
    is_object: bool


class Walk:
    """A walk over the records of a part of a file, good and bad.

    What it does with a record depends on the bytes of the file only, not on where parts end: what
    cannot be told before more of the file is seen counts as incomplete.

    Attributes:
        data: Bytes that begin between two records.
        final: Whether the file ends with them.
        at: How far the walk is; before it everything is done.
        in_array: Whether that is inside a JSON array of events.
    """

    def __init__(self, data: bytes, in_array: bool, final: bool) -> None:
        if not final and data.endswith(_PARTS_OF_MARK):
            data = data[: data.rindex(_PARTS_OF_MARK[0])]  # what goes on is not known yet
        self.data = data
        self.final = final
        self.at = 0
        self.in_array = in_array

    def to_next(self) -> bool:
        """Goes on to where the next record begins; false if there is none."""
        while True:
            self.at = _skip_space(self.data, self.at)
            first = self.data[self.at : self.at + 1]
            if self.in_array and first and first in b",]":
                self.in_array = first == b","
            elif _OPENS_ARRAY.match(self.data, self.at):  # also where one before has no end
                self.in_array = True
            else:
                return first != b""
            self.at += 1

    def guess(self, run_bytes: int) -> int:
        """Where a record further on begins, at most `run_bytes` from here; 0 if none is seen."""
        reach = self.at + run_bytes
        if reach >= len(self.data) and self.final and not self.in_array:
            return len(self.data)
        opening = _OPENING.match(self.data, self.at)
        if not opening:
            return 0
        for _ in range(_GUESS_TRIES):
            reach = self.data.rfind(opening[0], self.at + 1, reach)
            if reach < 0:
                break
            before = self._before(reach, self.at)
            if self.in_array and before.endswith(b","):
                before = before[:-1].rstrip(_WHITE)
            elif self.in_array:
                continue
            if before.endswith(b"}"):
                return reach
        return 0

    def record(self, is_event: Callable[[bytes], bool]) -> Record | None:
        """Goes past the record that begins here, and gives it; None if it is incomplete.

        Args:
            is_event: Tells an event from other JSON objects; asked where a broken record may end.
        """
        data, start = self.data, self.at
        first = data[start : start + 1]
        end = start + 1 if first in b",]" else _value_end(data, start)
        if end == "unfinished" and not self.final:
            return None
        if isinstance(end, int) and (first in b"{,]" or self._stands_alone(end)):
            record = Record(start, end, first == b"{")
        else:
            broken = self._end_of_broken(start, is_event)
            if broken is None:
                return None
            text = data[start:broken].rstrip(_WHITE + b"," if self.in_array else _WHITE)
            record = Record(start, start + len(text), False)
        after = _skip_space(data, record.end)
        if after == len(data) and not self.final:
            return None
        self.at = after
        if not record.is_object:
            # A comma on its own is taken for that of an array whose beginning is lost; and a
            # broken record that ends with the array's bracket has the array's end.
            last = data[record.end - 1 : record.end]
            self.in_array = last == b"," or (self.in_array and last != b"]")
        return record

    def at_border(self, record: Record) -> bool:
        """Whether there is a border after the record."""
        return _BORDER.match(self.data, record.end - 1) is not None

    def _stands_alone(self, end: int) -> bool:
        """Whether a value that is no object is followed by something that ends it."""
        after = _skip_space(self.data, end)
        return after > end or after == len(self.data) or self.data[after : after + 1] in b",]"

    def _end_of_broken(self, start: int, is_event: Callable[[bytes], bool]) -> int | None:
        """Where the record after a broken one seems to begin; None if that is not in view."""
        data = self.data
        pattern = _AFTER_OBJECT if data[start : start + 1] == b"{" else _AFTER_LINE
        opening = _OPENING.match(data, start)
        tries = tries_inside = 0
        for found in pattern.finditer(data, start + 1):
            if found[1] is None:
                return found.end()
            place = found.start()
            before = self._before(place, start)[-1:]
            # After these it looks like a part of the broken record's own data.
            inside = before in (b":", b"[") or (before == b"," and not self.in_array)
            if inside and tries_inside == _RESUME_TRIES:
                continue
            end = _value_end(data, place)
            after = _AFTER_VALUE.match(data, end) if isinstance(end, int) else None
            if not self.final and (end == "unfinished" or (after and after.end() == len(data))):
                return None
            alike = opening and data.startswith(opening[0], place)
            if alike and not inside and before in b"},":
                return place
            if inside:
                tries_inside += 1
            else:
                tries += 1
            if isinstance(end, int) and after:
                # No valid JSON has two objects on a line without a comma between, and none has two
                # in an object without a name between. (Where there is a border, this record ends.)
                apart = data[after.end() : after.end() + 1] == b"{" and (
                    before == b":" if after[1] else b"\n" not in after[0]
                )
                if not inside and before == b"}" and not self.in_array:
                    return place
                if (apart or not inside) and is_event(data[place:end]):
                    return place
            if tries == _RESUME_TRIES:
                return place
        return len(data) if self.final else None

    def _before(self, place: int, start: int) -> bytes:
        """Bytes from `start` on that stand before `place`, without white space at their end."""
        return self.data[max(start, place - _SPACE_BYTES) : place].rstrip(_WHITE)


def _skip_space(data: bytes, at: int) -> int:
    """The offset of the next byte that is neither white space nor a byte order mark."""
    space = _SPACE.match(data, at)
    return space.end() if space else at


def _value_end(data: bytes, start: int) -> "int | Literal['unfinished'] | None":
    """The end of the JSON value at `start`; None if it is broken, wherever the data ends."""
    window = _WINDOW_BYTES
    while True:
        # A window, since an error's message costs the scanner time in proportion to the text.
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
        if whole:
            return "unfinished"
        window *= 8
