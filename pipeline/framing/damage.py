"""Where a damaged record ends, so that reading goes on at a place that cannot lie inside it.

A record is damaged if it is not one well-formed JSON value, or if it is larger than any record may
be. The rules look at its strings, brackets and lines only. The first one that applies counts:

1. *Border.* It always ends at a line that begins with `{`, not indented, if a `}` stands before it
   (see `borders`).
2. *Brackets.* It ends where its brackets close, if strings and brackets are in order up to there:
   types of brackets match, and no line break lies inside a string. So a bad token, escape or byte
   costs one record, in any framing.
3. *Line.* It ends at a line that begins with `{`, indented no more than the record's own line, if
   no inner object can stand there: the last character before is none of `,` `[` `:`, or it is a
   comma within an object, or the layout shows that inner objects begin elsewhere (see `_Layout`).
   In a record whose lines are not indented, an inner object may stand there, too, after a bad
   token: what follows it decides.
4. *Event.* In text without line breaks, it ends where an event follows a `}` without a comma.
5. *Input.* Else it ends with the file.

An inner object may stand at some places that look like the end by rules 3 and 4. The first of them
is a *likely end*: the record ends there if its brackets turn out not to close in order.

Where this leaves a choice, a good neighbour is rather lost, in the reject, than an event invented.
"""

import enum

from pipeline.framing.borders import WHITE
from pipeline.framing.structure import OPENING, PAIRS
from pipeline.framing.view import NO_EVENT, Line, Neighbour, View, indent, last_significant

TOUCHING = rb'\}[ \t\r]*\{(?=[ \t\r]*")'
"""A pattern: one object ends, and another begins on the same line without a comma between them."""

LEVELS = 1 << 20
"""Deeper nesting counts as out of order: the types of its brackets would have to be remembered."""

_CONTINUED = b",[:"  # a value must follow
_TRIES = 20  # bounds how many neighbours are parsed for one damaged record


class _Layout(enum.Enum):
    """How a record is laid out, as its beginning shows.

    Inside an `INDENTED` record, all lines begin further to the right than the record. A record that
    is one `LINE` has its first member on the same line as its bracket. Inside a `FLAT` one, which
    has more lines, all begin as far left as the record. Of a record whose bracket is lost, as of
    any `OTHER`, nothing is known.
    """

    LINE = enum.auto()
    INDENTED = enum.auto()
    FLAT = enum.auto()
    OTHER = enum.auto()


