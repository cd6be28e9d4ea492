"""Where one JSON value ends and the next begins, in bytes of any framing.

Events arrive as JSON Lines, as objects one after another with nothing, spaces or newlines between
them, pretty-printed, or as one JSON array; a file may change from one to another midway. Valid
bytes of every framing are decoded in one go (`decoding`); this module is for what that cannot do:

* `cuts`: places where a large file may be cut into blocks that are read apart;
* `last_event`: where a part of a stream probably ends with a whole event;
* `Framer`: the exact walk over records good and bad, for a part that has a bad one in it.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal, NamedTuple

from pipeline.rejects import Problem

# A newline cannot stand inside a JSON string, and inside an array or object a comma must stand
# between two values. So `}`, white space with a newline, `{` is always the border of two top-level
# values, whatever the framing: the one place where cutting is safe without reading from the start.
# (Between the elements of an array there are commas: an array is never cut.)
_BORDER = re.compile(rb"\}[ \t\r]*\n\s*(?=\{)")
_EVENT_START = re.compile(rb'\{\s*"(?:event_id|timestamp|domain|event_type|data)"\s*:')
_AFTER_EVENT = re.compile(rb'\}(?=\s*,?\s*\{\s*"(?:event_id|timestamp|domain|event_type|data)")')
_SPACE = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*")  # a byte order mark counts as space
_OPENS_ARRAY_OF_OBJECTS = re.compile(rb"\[\s*(?:\{|\])")
# A line that goes on with a broken object begins with space, a closing bracket, a key or a comma.
_NEXT_RECORD_LINE = re.compile(rb'\n(?=[^\s}\]",])')

_TAIL_BYTES = 1 << 20  # how far from a part's end `last_event` looks
_WINDOW_BYTES = 4096  # first try of `_value_end`; most events are smaller
_RESUME_TRIES = 100  # bounds the work on one broken record

# Python's own scanner finds the end of a value. It reads the bytes as Latin-1, one character a
# byte, so that its positions are byte offsets; the values it builds are thrown away.
_SCAN = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).scan_once  # type: ignore[attr-defined]


def cuts(window: bytes) -> Iterator[int]:
    """Yields the offsets in `window` at which a file not beginning with an array may be cut."""
    return (border.end() for border in _BORDER.finditer(window))


def last_event(part: bytes) -> int:
    """The end of the last object that seems to be followed by a further event; 0 if none is.

    A guess (it may lie within a nested array or a string): true only if the bytes before it decode.
    """
    end = 0
    for end_of_event in _AFTER_EVENT.finditer(part, max(0, len(part) - _TAIL_BYTES)):
        end = end_of_event.end()
    return end


def opens_array(part: bytes) -> bool:
    """Whether the part begins with an array of objects (not with a record that is an array)."""
    return _OPENS_ARRAY_OF_OBJECTS.match(part, skip_space(part, 0)) is not None


def skip_space(buffer: bytes, at: int) -> int:
    """The offset of the next byte that is neither white space nor a byte order mark."""
    space = _SPACE.match(buffer, at)
    return space.end() if space else at


def is_value(record: bytes) -> bool:
    """Whether the bytes are exactly one JSON value (of any nesting, with any escapes)."""
    return _value_end(record, 0) == len(record)


class Record(NamedTuple):
    """One record of a part: ``part[start:end]``.

    `value` is what the walk's `parse` made of it, None where it is not one JSON object. An array
    that is never closed ends in an empty record.
    """

    start: int
    end: int
    value: Any


class Framer:
    """One walk over the records of a part.

    Attributes:
        in_array: Whether the walk is inside a JSON array of events.
        consumed: How many bytes it has done; after it, the rest is incomplete and belongs before
            the next part.
    """

    def __init__(self, in_array: bool) -> None:
        self.in_array = in_array
        self.consumed = 0

    def records(
        self, part: bytes, parse: Callable[[bytes], Any], *, final: bool
    ) -> Iterator[Record]:
        """Yields every record of `part`, well-formed or not, in order.

        Args:
            part: Bytes that begin between two records.
            parse: Makes a value of the bytes of one JSON object, a `Problem` if it is not an event;
                gives None for other bytes.
            final: Whether the file ends with this part.
        """
        at = 0
        while (at := skip_space(part, at)) < len(part):
            self.consumed = at
            first = part[at : at + 1]
            if first == b"[" and not self.in_array and _OPENS_ARRAY_OF_OBJECTS.match(part, at):
                self.in_array = True
                at += 1
                continue
            if self.in_array and first in b",]":
                self.in_array = first == b","
                at += 1
                continue
            record = self._object(part, at, parse) if first == b"{" else self._other(part, at)
            if record is None or (record == "unfinished" and final):
                record = self._broken(part, at, parse, final)
            if record == "unfinished" or (record.end == len(part) and not final):
                return
            yield record
            at = record.end
        self.consumed = len(part)
        if final and self.in_array:
            yield Record(len(part), len(part), None)

    def _object(
        self, part: bytes, at: int, parse: Callable[[bytes], Any]
    ) -> "Record | Literal['unfinished'] | None":
        """The object that begins at `at`; None if it is broken."""
        # Most often a line is one object: try that before looking for the end in earnest.
        newline = part.find(b"\n", at)
        line = part[at : newline if newline >= 0 else len(part)]
        line = line.rstrip(b" \t\r," if self.in_array else b" \t\r")
        if line.endswith(b"}") and (value := parse(line)) is not None:
            return Record(at, at + len(line), value)
        end = _value_end(part, at)
        if isinstance(end, int):
            return Record(at, end, parse(part[at:end]))
        return end

    def _other(self, part: bytes, at: int) -> "Record | Literal['unfinished'] | None":
        """A JSON value that is not an object, if it stands alone; None if it does not."""
        end = _value_end(part, at)
        if not isinstance(end, int):
            return end
        after = skip_space(part, end)
        alone = after > end or after == len(part) or part[after : after + 1] in b",]"
        return Record(at, end, None) if alone else None

    def _broken(
        self, part: bytes, at: int, parse: Callable[[bytes], Any], final: bool
    ) -> "Record | Literal['unfinished']":
        """A record of bytes that are no JSON value: up to where the next record seems to begin."""
        if part[at : at + 1] == b"{":
            line = _NEXT_RECORD_LINE.search(part, at)
            limit = line.end() if line else len(part)
        else:
            limit = part.find(b"\n", at) + 1 or len(part)
        for start in islice(_EVENT_START.finditer(part, at + 1, limit), _RESUME_TRIES):
            # After these an event would be part of the broken record's own data.
            within = b":[" if self.in_array else b":[,"
            before = part[at : start.start()].rstrip()[-1:]
            end = before not in within and _value_end(part, start.start())
            if isinstance(end, int) and end:
                value = parse(part[start.start() : end])
                if value is not None and not isinstance(value, Problem):
                    return Record(at, start.start(), None)
        if limit == len(part) and not final:
            return "unfinished"
        return Record(at, limit, None)


def _value_end(buffer: bytes, start: int) -> "int | Literal['unfinished'] | None":
    """The end of the JSON value at `start`; None if it is broken, wherever the buffer ends."""
    window = _WINDOW_BYTES
    while True:
        # A window, since an error's message costs the scanner time in proportion to the text.
        text = buffer[start : start + window].decode("latin-1")
        try:
            return start + int(_SCAN(text, 0)[1])
        except RecursionError:
            return None
        except StopIteration as stop:
            at, in_string = stop.value, False
        except json.JSONDecodeError as error:
            at, in_string = error.pos, error.msg.startswith("Unterminated string")
        # An error at the very end (a literal or an escape may be cut there) asks for more text.
        if not in_string and at < len(text) - 16:
            return None
        if start + window >= len(buffer):
            return "unfinished"
        window *= 8
