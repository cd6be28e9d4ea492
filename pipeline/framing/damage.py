"""The rules for where a damaged record ends: reading goes on at a place that is not inside it.

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

Where this leaves a choice, the rules lose a good neighbour in the reject rather than invent an
event.
"""

import enum

from pipeline.framing.borders import WHITE
from pipeline.framing.structure import OPENING, PAIRS
from pipeline.framing.view import NO_EVENT, Line, Neighbour, View, indent, last_significant

# One object ends, and another begins on the same line without a comma between them.
TOUCHING = rb'\}[ \t\r]*\{(?=[ \t\r]*")'

# Deeper nesting counts as out of order: each open bracket takes a byte of memory.
LEVELS = 1 << 20

_CONTINUED = b",[:"  # a value must follow
_TRIES = 20  # bounds how many neighbours are parsed for one damaged record


class _Layout(enum.Enum):
    """How a record is laid out, as its beginning shows.

    Attributes:
        LINE: Its first member stands on the same line as its bracket.
        INDENTED: All lines inside it begin further to the right than the record.
        FLAT: All lines inside it begin as far left as the record.
        OTHER: Nothing is known; the record's bracket is lost.
    """

    LINE = enum.auto()
    INDENTED = enum.auto()
    FLAT = enum.auto()
    OTHER = enum.auto()


class Rules:
    """The rules, and what they have to know of one damaged record.

    The text comes in chunks. All places are offsets in the data of the current one.

    Attributes:
        start: Where the current chunk begins.
        open: The brackets that are open, the innermost last; correct while all is in order.
        in_order: Whether strings and brackets are in order so far.
        closed: Whether the record ended by rule 2.
        likely_end: Where in this chunk it ends if its brackets do not close in order, or 0.
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
        self._last_two = b"  "  # bytes before this chunk that are no white space
        self._tries = 0

    def begin_chunk(self, data: bytes, start: int, view: View | None, may_guess: bool) -> None:
        """Takes the next chunk, which begins at ``data[start]``.

        Args:
            data: The text.
            start: Where the chunk begins.
            view: Tells what begins at a place. Without it, a record cannot end by rule 4, and it
                has no likely ends.
            may_guess: Whether the record may have a likely end.
        """
        self._data, self.start, self._view, self._may_guess = data, start, view, may_guess
        self.likely_end = 0

    def end_chunk(self, end: int) -> None:
        """Keeps what the next chunk needs, and lets go of the text."""
        self._last_two = self._before(end)
        self._data, self._view = b"", None

    @property
    def last(self) -> bytes:
        """The last byte of the earlier chunks that is no white space."""
        return self._last_two[1:]

    @property
    def looks_for_events(self) -> bool:
        """Whether rule 4 can still apply."""
        return self._view is not None and not self._has_lines

    def may_end_at_line(self, line_indent: int) -> bool:
        """Tells whether rules 1 and 3 can apply to a line with this indentation."""
        return line_indent <= self._line.indent

    def note_lines(self, has_list: bool) -> None:
        """Notes that the record has line breaks, and whether a line ends with "["."""
        self._has_lines = True
        self._has_lists |= has_list

    def note_line_break(self, place: int) -> None:
        """Notes a line break."""
        self.note_lines(self._has_lists or self._before(place)[1:] == b"[")

    def closes(self, bracket: int) -> bool:
        """Rule 2: tells whether the record ends with this bracket, which is outside strings."""
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
        """Rules 1 and 3: tells whether the record ends at `place`, where a line begins with "{"."""
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
        """Tells whether an object begins like this record: its bracket ends the line, or not."""
        if self._layout is not _Layout.INDENTED or self._view is None:
            return True
        after = self._data[place + 1 : place + 3].lstrip(b"\r")
        return not after or after.startswith(b"\n")

    def _ends_at_event_on_line(self, place: int, is_likely: bool, is_first: bool) -> bool:
        """Rule 3, for an event at a place where an inner object may stand.

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

        After an inner object come others, or brackets close. So outside an array of events, a
        border decides. In an array, the record ends there if the array ends next: see `is_over`.
        """
        if self.likely_end:
            return False
        neighbour = self._neighbour(place)
        if self._in_array and neighbour.is_event and self.in_order and self._may_guess:
            self.likely_end = place
        return not self._in_array and neighbour.is_event and neighbour.before_border

    def is_over(self, place: int, end: int) -> bool:
        """Tells whether the record ends at its likely end, now that its order is broken.

        A flat record does if a "]" at `place` ends the array of events. If something else follows,
        inner objects seem to lie at the likely end, so that is forgotten.

        Args:
            place: Where the order is broken.
            end: Where the chunk ends.
        """
        if not self.likely_end or self._layout is not _Layout.FLAT:
            return self.likely_end > 0
        is_list_end = self._data[place : place + 1] == b"]"
        following = self._data[place + 1 : end].lstrip(WHITE)[:1] if is_list_end else b"?"
        if following and following not in OPENING:
            self.likely_end = 0
        return following != b"" and following in OPENING

    def ends_at_event(self, place: int, in_string: bool = False) -> bool:
        """Rule 4: tells whether the record ends at `place`, where an object begins on its line.

        Args:
            place: Where the object begins.
            in_string: Whether that seems to be inside a string: a quotation mark is lost then.
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
        """Returns the last two bytes before `place` that are no white space."""
        last = last_significant(self._data, place, self.start)
        if last < 0:
            return self._last_two
        earlier = last_significant(self._data, last, self.start)
        first = self._last_two[1:] if earlier < 0 else self._data[earlier : earlier + 1]
        return first + self._data[last : last + 1]

    def _neighbour(self, place: int) -> Neighbour:
        """Returns what begins at `place`, but "no event" after this was asked `_TRIES` times."""
        if self._view is None or self._tries >= _TRIES:
            return NO_EVENT
        self._tries += 1
        return self._view.neighbour(place)


def _layout(beginning: bytes, line_indent: int) -> _Layout:
    """Returns the layout of a record, from its beginning and the indentation of its line."""
    if beginning[:1] not in (b"{", b"["):  # it begins with a quotation mark, its bracket is lost
        return _Layout.OTHER
    last_line = beginning.rfind(b"\n")
    if last_line < 0:
        return _Layout.LINE
    deeper = indent(beginning[last_line:]) > line_indent
    return _Layout.INDENTED if deeper else _Layout.FLAT
