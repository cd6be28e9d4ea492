"""Records that are too large to be kept: their ends are looked for while their bytes are let go.

Of such a record only a preview, its length and what finds its end are kept from part to part.
"""

import copy
from typing import NamedTuple, Protocol

from pipeline.framing.borders import WHITE

# How many bytes of a record that is too large to be kept are kept.
PREVIEW_BYTES = 1024


class Ending(Protocol):
    """Looks for the end of a record, in one stretch of text after another."""

    @property
    def closed(self) -> bool:
        """Whether the record ended where its brackets close, in order."""

    @property
    def last(self) -> bytes:
        """The last significant byte of the record so far."""

    def find_end(self, data: bytes, start: int, end: int) -> int | None:
        """Goes on through ``data[start:end]``, and gives where the record ends, if it does."""


class Skipped(NamedTuple):
    """A record that is too large to be kept.

    Attributes:
        length: Its bytes so far.
        significant: Its bytes so far, without what stands between records at their end.
        preview: How it begins.
        ending: What finds its end.
    """

    length: int
    significant: int
    preview: bytes
    ending: Ending

    def go_on(self, data: bytes, start: int, in_array: bool) -> "tuple[Skipped, int | None]":
        """The record with more of its bytes, and where in them it ends, if it does.

        Args:
            data: A part of the file.
            start: Where in it the record goes on.
            in_array: Whether the record is an element of an array of events.
        """
        ending = copy.deepcopy(self.ending)  # a part may be read twice
        end = ending.find_end(data, start, len(data))
        text = data[start:end]
        kept = without_separators(text, in_array)
        significant = self.length + len(kept) if kept else self.significant
        return Skipped(self.length + len(text), significant, self.preview, ending), end


def begin(data: bytes, start: int, stop: int, in_array: bool, ending: Ending) -> Skipped:
    """The record at `start`, of which `ending` has seen the bytes before `stop`."""
    kept = without_separators(data[start:stop], in_array)
    return Skipped(stop - start, len(kept), data[start : min(stop, start + PREVIEW_BYTES)], ending)


def without_separators(text: bytes, in_array: bool) -> bytes:
    """The text of a damaged record without what stands between records at its end."""
    return text.rstrip(WHITE + b"," if in_array else WHITE)
