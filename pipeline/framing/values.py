"""The ends of well-formed JSON values.

Python's own scanner finds the end of an object or array. It reads the bytes as Latin-1, one
character a byte, so that its positions are byte offsets; the values that it builds are thrown away.
Scalars (strings, numbers, literals) are found with patterns.
"""

import json
import re
from typing import Literal

# Stands for an end that may lie beyond the bytes at hand.
Unfinished = Literal["unfinished"]

_SCAN = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).scan_once  # type: ignore[attr-defined]
_WINDOW_BYTES = 1024  # how much is scanned first; most events are smaller
_LONGEST_TOKEN = 16  # no literal, escape or byte order mark is longer

_QUOTE = re.compile(rb'["\n]|\\+"?')
_NUMBER_OR_LITERAL = re.compile(
    rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9a-zA-Z.+-])"
)


def is_value(record: bytes) -> bool:
    """Tells whether the bytes are exactly one JSON value (with any numbers and escapes)."""
    return value_end(record, 0, len(record)) == len(record)


def value_end(data: bytes, start: int, limit: int) -> int | Unfinished | None:
    """Returns the end of the JSON value at `start`; None if it is broken.

    It is "unfinished" if it may go on beyond the data, or has more than `limit` bytes.
    """
    window = _WINDOW_BYTES
    while True:
        # Not the whole data: for an error's message the scanner counts the lines of its text.
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
        # An error at the very end may come from a literal or an escape that is cut there.
        if not in_string and at < len(text) - _LONGEST_TOKEN:
            return None
        if whole or window == limit:
            return "unfinished"
        window *= 8


def scalar_end(data: bytes, start: int, stop: int) -> int | Unfinished | None:
    """Returns the end of the string, number or literal at `start`, if it ends before `stop`.

    Returns:
        The end; None if there is no scalar; "unfinished" if more bytes may make it one.
    """
    if data[start : start + 1] == b'"':
        for token in _QUOTE.finditer(data, start + 1, stop):
            if token[0] == b"\n":
                return None
            if is_quote(token[0]):
                return token.end()
        return "unfinished"
    found = _NUMBER_OR_LITERAL.match(data, start, stop)
    if found:
        return found.end()
    return "unfinished" if len(data) - start <= _LONGEST_TOKEN else None


def is_quote(token: bytes) -> bool:
    r"""Tells whether backslashes and a `"`, if there is one, begin or end a string.

    Backslashes escape each other in pairs, so an odd number of them makes the `"` an ordinary
    character.
    """
    return token.endswith(b'"') and len(token) % 2 == 1
