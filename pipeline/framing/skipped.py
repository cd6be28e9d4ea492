"""Records that are too large to be kept.

Of such a record, only a preview, its length, and the search for its end are kept from part to part.
"""

import copy
from typing import NamedTuple, Protocol

from pipeline.framing.borders import WHITE

# How many bytes from the beginning of such a record are kept.
PREVIEW_BYTES = 1024


class Ending(Protocol):
    """The search for the end of a record, in one chunk of text after another."""

    @property
    def closed(self) -> bool:
        """Whether the record ended where its brackets close, in order."""

    @property
    def last(self) -> bytes:
        """The last byte of the record so far that is no white space."""

    def find_end(self, data: bytes, start: int, end: int) -> int | None:
        """Goes through the next chunk, ``data[start:end]``; returns where the record ends in it.

        None if it does not end there.
        """


class Skipped(NamedTuple):
    """A record that is too large to be kept.

    Attributes:
        length: How many bytes of it were read so far.
        significant: The same, without white space and commas at the end.
        preview: How it begins.
        ending: The search for its end.
    """

    length: int
    significant: int
    preview: bytes
    ending: Ending

    def go_on(self, data: bytes, start: int, in_array: bool) -> "tuple[Skipped, int | None]":
        """Returns the record with more of its bytes, and where it ends; None if it does not.

        Args:
            data: The next bytes of the file.
            start: Where in them the record goes on.
            in_array: Whether the record is an element of an array of events.
        """
        ending = copy.deepcopy(self.ending)  # a part may be read twice
        end = ending.find_end(data, start, len(data))
        text = data[start:end]
        kept = without_separators(text, in_array)
        significant = self.length + len(kept) if kept else self.significant
        return Skipped(self.length + len(text), significant, self.preview, ending), end


def begin(data: bytes, start: int, stop: int, in_array: bool, ending: Ending) -> Skipped:
    """Makes a `Skipped` of the record at `start`; `ending` knows its bytes before `stop`."""
    kept = without_separators(data[start:stop], in_array)
    return Skipped(stop - start, len(kept), data[start : min(stop, start + PREVIEW_BYTES)], ending)


def without_separators(text: bytes, in_array: bool) -> bytes:
    """Returns the text of a damaged record, without white space and commas at its end.

    Outside an array of events, a comma at its end belongs to it.
    """
    return text.rstrip(WHITE + b"," if in_array else WHITE)
