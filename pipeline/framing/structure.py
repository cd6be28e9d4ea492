"""Strings and brackets of JSON text of any size, in bounded memory.

This looks at quotation marks, backslashes, brackets and line breaks only, so it also works on text
that is no JSON. A backslash makes a quotation mark after it an ordinary character.

Two modules draw conclusions from the structure: `damage_scan` (where a damaged record ends) and
`records` (how deep a value is nested).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

OPENING, CLOSING = b"{[", b"}]"
PAIRS = {ord("{"): ord("}"), ord("["): ord("]")}
_IS_BRACKET = np.isin(np.arange(256), list(b"{}[]"))
_IS_OPENING = np.isin(np.arange(256), list(OPENING))
# How often `after` removes the innermost pairs of brackets. Most JSON is not nested deeper.
_REDUCTIONS = 6


class Structure(NamedTuple):
    """The structure of a text.

    Attributes:
        brackets: Its brackets outside strings, in order.
        in_string: Whether it ends inside a string.
        escaped: Whether it ends with a backslash that a quotation mark may follow.
        is_ordered: Whether no line break lies inside a string.
    """

    brackets: npt.NDArray[np.uint8]
    in_string: bool
    escaped: bool
    is_ordered: bool


def look(text: bytes | memoryview, in_string: bool = False, escaped: bool = False) -> Structure:
    """Finds the structure of a text, given the state in which the text begins."""
    codes = np.frombuffer(text, np.uint8)
    if not codes.size:
        return Structure(codes, in_string, escaped, True)
    quotes = codes == ord('"')
    slashes = np.flatnonzero(codes == ord("\\"))
    if escaped and not (slashes.size and slashes[0] == 0):
        quotes[0] = False
    ends_escaped = False
    if slashes.size:
        # Backslashes escape each other in pairs: only an odd number of them escapes what follows.
        breaks = np.flatnonzero(np.diff(slashes) > 1)
        starts = slashes[np.concatenate(([0], breaks + 1))]
        ends = slashes[np.concatenate((breaks, [slashes.size - 1]))] + 1
        lengths = ends - starts
        if escaped and starts[0] == 0:
            lengths[0] += 1
        after = ends[lengths % 2 == 1]
        ends_escaped = bool(after.size and after[-1] == codes.size)
        quotes[after[: after.size - ends_escaped]] = False
    inside = np.cumsum(quotes, dtype=np.uint8) & 1
    if in_string:
        inside ^= 1
    is_ordered = not bool((inside[codes == ord("\n")]).any())
    brackets = codes[_IS_BRACKET[codes] & (inside == 0)]
    return Structure(brackets, bool(inside[-1]), ends_escaped, is_ordered)


def after(opened: bytes, brackets: npt.NDArray[np.uint8]) -> bytes | None:
    """Returns the brackets that are open after some more, if all match and one is always open.

    Args:
        opened: The brackets that are open before, outermost first.
        brackets: The brackets that follow.

    Returns:
        The brackets that are open at the end. None if a pair does not match, if all are closed in
        between, or if the text is nested too deeply for this quick way.
    """
    depths = np.cumsum(np.where(_IS_OPENING[brackets], 1, -1))
    lowest = int(depths.min(initial=0))
    if len(opened) + lowest < 1:
        return None
    text = opened[len(opened) + lowest :] + brackets.tobytes()
    for _ in range(_REDUCTIONS):
        shorter = text.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(text):
            break
        text = shorter
    if text.translate(None, OPENING):
        return None
    return opened[: len(opened) + lowest] + text


def depth(value: bytes) -> int:
    """Returns how deep the arrays and objects of a JSON value are nested."""
    brackets = look(value).brackets
    return int(np.cumsum(np.where(_IS_OPENING[brackets], 1, -1)).max(initial=0))
