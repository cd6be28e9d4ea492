"""Borders: places in a file that are certain to lie between two records.

Events arrive as JSON Lines, as objects one after another with nothing, spaces or newlines between
them, pretty-printed, or as one JSON array; a file may change from one to another midway. In all of
these, a newline cannot stand inside a JSON string, and inside an array or object a comma must stand
between two values. So `}`, white space, and `{` at the beginning of a line is always the border of
two top-level values. It is recognised without any byte before it.

Large files are cut at borders, small ones are joined there, and no damaged record reaches beyond
one.
"""

import re
from collections.abc import Iterator

WHITE = b" \t\r\n"
# A byte order mark. It may stand wherever a record may begin.
MARK = b"\xef\xbb\xbf"

BORDER = re.compile(rb"\}[ \t\r\n]*\n(?=\{)")


def cuts(window: bytes) -> Iterator[int]:
    """Yields the offsets of the borders in some bytes of a file, where it may be cut in two."""
    return (border.end() for border in BORDER.finditer(window))


def is_between_borders(file: bytes) -> bool:
    """Tells whether a file may be joined with others, with newlines between them.

    These newlines are borders then.
    """
    return file.startswith(b"{") and file.rstrip(WHITE).endswith(b"}")
