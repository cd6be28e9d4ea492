"""Where the record ends that begins at a place, good or bad.

Its first byte says what it may be. `values` finds the end of a well-formed value. What begins with
a bracket and is no value is damaged (`damage`), and so is `"name":`, a member of an object that has
lost its beginning. All else is garbage (`garbage`).
"""

import re
from typing import NamedTuple

from pipeline.framing import garbage, skipped
from pipeline.framing.damage_scan import Damaged
from pipeline.framing.skipped import Skipped
from pipeline.framing.values import scalar_end, value_end
from pipeline.framing.view import LOOK_BYTES, SPACE, View, end_of

# Larger values are left to `damage_scan`: Python's scanner, which `values` uses, builds them.
_SCAN_BYTES = 64 << 10
_LOOK_AHEAD_BYTES = 2  # how far past a place `damage` looks
# Bytes that can follow a value that is no object or array.
_AFTER_SCALAR = (b" ", b"\t", b"\r", b"\n", b",", b"]", b"\xef", b"")
_AFTER_TAIL = re.compile(rb"[ \t\r]*,?[ \t\r]*")


class End(NamedTuple):
    """Where a record ends.

    Attributes:
        at: The place.
        has_array_end: Whether the record includes the "]" of the array that it is in.
        is_likely: Whether this is only a likely end, see `damage`.
    """

    at: int
    has_array_end: bool = False
    is_likely: bool = False


def end_of_record(view: View, start: int, in_array: bool, may_guess: bool) -> End | Skipped:
    """Returns where the record at `start` ends.

    Args:
        view: What is in view of the file.
        start: Where the record begins.
        in_array: Whether it is an element of an array of events.
        may_guess: Whether a likely end may be taken.

    Returns:
        Its end. If it is too large to be kept, and its end is not in view, what is known of it.

    Raises:
        NotInViewError: The end is not in view.
    """
    data = view.data
    first = data[start : start + 1]
    if first in (b"{", b"["):
        value = value_end(data, start, _SCAN_BYTES)
        if isinstance(value, int):
            return End(value)
        return _end_of_damaged(view, start, b"", in_array, may_guess)
    scalar = scalar_end(data, start, min(len(data), start + view.limit))
    if scalar == "unfinished":
        view.need(start + view.limit < len(data))
    elif isinstance(scalar, int):
        view.need(scalar < len(data))
        if first == b'"':
            colon = view.after_space(scalar)
            if data[colon : colon + 1] == b":":
                return _end_of_tail(view, start, in_array, may_guess)
        if data[scalar : scalar + 1] in _AFTER_SCALAR:
            return End(scalar)
    return _end_of_garbage(view, start, in_array)


def _end_of_damaged(
    view: View, start: int, opened: bytes, in_array: bool, may_guess: bool
) -> End | Skipped:
    """Returns the end of a damaged record; `opened` are brackets that are lost before it."""
    data = view.data
    stop = min(len(data), start + view.limit)
    space = end_of(SPACE, data, start + 1, min(stop, start + LOOK_BYTES))
    damaged = Damaged(data[start:space], opened, view.line(start), in_array)
    end = damaged.find_end(data, start, stop, view, may_guess)
    if end is not None and damaged.closed:
        return End(end)
    view.need((stop if end is None else end) + _LOOK_AHEAD_BYTES < len(data))
    is_at_limit = end is None and stop < len(data)
    rules = damaged.rules
    if rules.likely_end and (rules.is_certain or not is_at_limit):
        return _end(view, start, rules.likely_end, in_array)._replace(is_likely=True)
    if is_at_limit:
        return skipped.begin(data, start, stop, in_array, damaged)
    return _end(view, start, stop if end is None else end, in_array)


def _end_of_tail(view: View, start: int, in_array: bool, may_guess: bool) -> End | Skipped:
    """Returns the end of what begins like a member of an object: the object's bracket is lost.

    If more than the bracket seems to be lost, all of its lines are garbage.
    """
    end = _end_of_damaged(view, start, b"{", in_array, may_guess)
    if isinstance(end, Skipped) or _seems_complete(view, start, end, in_array):
        return end
    garbage_end = _end_of_garbage(view, start, in_array)
    if isinstance(garbage_end, Skipped):
        return garbage_end
    return garbage_end._replace(is_likely=end.is_likely)


def _seems_complete(view: View, start: int, end: End, in_array: bool) -> bool:
    """Tells whether a record whose beginning is lost seems to be complete at `end`."""
    data = view.data
    in_array = in_array and not end.has_array_end
    comma = end_of(_AFTER_TAIL, data, end.at, end.at + LOOK_BYTES)
    line = view.after_space(comma)
    if line == len(data) < comma + LOOK_BYTES:
        return True
    if data[comma : comma + 1] != b"\n":
        return in_array and view.line(start).begun
    indent = len(data[data.rindex(b"\n", comma, line) + 1 : line])
    return indent <= _garbage_indent(view, start, in_array)


def _end_of_garbage(view: View, start: int, in_array: bool) -> End | Skipped:
    """Returns the end of what begins like no JSON value."""
    data = view.data
    stop = min(len(data), start + view.limit)
    line_end = data.find(b"\n", start, stop)
    place = garbage.event_in(view, start, line_end if line_end >= 0 else stop, in_array)
    if place:
        return _end(view, start, place, in_array)
    rest = garbage.RestOfLines(_garbage_indent(view, start, in_array))
    end = rest.find_end(data, start, stop)
    if end is None and stop < len(data):
        return skipped.begin(data, start, stop, in_array, rest)
    view.need(end is not None)
    return _end(view, start, stop if end is None else end, in_array)


def _garbage_indent(view: View, start: int, in_array: bool) -> int:
    """Returns an indentation: lines after garbage that are indented more belong to it."""
    return view.line(start).indent if in_array else 0


def _end(view: View, start: int, end: int, in_array: bool) -> End:
    """Returns the end of a damaged record, without white space and commas at its end."""
    text = skipped.without_separators(view.data[start:end], in_array)
    return End(start + len(text), in_array and text.endswith(b"]"))
