"""Goes through a damaged record's text, and asks the rules of `damage` where they may apply.

The text comes in chunks, of any size: the end of the record does not depend on how it is cut.
Only the brackets that are open are remembered, so that a record of any size takes no more memory
than a small one. Long text without a place that matters is passed in one go.
"""

import re

from pipeline.framing import structure
from pipeline.framing.borders import MARK, WHITE
from pipeline.framing.damage import LEVELS, TOUCHING, Rules
from pipeline.framing.values import is_quote
from pipeline.framing.view import LINE_START, Line, View, end_of, indent

_TOKEN = re.compile(rb'"[^"\\\n]*"|[{}\[\]]|\\+"?|"|\n[ \t\r\xef\xbb\xbf]*')
_IN_STRING = re.compile(rb'["\n]|\\+"?')
_OUT_OF_ORDER = re.compile(rb"\n[ \t\r\xef\xbb\xbf]*|" + TOUCHING)
_LINE_OF_OBJECT = re.compile(rb"\n[ \t\r\xef\xbb\xbf]*\{")
_MAY_TOUCH = re.compile(rb"\}[ \t\r]*\{")
_LIST_BEGINS = re.compile(rb"\[[ \t\r]*\n")
_SLASHES = re.compile(rb"\\*")
_QUOTE, _SLASH, _BRACE, _LINE_BREAK = b'"\\{\n'
# How many bytes are read token by token before `structure` is used: most records end within them.
_SLOW_BYTES = 16 << 10
# How many bytes `structure` looks at in one call. If the record might end there, they are read
# token by token, too.
_QUICK_BYTES = 256 << 10
_LOOK_BACK_BYTES = 64


