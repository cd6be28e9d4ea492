"""What waits for a store is done many at a time; on a local disk, one after another."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pipeline.storage.paths import is_local
from pipeline.storage.ranges import REQUESTS

if TYPE_CHECKING:
    from typing_extensions import Buffer

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# What is kept in memory of files that are being written.
_PENDING_BYTES = 64 << 20


def each(
    call: Callable[[_Item], _Result],
    items: Iterable[_Item],
    place: str,
    at_a_time: int = REQUESTS,
) -> Iterator[_Result]:
    """Yields what a call returns for each item, in order.

    Args:
        call: Waits for a store, for instance because it reads a file.
        items: What to call it with.
        place: A path; whether it is local decides how the calls are made.
        at_a_time: How many calls are under way, or done and not yet yielded, in a store.
    """
    if is_local(place):
        yield from map(call, items)
        return
    waiting = collections.deque[Future[_Result]]()
    try:
        for item in items:
            waiting.append(_calls().submit(call, item))
            if len(waiting) == at_a_time:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for left in waiting:
            left.cancel()


class NewFiles:
    """Makes files that nobody knows of yet; all are there when the ``with`` block ends.

    In a store the block goes on while they are written, so errors come later, or at its end.
    """

    def __init__(self, write_new: Callable[[str, Buffer], None]) -> None:
        self._write_new = write_new
        self._pending = collections.deque[tuple[int, Future[None]]]()
        self._bytes = 0

    def __enter__(self) -> NewFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            while kind is None and self._pending:
                self._wait()
        finally:
            # Nothing is written any more when somebody clears up after an error.
            left = [done for _, done in self._pending]
            self._pending.clear()
            for done in left:
                done.cancel()
            concurrent.futures.wait(left)

    def write(self, path: str, data: Buffer) -> None:
        """Makes a file with this content; see `storage.write_new`."""
        if is_local(path):
            self._write_new(path, data)
            return
        size = memoryview(data).nbytes
        while self._pending and self._bytes + size > _PENDING_BYTES:
            self._wait()
        self._pending.append((size, _calls().submit(self._write_new, path, data)))
        self._bytes += size

    def _wait(self) -> None:
        size, done = self._pending.popleft()
        self._bytes -= size
        done.result()


@functools.cache
def _calls() -> ThreadPoolExecutor:
    """The threads for calls; others than those of single requests, for which calls may wait."""
    return ThreadPoolExecutor(REQUESTS, "calls")
