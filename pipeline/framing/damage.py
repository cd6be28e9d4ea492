"""Where a damaged record ends, so that reading goes on at a place that cannot lie inside it.

A record is damaged if it is not one well-formed JSON value, or if it is larger than any record may
be. The rules look at its strings, brackets and lines only, and need no more memory for a large
record than for a small one. The first one that applies counts:

1. A *border* always ends it: `}`, white space, and a `{` at the beginning of a line. A line break
   cannot stand inside a JSON string, and a comma must stand between two values of an array.
2. If strings and brackets are in order, it ends where its brackets close. Order means that types
   of brackets match, and that no line break lies inside a string. So a bad token, escape or byte
   costs one record, in any framing.
3. Else it ends at a line that begins with `{`, indented no more than the line on which the record
   begins, if an object cannot follow there: the last character before is none of `,` `[` `:`, or it
   is a comma within an object. Where the order is broken, it also ends at such a line after a comma
   if its layout shows that no inner value begins there (see `_Style`).
4. Else, in text without line breaks, it ends where an event follows a `}` without a comma.
5. Else it ends with the input.

Where this leaves a choice, a good neighbour is rather lost, in the reject, than an event invented.
"""

import copy
import enum
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pipeline.framing import structure

WHITE = b" \t\r\n"
MARK = b"\xef\xbb\xbf"
# Every pattern here repeats only classes of characters: repeated groups remember each round.
_TOKEN = re.compile(rb'"[^"\\\n]*"|[{}\[\]"]|\\+"?|\n[ \t\r\xef\xbb\xbf]*')
_IN_STRING = re.compile(rb'["\n]|\\+"?')
_OUT_OF_ORDER = re.compile(rb'\n[ \t\r\xef\xbb\xbf]*|\}[ \t\r]*\{(?=[ \t\r]*")')
TOUCHING_OBJECTS = re.compile(rb'\}[ \t\r]*\{(?=[ \t\r]*")')
_LINE_START = re.compile(rb"[ \t\r\xef\xbb\xbf]*")
_LINE_OF_OBJECT = re.compile(rb"\n[ \t\r\xef\xbb\xbf]*\{")
_TOUCHING = re.compile(rb"\}[ \t\r]*\{")
_LIST_BEGINS = re.compile(rb"\[[ \t\r]*\n")
_SPACE = re.compile(rb"[ \t\r\n]*")
_CONTINUED = b",[:"  # a value must follow
# Deeper nesting is taken for a broken order: its types of brackets would have to be remembered.
_LEVELS = 1 << 20
# `structure` looks at this much in one call, from a length on where that pays.
_STRETCH_BYTES = 256 << 10
_QUICK_FROM_BYTES = 16 << 10
_LOOK_BACK_BYTES = 64  # first try; white space may be longer
_TRIES = 20  # bounds how many neighbours are parsed for one damaged record


class Line(NamedTuple):
    """A line on which something begins: its indentation in bytes, and if anything stands before."""

    indent: int
    begun: bool


class Neighbour(NamedTuple):
    """What begins at a place: whether it is an event, and whether a border or the end follows."""

    is_event: bool
    before_border: bool


Look = Callable[[int], Neighbour]
"""Tells what begins at a place in the text."""


class Ending(Protocol):
    """A record whose end is looked for, in one stretch of text after another.

    Attributes:
        closed: Whether it ends where its brackets close, in order.
    """

    closed: bool

    @property
    def last(self) -> bytes:
        """The last significant byte of it so far."""

    def find_end(self, data: bytes, start: int, end: int) -> int | None:
        """Goes on through ``data[start:end]``; returns where in it the record ends, if it does."""

    def copy(self) -> "Ending":
        """A copy that goes on by itself."""


