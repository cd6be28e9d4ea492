"""Where garbage ends: text between records that begins like no JSON value.

It ends where an event begins on its line, outside strings and brackets, or right after a `}`. Else
it ends with its line, or with the last of the indented lines that follow: the rest of a
pretty-printed record that was cut off looks like that.
"""

import itertools
import re

from pipeline.framing.damage import TOUCHING
from pipeline.framing.values import is_quote
from pipeline.framing.view import LINE_START, View, end_of, indent, last_significant

_OBJECT = re.compile(rb'\{[ \t\r\n]*"')
_TOUCHING = re.compile(TOUCHING)
_TOKEN = re.compile(rb'[{}\[\]":]|\\+"?')
_IN_STRING = re.compile(rb'["\n]|\\+"?')
_TRIES = 20  # bounds how many objects are parsed for one line


def event_in(view: View, start: int, end: int, in_array: bool) -> int:
    """Returns where an event begins in a line of garbage; 0 if none does.

    Args:
        view: What is in view.
        start: Where the garbage begins.
        end: Where its line ends.
        in_array: Whether it is an element of an array of events.
    """
    data = view.data
    if not _OBJECT.search(data, start, end + 1):
        return 0
    objects = itertools.islice(_TOUCHING.finditer(data, start, end), _TRIES)
    places = (found.end() - 1 for found in objects)
    touching = next((place for place in places if view.neighbour(place).is_event), 0)
    return _event_outside_brackets(view, start, touching or end, in_array) or touching


def _event_outside_brackets(view: View, start: int, end: int, in_array: bool) -> int:
    """Returns where an event begins outside strings and brackets, not after a colon; 0 if none."""
    depth = tries = 0
    has_colon = in_string = False
    at = start
    while at < end and tries < _TRIES:
        token = (_IN_STRING if in_string else _TOKEN).search(view.data, at, end)
        if not token:
            break
        text, place, at = token[0], token.start(), token.end()
        if text[:1] in b'"\\' or in_string:
            in_string ^= is_quote(text)
        elif text == b":":
            has_colon |= not depth
        elif text in b"]}":
            depth = max(0, depth - 1)
        else:
            if text == b"{" and not depth and place > start:
                before = view.before(place, start)[-1:]
                is_element = before == b"," and in_array and not has_colon
                if is_element or before not in (b":", b"[", b","):
                    tries += 1
                    if view.neighbour(place).is_event:
                        return place
            depth += 1
    return 0


class RestOfLines:
    """Finds the end of garbage that no event follows on its line; a `skipped.Ending`."""

    closed = False

    def __init__(self, most: int) -> None:
        """Begins with garbage; lines after it that are indented more than `most` belong to it."""
        self.last = b""
        self._most = most
        self._indent: int | None = None  # of a line of which only white space is known so far

    def find_end(self, data: bytes, start: int, end: int) -> int | None:
        """Goes through more of the file, ``data[start:end]``; returns where the garbage ends."""
        found = self._find(data, start, end)
        if found is None:
            at = last_significant(data, end, start)
            self.last = data[at : at + 1] if at >= 0 else self.last
        return found

    def _find(self, data: bytes, start: int, end: int) -> int | None:
        at = start
        while at < end:
            if self._indent is None:
                at = data.find(b"\n", at, end) + 1
                if not at:
                    return None
                self._indent = 0
            after = end_of(LINE_START, data, at, end)
            self._indent += indent(data[at:after])
            at = after
            if at < end and data[at] != ord("\n") and self._indent <= self._most:
                return at
            if at < end:
                self._indent = None
        return None