class Rules:
    """The rules, and what they have to know of one damaged record.

    The text comes in stretches. All places are offsets in the data of the present one.

    Attributes:
        start: Where the present stretch begins.
        open: The brackets that are open, the innermost last; right as long as all is in order.
        in_order: Whether strings and brackets are in order so far.
        closed: Whether the record ended by rule 2.
        likely_end: Where in this stretch it ends if its brackets do not close in order, or 0.
        is_certain: Whether no inner object of a well-formed record can stand at the likely end.
    """

    def __init__(self, beginning: bytes, opened: bytes, line: Line, in_array: bool) -> None:
        """Begins with a record.

        Args:
            beginning: Its first byte, and the white space after that.
            opened: Brackets that are lost before it.
            line: Where it begins.
            in_array: Whether it is an element of an array of events.
        """
        self.open = bytearray(opened)
        self.in_order = True
        self.closed = False
        self.likely_end = 0
        self.is_certain = False
        self._layout = _layout(beginning, line.indent)
        self._line = line
        self._in_array = in_array
        self._has_lines = False
        self._has_lists = False  # whether a line of it ends with "["
        self._has_objects = False  # whether a line of it begins with "{", as far left as itself
        self._last_two = b"  "  # significant bytes before this stretch
        self._tries = 0

    def begin_stretch(self, data: bytes, start: int, view: View | None, may_guess: bool) -> None:
        """Goes on with the stretch of text that begins at ``data[start]``.

        Args:
            data: The text.
            start: Where the stretch begins.
            view: Tells what begins at a place. Without it, a record cannot end by rule 4, and it
                has no likely ends.
            may_guess: Whether there are likely ends.
        """
        self._data, self.start, self._view, self._may_guess = data, start, view, may_guess
        self.likely_end = 0

    def end_stretch(self, end: int) -> None:
        """Keeps what the next stretch needs, and lets go of the text."""
        self._last_two = self._before(end)
        self._data, self._view = b"", None

    @property
    def last(self) -> bytes:
        """The last significant byte of the stretches before."""
        return self._last_two[1:]

    @property
    def looks_for_events(self) -> bool:
        """Whether rule 4 is in force."""
        return self._view is not None and not self._has_lines

    def may_end_at_line(self, line_indent: int) -> bool:
        """Whether rules 1 and 3 ask about a line with this indentation."""
        return line_indent <= self._line.indent

    def note_lines(self, has_list: bool) -> None:
        """Notes that the record has line breaks, and whether a line ends with "["."""
        self._has_lines = True
        self._has_lists |= has_list

    def note_line_break(self, place: int) -> None:
        """Notes a line break."""
        self.note_lines(self._has_lists or self._before(place)[1:] == b"[")

    def closes(self, bracket: int) -> bool:
        """Rule 2: whether the record ends with this bracket, which is outside strings."""
        if bracket in OPENING:
            self.open.append(bracket)
            self.in_order = len(self.open) <= LEVELS
        elif not self.open or PAIRS[self.open[-1]] != bracket:
            self.in_order = False
        else:
            self.open.pop()
            self.closed = not self.open
        return self.closed

    def ends_at_line(self, place: int, line_indent: int) -> bool:
        """Rules 1 and 3: whether the record ends at `place`, where a line begins with "{"."""
        if not self.may_end_at_line(line_indent):
            return False
        is_first, self._has_objects = not self._has_objects, True
        last_two = self._before(place)
        before = last_two[1:]
        if before == b"}" and not line_indent:
            return True  # rule 1
        if before != b"}" and not self._begins_alike(place):
            return False
        is_flat = self._layout is _Layout.FLAT
        if before not in _CONTINUED:
            return not is_flat or self._ends_flat(place)
        is_comma = before == b","
        is_indented = self._layout is _Layout.INDENTED
        is_alike = line_indent == self._line.indent and not self._line.begun
        is_line = is_alike and self._layout is _Layout.LINE
        is_next = is_line and is_comma and not self._has_lists
        if self.in_order:
            if is_comma and (self.open[-1:] == b"{" or last_two[0] in _CONTINUED):
                is_inner = len(self.open) > 1 or not self._in_array
                return not (is_flat and is_inner) or self._ends_flat(place)
        elif is_next or is_indented:
            return True
        is_likely = is_indented or (is_next and self._in_array) or (is_line and before == b":")
        return self._ends_at_event_on_line(place, is_likely, is_alike and is_first)

    def _begins_alike(self, place: int) -> bool:
        """Whether an object's bracket ends its line, if this record's does."""
        if self._layout is not _Layout.INDENTED or self._view is None:
            return True
        after = self._data[place + 1 : place + 3].lstrip(b"\r")
        return not after or after.startswith(b"\n")

    def _ends_at_event_on_line(self, place: int, is_likely: bool, is_first: bool) -> bool:
        """Rule 3 for an event where an inner object may stand.

        Args:
            place: Where a line begins with an object.
            is_likely: Whether that is a likely end.
            is_first: Whether it is the first line that begins exactly like the record's own.
        """
        if self.likely_end or not (is_likely or is_first):
            return False
        neighbour = self._neighbour(place)
        if is_first and neighbour.before_border:
            return True  # one good record between this one and a border
        if is_likely and neighbour.is_event and self._may_guess:
            self.likely_end = place
        return False

    def _ends_flat(self, place: int) -> bool:
        """Rule 3 for a flat record, at a line of an object where a token before it is bad.

        After an inner object come others, or brackets close; so outside an array of events a border
        tells. In one, it may be that the array ends: see `is_over`.
        """
        if self.likely_end:
            return False
        neighbour = self._neighbour(place)
        if self._in_array and neighbour.is_event and self.in_order and self._may_guess:
            self.likely_end = place
        return not self._in_array and neighbour.is_event and neighbour.before_border

    def is_over(self, place: int, end: int) -> bool:
        """Whether the record ends at its likely end, where its order is broken at `place`.

        For a flat record that is so if a "]" at `place` ends the array of events. If something else
        follows, inner objects seem to lie at the likely end, so it is forgotten.

        Args:
            place: Where the order is broken.
            end: Where the stretch ends.
        """
        if not self.likely_end or self._layout is not _Layout.FLAT:
            return self.likely_end > 0
        is_list_end = self._data[place : place + 1] == b"]"
        following = self._data[place + 1 : end].lstrip(WHITE)[:1] if is_list_end else b"?"
        if following and following not in OPENING:
            self.likely_end = 0
        return following != b"" and following in OPENING

    def ends_at_event(self, place: int, in_string: bool = False) -> bool:
        """Rule 4: whether the record ends at `place`, where an object begins on the same line.

        Args:
            place: Where the object begins.
            in_string: Whether that seems to be in a string; then a quotation mark is lost.
        """
        if not self.looks_for_events or self._tries >= _TRIES:
            return False
        at = last_significant(self._data, place, self.start)
        if at < 0 or self._data[at : at + 1] != b"}" or self._before(at)[1] in _CONTINUED:
            return False
        if not self._neighbour(place).is_event:
            return False
        if in_string or not self.in_order or self.open[-1:] != b"[":
            return True
        if self._may_guess and not self.likely_end:  # it may be that only a comma is lost
            self.likely_end, self.is_certain = place, True
        return False

    def _before(self, place: int) -> bytes:
        """The two last significant bytes before `place`."""
        last = last_significant(self._data, place, self.start)
        if last < 0:
            return self._last_two
        earlier = last_significant(self._data, last, self.start)
        first = self._last_two[1:] if earlier < 0 else self._data[earlier : earlier + 1]
        return first + self._data[last : last + 1]

    def _neighbour(self, place: int) -> Neighbour:
        """What begins at `place`, as long as that was not asked too often."""
        if self._view is None or self._tries >= _TRIES:
            return NO_EVENT
        self._tries += 1
        return self._view.neighbour(place)


def _layout(beginning: bytes, line_indent: int) -> _Layout:
    """The layout of a record, told by its beginning, and by the indentation of its line."""
    if beginning[:1] not in (b"{", b"["):  # but a quotation mark: a bracket is lost before it
        return _Layout.OTHER
    last_line = beginning.rfind(b"\n")
    if last_line < 0:
        return _Layout.LINE
    deeper = indent(beginning[last_line:]) > line_indent
    return _Layout.INDENTED if deeper else _Layout.FLAT