class RestOfLines:
    """The end of garbage, which begins like no JSON value.

    It ends with its line, and with the lines after that which are indented more than some bytes:
    what is cut off from a pretty-printed record goes on like that.
    """

    closed = False

    def __init__(self, indent: int) -> None:
        self.last = b""
        self._most = indent
        self._indent: int | None = None  # of a line of which only white space is known

    def find_end(self, data: bytes, start: int, end: int) -> int | None:
        """See `Ending`."""
        found = self._find(data, start, end)
        if found is None:
            at = _significant(data, end, start)
            self.last = data[at : at + 1] if at >= 0 else self.last
        return found

    def _find(self, data: bytes, start: int, end: int) -> int | None:
        at = start
        while at < end:
            if self._indent is None:
                at = data.find(b"\n", at, end)
                if at < 0:
                    return None
                self._indent = 0
                at += 1
            space = _LINE_START.match(data, at, end)
            after = space.end() if space else at
            self._indent += _indent(data[at:after])
            at = after
            if at < end and data[at] != 0x0A and self._indent <= self._most:
                return at
            if at < end:
                self._indent = None
        return None

    def copy(self) -> "RestOfLines":
        """See `Ending`."""
        return copy.copy(self)


class _Style(enum.Enum):
    """How a record is laid out, as its beginning shows.

    Inside an `INDENTED` record, all lines begin further to the right than the record. A record that
    is one `LINE` has its first member on the same line as its bracket. With any `OTHER` layout, a
    line inside may begin like a record.
    """

    LINE = enum.auto()
    INDENTED = enum.auto()
    OTHER = enum.auto()


