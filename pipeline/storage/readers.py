"""Remote files opened for reading: at any place, or a range from its beginning to its end.

Both fetch exactly what they are asked for (a small read fetches `_LEAST_BYTES`, for the next one).
Whoever reads a range in order waits only for its first bytes: the next ones are fetched meanwhile.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from pipeline.storage.ranges import REQUEST_BYTES, threads

# The end of a file is fetched as soon as its size is asked for: that is where Parquet has its
# footer, and a small file is all of it. At 50 MB/s it takes a third of a request's latency.
_TAIL_BYTES = 512 << 10
# Less is not worth a request.
_LEAST_BYTES = 64 << 10
# What is fetched before a range's reader asks for it: two requests, while a third is decoded.
_AHEAD_BYTES = 2 * REQUEST_BYTES


class Source(NamedTuple):
    """Where a reader gets the bytes of a file from.

    Attributes:
        fetch: Reads bytes of the file: where they begin, and how many there are.
        look: As `fetch`, but returns the file's size, too; what begins at -n is its last n bytes.
    """

    fetch: Callable[[int, int], bytes]
    look: Callable[[int, int], tuple[bytes, int]]


class _Reader(io.BufferedIOBase):
    """What both readers have in common: a place in the file."""

    def __init__(self, place: int) -> None:
        self._place = place

    def readable(self) -> bool:
        """Tells that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tells that any place can be read next."""
        return True

    def tell(self) -> int:
        """Returns the place in the file that is read next."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Sets the place in the file that is read next."""
        bases = {os.SEEK_SET: lambda: 0, os.SEEK_CUR: self.tell, os.SEEK_END: self._end}
        self._place = max(0, bases[whence]() + offset)
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns the next `size` bytes; fewer at the file's end, all that are left if negative."""
        if self.closed:
            raise ValueError("read of a closed file")
        wanted = max(0, self._end() - self._place) if size is None or size < 0 else size
        data = self._bytes(self._place, wanted)
        self._place += len(data)
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """Returns what `read` does."""
        return self.read(size)

    def _end(self) -> int:
        """The file's size."""
        raise NotImplementedError

    def _bytes(self, start: int, size: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        raise NotImplementedError


class FileReader(_Reader):
    """Reads a file at any place; its size need not be known."""

    def __init__(self, source: Source) -> None:
        super().__init__(0)
        self._source = source
        self._size: int | None = None
        self._last = 0, b""  # what was fetched last, and where it begins
        self._tail = b""

    def _end(self) -> int:
        if self._size is None:
            self._tail, self._size = self._source.look(-_TAIL_BYTES, _TAIL_BYTES)
        return self._size

    def peek(self, size: int = 0, /) -> bytes:
        """Returns some of the next bytes, and stays where it is.

        `readline` peeks before each line: what is here is given first, and nothing is fetched.
        """
        first, data = self._last
        if first <= self._place < first + len(data):
            return data[self._place - first :][:_LEAST_BYTES]
        return self._bytes(self._place, _LEAST_BYTES)

    def _bytes(self, start: int, size: int) -> bytes:
        if self._size is not None:
            size = max(0, min(size, self._size - start))
        first, data = self._last
        if first <= start and start + size <= first + len(data):
            return data[start - first :][:size]
        if self._size is None:
            data, self._size = self._source.look(start, max(size, _LEAST_BYTES))
            self._last = start, data
            return data[:size]
        end, border = start + size, self._size - len(self._tail)
        if start >= border:
            return self._tail[start - border :][:size]
        # As much as is not here already.
        until = min(max(end, start + _LEAST_BYTES), border)
        data = self._source.fetch(start, until - start)
        self._last = start, data
        return data[:size] if end <= until else data + self._tail[: end - until]


class RangeReader(_Reader):
    """Reads a range of a file, in order; another place than the next one is a new beginning."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        super().__init__(start)
        self._source = source
        self._size = end
        self._ahead = deque[tuple[int, int, Future[bytes]]]()  # where each begins and ends

    def begin(self) -> int:
        """Starts fetching the range's first bytes; returns how many."""
        self._fetch(self._place, self._place + 1)
        return sum(last - first for first, last, _ in self._ahead)

    def close(self) -> None:
        """Gives up what was fetched ahead."""
        self._forget()
        super().close()

    def _end(self) -> int:
        return self._size

    def _bytes(self, start: int, size: int) -> bytes:
        end = min(start + size, self._size)
        if start >= end:
            return b""
        if not (self._ahead and self._ahead[0][0] <= start <= self._ahead[-1][1]):
            self._forget()
        self._fetch(start, end + _AHEAD_BYTES)
        found = []
        while self._ahead and self._ahead[0][0] < end:
            first, last, piece = self._ahead[0]
            data = piece.result()
            if first + len(data) < last:  # the file is shorter than it was
                self._size = end = last = first + len(data)
            found.append(data[max(0, start - first) : end - first])
            if last > end:
                break
            self._ahead.popleft()
        return found[0] if len(found) == 1 else b"".join(found)

    def _fetch(self, start: int, end: int) -> None:
        """Starts whole requests until `end` is reached, in addition to those that are under way."""
        begun = self._ahead[-1][1] if self._ahead else start
        while begun < min(end, self._size):
            last = min(begun + REQUEST_BYTES, self._size)
            piece = threads().submit(self._source.fetch, begun, last - begun)
            self._ahead.append((begun, last, piece))
            begun = last

    def _forget(self) -> None:
        while self._ahead:
            self._ahead.pop()[2].cancel()
