"""The bytes of a file that are in view, and what they show about a place.

The answers depend on the bytes of the file only, not on where a part of it ends: if more bytes
could change an answer, `NotInViewError` is raised, and the question is asked of a larger part.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from pipeline.framing.borders import BORDER, WHITE
from pipeline.framing.values import value_end

# How far white space is followed, and how much of a record's beginning shows its layout.
LOOK_BYTES = 64 << 10

# Every pattern over input repeats only classes of characters: a repeated group would need a hundred
# bytes of memory for each repetition.
SPACE = re.compile(rb"[ \t\r\n]*")
LINE_START = re.compile(rb"[ \t\r\xef\xbb\xbf]*")

# A larger event is not recognised where a damaged record may end.
_EVENT_BYTES = 1 << 20
# How far back to look at once for a byte that is no white space.
_SPACE_BACK_BYTES = 64


class Line(NamedTuple):
    """The beginning of the line that a place is on.

    Attributes:
        indent: The bytes of its indentation.
        begun: Whether anything but white space stands between it and the place.
    """

    indent: int
    begun: bool


class Neighbour(NamedTuple):
    """What begins at a place.

    Attributes:
        is_event: Whether it is an event.
        before_border: Whether it is followed by a border, or by the end of the file.
    """

    is_event: bool
    before_border: bool


NO_EVENT = Neighbour(False, False)


class NotInViewError(Exception):
    """More of the file is needed."""


class View:
    """Bytes of a file.

    Attributes:
        data: The bytes.
        final: Whether the file ends with them.
        limit: A record with more bytes is too large to be kept.
    """

    def __init__(
        self, data: bytes, final: bool, limit: int, line: Line, is_event: Callable[[bytes], bool]
    ) -> None:
        """Makes a view.

        Args:
            data: The bytes.
            final: Whether the file ends with them.
            limit: A record with more bytes is too large to be kept.
            line: The line on which they begin.
            is_event: Tells an event from other JSON objects.
        """
        self.data = data
        self.final = final
        self.limit = limit
        self._is_event = is_event
        self._first_line = line
        # Lines were looked for up to here, and where the last one begins; -1: before the data.
        self._line_searched = 0
        self._line_start = -1

    def need(self, is_known: bool) -> None:
        """Asks for more of the file if something is not known, and there is more.

        Raises:
            NotInViewError: More of the file is needed.
        """
        if not is_known and not self.final:
            raise NotInViewError

    def line(self, place: int) -> Line:
        """Returns the line of a place. Fast if most calls go forward in the data."""
        data = self.data
        if place < self._line_searched:
            self._line_start, self._line_searched = -1, 0
        found = data.rfind(b"\n", self._line_searched, place)
        if found >= 0:
            self._line_start = found + 1
        self._line_searched = place
        start, before = self._line_start, Line(0, False)
        if start < 0:
            start, before = 0, self._first_line
        if before.begun:
            return before
        text = end_of(LINE_START, data, start, place)
        return Line(before.indent + indent(data[start:text]), text < place)

    def before(self, place: int, start: int) -> bytes:
        """Returns some bytes before a place, from `start` on, without white space at their end."""
        return self.data[max(start, place - _SPACE_BACK_BYTES) : place].rstrip(WHITE)

    def after_space(self, place: int) -> int:
        """Returns where the white space at a place ends.

        Raises:
            NotInViewError: It ends beyond the data.
        """
        end = end_of(SPACE, self.data, place, place + LOOK_BYTES)
        self.need(end < len(self.data) or end == place + LOOK_BYTES)
        return end

    def neighbour(self, place: int) -> Neighbour:
        """Returns what begins at a place where a damaged record may end.

        Raises:
            NotInViewError: It ends beyond the data, or the white space after it does.
        """
        data = self.data
        end = value_end(data, place, _EVENT_BYTES)
        self.need(end != "unfinished" or len(data) - place >= _EVENT_BYTES)
        if not isinstance(end, int) or not self._is_event(data[place:end]):
            return NO_EVENT
        space = self.after_space(end)
        # A piece of a file ends at a border, and a file may be read together with others.
        border = BORDER.match(data, end - 1, end + LOOK_BYTES)
        return Neighbour(True, border is not None or space == len(data))


def indent(space: bytes) -> int:
    """Returns the indentation that this white space gives a line, in bytes; marks do not count."""
    return space.count(b" ") + space.count(b"\t")


def end_of(pattern: re.Pattern[bytes], data: bytes, start: int, end: int | None = None) -> int:
    """Returns the end of what a pattern matches at `start`; it must also match an empty text."""
    found = pattern.match(data, start, len(data) if end is None else end)
    return found.end() if found else start


def last_significant(data: bytes, place: int, start: int) -> int:
    """Returns the last place before `place` that is no white space; -1 if none is from `start`."""
    back = _SPACE_BACK_BYTES
    while True:
        low = max(start, place - back)
        text = data[low:place].rstrip(WHITE)
        if text or low == start:
            return low + len(text) - 1 if text else -1
        back *= 8