class Damaged:
    """The end of a damaged record, by the rules of this module.

    Attributes:
        fallback: Where the record ends if its brackets turn out not to close; 0 if nowhere.
        is_certain: Whether the fallback cannot lie inside any well-formed record.
        closed: Whether it ends where its brackets close, in order.
    """

    def __init__(self, text: bytes, opened: bytes, line: Line, in_array: bool) -> None:
        """Begins with a record.

        Args:
            text: The beginning of the record, with at least one significant byte after its first.
            opened: Brackets that are lost before it.
            line: Where it begins.
            in_array: Whether it is an element of an array of events.
        """
        self.fallback = 0
        self.is_certain = False
        self.closed = False
        self._last_two = b"  "
        self._open = bytearray(opened)
        self._in_string = False
        self._escaped = False  # by a backslash at the end of the stretch before
        self._ordered = True
        self._has_lines = False
        self._has_lists = False  # whether a line of it ends with "["
        self._has_objects = False  # whether a line of it begins with "{", as far left as itself
        self._line_indent: int | None = None  # of a line of which only white space is known
        self._line = line
        self._in_array = in_array
        self._style = _style(text, line.indent)
        self._tries = 0

    def copy(self) -> "Damaged":
        """See `Ending`."""
        other = copy.copy(self)
        other._open = bytearray(self._open)
        return other

    def find_end(
        self, data: bytes, start: int, end: int, look: Look | None = None, may_fall: bool = True
    ) -> int | None:
        """Goes on through ``data[start:end]``, and gives where in it the record ends, if it does.

        Args:
            data: The text.
            start: Where the stretch begins.
            end: Where it ends.
            look: What it needs to know for rule 4 and for fallbacks; without it there are none.
            may_fall: Whether there are fallbacks.
        """
        self._look, self._floor, self._may_fall = look, start, may_fall
        found = self._find(data, start, end)
        if found is None:
            self._last_two = self._before(data, end)
        self._look = None
        return found

    @property
    def last(self) -> bytes:
        """The last significant byte so far."""
        return self._last_two[1:]

    def _find(self, data: bytes, start: int, end: int) -> int | None:
        at = start
        if self._line_indent is not None:
            space = _LINE_START.match(data, at, end)
            at = space.end() if space else at
            self._line_indent += _indent(data[start:at])
            if at == end:
                return None
            indent, self._line_indent = self._line_indent, None
            if data[at : at + 1] == b"{" and self._ends_at_line(data, at, indent):
                return at
        # Most records end soon, and where a stretch has something to look at, more may follow.
        slow_to = at + _QUICK_FROM_BYTES
        while at < end:
            if not self._ordered:
                return self._find_out_of_order(data, at, end)
            stretch = min(end, at + _STRETCH_BYTES)
            if at >= slow_to:
                if self._skip(data, at, stretch):
                    at = stretch
                    continue
                slow_to = stretch
            at, found = self._step(data, at, min(slow_to, end), end)
            if found is not None:
                return found
            if not self._ordered and self.fallback:
                return self.fallback
        return None

    def _skip(self, data: bytes, at: int, end: int) -> bool:
        """Goes past a stretch in one go if it is clear that nothing ends in it; whether it did."""
        first_line = data.find(b"\n", at, end)
        has_lines = first_line >= 0
        # A line may have only begun at either end.
        if self._escaped or data[at] in WHITE or data[end - 1] in WHITE + MARK:
            return False
        if has_lines:
            lines = _LINE_OF_OBJECT.finditer(data, at, end)
            if any(_indent(line[0]) <= self._line.indent for line in lines):
                return False
        if self._look and not self._has_lines:
            floor = max(at - _LOOK_BACK_BYTES, self._floor)
            if _TOUCHING.search(data, floor, first_line if has_lines else end + 1):
                return False
        seen = structure.look(memoryview(data)[at:end], self._in_string)
        if not seen.is_ordered or seen.escaped:
            return False
        opened = structure.after(bytes(self._open), seen.brackets)
        if opened is None or len(opened) > _LEVELS:
            return False
        self._open, self._in_string = bytearray(opened), seen.in_string
        self._has_lines |= has_lines
        self._has_lists |= has_lines and _LIST_BEGINS.search(data, at, end) is not None
        return True

    def _step(self, data: bytes, at: int, stretch: int, end: int) -> tuple[int, int | None]:
        """Goes through text that is in order so far, bracket by bracket.

        Returns:
            How far it came, to the end of the stretch or to where the order is broken; and where
            the record ends.
        """
        while at < stretch:
            if self._escaped or self._in_string:
                at, found = self._through_string(data, at, end)
                if found is not None or not self._ordered:
                    return at, found
                continue
            for token in _TOKEN.finditer(data, at, end):
                place, at = token.span()
                first = data[place]
                found = None
                if first == 0x22:  # a quotation mark
                    if at - place == 1:
                        self._in_string = True
                        break
                    found = self._touching(data, at - 2, True) if data[at - 2] == 0x7B else None
                elif first == 0x0A:  # a line break
                    found = self._at_line(data, place, at, end)
                elif first == 0x5C:  # backslashes
                    count = at - place - (data[at - 1] == 0x22)
                    if count < at - place and count % 2 == 0:
                        self._in_string = True
                        break
                    self._escaped = at == end and count == at - place and count % 2 == 1
                else:
                    found = self._at_bracket(data, place)
                    if not self._ordered:
                        return place, None
                if found is not None:
                    return at, found
                if at >= stretch:
                    return at, None
            else:
                return end, None
        return at, None

    def _through_string(self, data: bytes, at: int, end: int) -> tuple[int, int | None]:
        """Goes to the end of a string; how far it came, and where the record ends."""
        if self._escaped:
            slashes = 0
            while at < end and data[at] == 0x5C:
                slashes, at = slashes + 1, at + 1
            if at == end:
                self._escaped = slashes % 2 == 0
                return at, None
            self._escaped = False
            if data[at] == 0x22 and slashes % 2 == 0:
                at += 1
            return at, None
        for token in _IN_STRING.finditer(data, at, end):
            place, at = token.span()
            if data[place] == 0x0A:
                self._ordered = False
                return place, None
            count = at - place - (data[at - 1] == 0x22)  # of backslashes
            if count == at - place:
                self._escaped = at == end and count % 2 == 1
            elif count % 2 == 0:
                self._in_string = False
                is_touching = not count and place > self._floor and data[place - 1] == 0x7B
                return at, self._touching(data, place - 1, True) if is_touching else None
        return end, None

    def _at_bracket(self, data: bytes, place: int) -> int | None:
        code = data[place]
        if code in structure.OPENING:
            found = None
            if code == 0x7B and place > self._floor and data[place - 1] in b"} \t\r":
                found = self._touching(data, place)
            self._open.append(code)
            self._ordered = len(self._open) <= _LEVELS
            return found
        if not self._open or structure.PAIRS[self._open[-1]] != code:
            self._ordered = False
            return None
        self._open.pop()
        self.closed = not self._open
        return place + 1 if self.closed else None

    def _find_out_of_order(self, data: bytes, at: int, end: int) -> int | None:
        """Where the record ends in text without order, of which only the lines count."""
        for token in _OUT_OF_ORDER.finditer(data, at, end):
            place, after = token.span()
            if data[place] == 0x0A:
                found = self._at_line(data, place, after, end)
            else:
                found = self._touching(data, after - 1)
            if found is not None:
                return found
        return None

    def _at_line(self, data: bytes, place: int, at: int, end: int) -> int | None:
        """Looks at a line break and the white space after it; where the record ends."""
        self._has_lines = True
        self._has_lists = self._has_lists or self._before(data, place).endswith(b"[")
        if at == end:
            self._line_indent = _indent(data[place:at])
        elif data[at] == 0x7B and self._ends_at_line(data, at, _indent(data[place:at])):
            return at
        return None

    def _ends_at_line(self, data: bytes, place: int, indent: int) -> bool:
        """Whether the record ends at a line that begins with "{"."""
        if indent > self._line.indent:
            return False
        is_first, self._has_objects = not self._has_objects, True
        last_two = self._before(data, place)
        before = last_two[1:]
        is_indented = self._style is _Style.INDENTED
        if is_indented and before != b"}" and self._look:
            # The next record begins alike: a line break follows its bracket.
            after = data[place + 1 : place + 3].lstrip(b"\r")
            if after and not after.startswith(b"\n"):
                return False
        if before not in _CONTINUED:
            return True
        alike = indent == self._line.indent and not self._line.begun
        is_line = alike and self._style is _Style.LINE
        is_next = is_line and before == b"," and not self._has_lists
        if self._ordered:
            if before == b"," and (self._open[-1:] == b"{" or last_two[0] in b"[:,"):
                return True
        elif is_next or is_indented:
            return True
        may_fall = is_indented or (is_next and self._in_array) or (is_line and before == b":")
        if self.fallback or not (may_fall or (alike and is_first)):
            return False
        neighbour = self._neighbour(place)
        if not neighbour.is_event:
            return False
        if alike and is_first and neighbour.before_border:
            return True
        if may_fall and self._may_fall:
            self.fallback = place
        return False

    def _touching(self, data: bytes, place: int, in_string: bool = False) -> int | None:
        """Where the record ends if an event begins at `place`, and a "}" stands before it."""
        if self._look is None or self._has_lines or self._tries >= _TRIES:
            return None
        at = _significant(data, place, self._floor)
        if at < 0 or data[at] != 0x7D:
            return None
        if self._before(data, at)[1] in _CONTINUED or not self._neighbour(place).is_event:
            return None
        if in_string or not self._ordered or self._open[-1:] != b"[":
            return place
        if self._may_fall and not self.fallback:  # it may be that only a comma is lost
            self.fallback, self.is_certain = place, True
        return None

    def _before(self, data: bytes, place: int) -> bytes:
        """The two last significant bytes before `place`."""
        last = _significant(data, place, self._floor)
        if last < 0:
            return self._last_two
        earlier = _significant(data, last, self._floor)
        if earlier < 0:
            return self._last_two[1:] + data[last : last + 1]
        return data[earlier : earlier + 1] + data[last : last + 1]

    def _neighbour(self, place: int) -> Neighbour:
        if self._look is None or self._tries >= _TRIES:
            return Neighbour(False, False)
        self._tries += 1
        return self._look(place)


def _style(text: bytes, indent: int) -> _Style:
    """The layout of a record, told by its beginning."""
    if text[:1] not in (b"{", b"["):
        return _Style.OTHER
    inner = text[1:]
    space = inner[: len(inner) - len(inner.lstrip(WHITE))]
    if b"\n" not in space:
        return _Style.LINE
    deeper = _indent(space[space.rindex(b"\n") :]) > indent
    return _Style.INDENTED if deeper else _Style.OTHER


def _indent(space: bytes) -> int:
    """The indentation of a line that begins with this white space."""
    return space.count(b" ") + space.count(b"\t")


def _significant(data: bytes, place: int, floor: int) -> int:
    """Where the last byte before `place` is that is no white space; -1: nowhere."""
    back = _LOOK_BACK_BYTES
    while True:
        low = max(floor, place - back)
        text = data[low:place].rstrip(WHITE)
        if text or low == floor:
            return low + len(text) - 1 if text else -1
        back *= 8