class Damaged:
    """Finds the end of a damaged record; a `skipped.Ending`.

    Attributes:
        rules: The rules, and what they know of the record.
    """

    def __init__(self, beginning: bytes, opened: bytes, line: Line, in_array: bool) -> None:
        """Begins with a record; see `Rules`."""
        self.rules = Rules(beginning, opened, line, in_array)
        self._in_string = False
        self._escaped = False  # whether a backslash before this chunk escapes its first byte
        self._line_indent: int | None = None  # of a line of which only white space is known

    @property
    def closed(self) -> bool:
        """Whether the record ended where its brackets close, in order."""
        return self.rules.closed

    @property
    def last(self) -> bytes:
        """The last byte so far that is no white space."""
        return self.rules.last

    def find_end(
        self,
        data: bytes,
        start: int,
        end: int,
        view: View | None = None,
        may_guess: bool = True,
    ) -> int | None:
        """Goes through the next chunk of the record.

        Args:
            data: The text.
            start: Where the chunk begins.
            end: Where it ends.
            view: See `Rules.begin_chunk`.
            may_guess: See `Rules.begin_chunk`.

        Returns:
            Where the record ends in this chunk; None if it does not.
        """
        self.rules.begin_chunk(data, start, view, may_guess)
        found = self._find(data, start, end)
        self.rules.end_chunk(end if found is None else start)
        return found

    def _find(self, data: bytes, start: int, end: int) -> int | None:
        rules, at = self.rules, start
        if self._line_indent is not None:
            at = end_of(LINE_START, data, start, end)
            if self._ends_at_line(data, start, at, end):
                return at
        if self._escaped:
            at = self._past_escaped(data, start, end)
        slow_to = at + _SLOW_BYTES
        while at < end:
            if not rules.in_order:
                is_over = rules.is_over(at, end)
                return rules.likely_end if is_over else self._find_out_of_order(data, at, end)
            quick_to = min(end, at + _QUICK_BYTES)
            if at >= slow_to:
                if self._pass_quickly(data, at, quick_to):
                    at = quick_to
                    continue
                slow_to = quick_to
            at, found = self._pass_tokens(data, start, at, min(slow_to, end), end)
            if found is not None:
                return found
        return None

    def _past_escaped(self, data: bytes, start: int, end: int) -> int:
        """Returns the end of what a backslash before this chunk escapes, backslashes included."""
        at = end_of(_SLASHES, data, start, end)
        is_escaped = (at - start) % 2 == 0
        self._escaped = is_escaped and at == end
        return at + (is_escaped and at < end and data[at] == _QUOTE)

    def _pass_quickly(self, data: bytes, at: int, end: int) -> bool:
        """Passes ``data[at:end]`` in one go; returns False if the record might end there."""
        rules = self.rules
        first_line = data.find(b"\n", at, end)
        has_lines = first_line >= 0
        # At either end there may be a line that is only in part within this text.
        if data[at] in WHITE or data[end - 1] in WHITE + MARK:
            return False
        if has_lines:
            lines = _LINE_OF_OBJECT.finditer(data, at, end)
            if any(rules.may_end_at_line(indent(line[0])) for line in lines):
                return False
        if rules.looks_for_events:
            back = max(at - _LOOK_BACK_BYTES, rules.start)
            if _MAY_TOUCH.search(data, back, first_line if has_lines else end + 1):
                return False
        found = structure.look(memoryview(data)[at:end], self._in_string)
        if not found.is_ordered or found.escaped:
            return False
        opened = structure.after(bytes(rules.open), found.brackets)
        if opened is None or len(opened) > LEVELS:
            return False
        rules.open, self._in_string = bytearray(opened), found.in_string
        if has_lines:
            rules.note_lines(_LIST_BEGINS.search(data, at, end) is not None)
        return True

    def _pass_tokens(
        self, data: bytes, start: int, at: int, stop: int, end: int
    ) -> tuple[int, int | None]:
        """Passes text that is in order so far, token by token: strings, brackets, line breaks.

        Args:
            data: The text.
            start: Where the chunk begins.
            at: Where the text begins.
            stop: How far to go.
            end: Where the chunk ends.

        Returns:
            How far it came: to `stop`, or to where the order is broken. And where the record ends;
            None if it does not.
        """
        rules = self.rules
        while at < stop:
            token = (_IN_STRING if self._in_string else _TOKEN).search(data, at, end)
            if not token:
                return end, None
            place, at = token.span()
            first = data[place]
            if first in (_QUOTE, _SLASH):
                if at - place == 1 or first == _SLASH:  # else it is a whole string
                    self._in_string ^= is_quote(token[0])
                if at == end and first == _SLASH:
                    self._escaped = data[at - 1] == _SLASH and (at - place) % 2 == 1
                # What seems to be a string that ends with "{" may be the beginning of an event.
                is_object = data[at - 2] == _BRACE and first == _QUOTE and at - 2 >= start
                is_object = is_object and not self._in_string
                if is_object and rules.ends_at_event(at - 2, in_string=True):
                    return at, at - 2
            elif self._in_string:  # a line break
                rules.in_order = False
                return place, None
            elif first == _LINE_BREAK:
                rules.note_line_break(place)
                if self._ends_at_line(data, place, at, end):
                    return at, at
            else:
                is_beside = first == _BRACE and place > start and data[place - 1] in b"} \t\r"
                is_end = is_beside and rules.ends_at_event(place)
                if rules.closes(first):
                    return at, at
                if not rules.in_order:
                    return place, None
                if is_end:
                    return at, place
        return at, None

    def _find_out_of_order(self, data: bytes, at: int, end: int) -> int | None:
        """Returns where the record ends in text out of order, where only lines and events count.

        None if it does not end there.
        """
        for token in _OUT_OF_ORDER.finditer(data, at, end):
            place, after = token.span()
            if data[place] == _LINE_BREAK:
                self.rules.note_line_break(place)
                if self._ends_at_line(data, place, after, end):
                    return after
            elif self.rules.ends_at_event(after - 1):
                return after - 1
        return None

    def _ends_at_line(self, data: bytes, place: int, at: int, end: int) -> bool:
        """Tells whether the record ends at `at`, where the white space of a line ends.

        Args:
            data: The text.
            place: Where the white space begins in this chunk.
            at: Where it ends.
            end: Where the chunk ends.
        """
        line_indent = (self._line_indent or 0) + indent(data[place:at])
        if at == end:
            self._line_indent = line_indent  # there may be more of it
            return False
        self._line_indent = None
        return data[at] == _BRACE and self.rules.ends_at_line(at, line_indent)
