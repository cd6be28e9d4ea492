"""Parts of files, read in few requests: what is asked for is what is fetched.

A request to an object store takes about 30 ms before its first byte comes, whatever it asks for. So
parts of one file that lie side by side are one request, also with a small gap between them; large
ones are several requests; and up to `REQUESTS` of them are under way at once.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from pipeline.storage.paths import is_local

# Requests under way at once in a process. A request waits, so its thread uses no core.
REQUESTS = 16
# What one request fetches at most. It takes 0.16 s at 50 MB/s, so five sixths of the time are spent
# on bytes and not on waiting; and a request that fails is soon repeated.
REQUEST_BYTES = 8 << 20
# A gap up to which two parts are one request: what a connection of 50 MB/s brings in the 2 ms by
# which one request of 16 at a time is later than the one before.
_GAP_BYTES = 96 << 10
# All gaps together are at most this share of what is asked for.
_GAP_SHARE = 1 / 8

Fetch = Callable[[str, int, int], bytes]
"""Reads bytes of a file: by its path, where they begin, and how many there are."""


class Part(NamedTuple):
    """Some bytes of a file.

    Attributes:
        path: The file.
        offset: Where they begin.
        bytes: How many there are.
    """

    path: str
    offset: int
    bytes: int


class _Request(NamedTuple):
    """Bytes of a file that are fetched together.

    Attributes:
        path: The file.
        start: Where they begin.
        end: Where they end.
        members: The parts in it, by their numbers.
    """

    path: str
    start: int
    end: int
    members: list[int]


def combine(parts: Sequence[Part]) -> list[_Request]:
    """Returns the requests that fetch some parts, in the order of the first part of each.

    On a local disk only parts without a gap are read together.
    """
    found: list[_Request] = []
    gaps = wanted = 0
    for number in sorted(range(len(parts)), key=lambda number: parts[number]):
        path, start, size = parts[number]
        if found and path == found[-1].path:
            gap = max(0, start - found[-1].end)
            limit = 0 if is_local(path) else _GAP_BYTES
            if gap <= limit and gaps + gap <= _GAP_SHARE * (wanted + size):
                found[-1].members.append(number)
                found[-1] = found[-1]._replace(end=max(found[-1].end, start + size))
                gaps, wanted = gaps + gap, wanted + size
                continue
        found.append(_Request(path, start, start + size, [number]))
        gaps, wanted = 0, size
    return sorted(found, key=lambda request: min(request.members))


def read(parts: Sequence[Part], fetch: Fetch) -> Iterator[memoryview]:
    """Yields the bytes of each part, in the order of `parts`.

    Local files are read when their turn comes, remote ones some requests ahead.
    """
    requests = combine(parts)
    content: dict[int, memoryview] = {}
    waiting = collections.deque[tuple[_Request, list[Future[bytes]]]]()
    left = collections.deque(requests)
    for number in range(len(parts)):
        while number not in content:
            under_way = sum(len(pieces) for _, pieces in waiting)
            while left and (not waiting or under_way < REQUESTS):
                request = left.popleft()
                waiting.append((request, _begin(request, fetch)))
                under_way += len(waiting[-1][1])
            request, pieces = waiting.popleft()
            data = memoryview(_joined([piece.result() for piece in pieces]))
            for member in request.members:
                _, offset, size = parts[member]
                content[member] = data[offset - request.start :][:size]
        yield content.pop(number)


def _begin(request: _Request, fetch: Fetch) -> list[Future[bytes]]:
    """Starts fetching; what is local, or nothing, is fetched at once."""
    path, start, end, _ = request
    if is_local(path):
        done = Future[bytes]()
        done.set_result(fetch(path, start, end - start))
        return [done]
    borders = [*range(start, end, REQUEST_BYTES), end]
    return [
        threads().submit(fetch, path, start, end - start)
        for start, end in itertools.pairwise(borders)
    ]


def _joined(pieces: Sequence[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@functools.cache
def threads() -> ThreadPoolExecutor:
    """Returns the threads in which this process waits for stores."""
    return concurrent.futures.ThreadPoolExecutor(REQUESTS, "storage")
