"""Files on S3, Google Cloud Storage and HDFS, by their URLs: what these stores have in common."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from pipeline.storage.paths import WILDCARD, FileInfo, is_local, path_fits, segments_of
from pipeline.storage.ranges import REQUESTS, threads
from pipeline.storage.readers import FileReader, RangeReader, Source

if TYPE_CHECKING:
    from typing_extensions import Buffer


# What is fetched of the next ranges while one is read.
_AHEAD_BYTES = 16 << 20
# What is written to one file is kept in memory up to this size, beyond it on the local disk.
_SPOOL_BYTES = 64 << 20


# A file, where what is read of it begins, and where it ends.
Range = tuple[str, int, int]


class Store(Protocol):
    """What a kind of store can do; `object_store` and `hdfs` are modules that can do it."""

    def files(self, folder: str) -> Iterator[FileInfo]:
        """Yields every file below a folder."""

    def file_at(self, path: str) -> FileInfo | None:
        """Returns the file of this name, if there is one."""

    def read(self, path: str) -> bytes:
        """Returns the content of a file."""

    def fetch(self, path: str, start: int, size: int) -> bytes:
        """Returns some bytes of a file; fewer if it ends before."""

    def look(self, path: str, start: int, size: int) -> tuple[bytes, int]:
        """Returns what `fetch` does, and the file's size; a start of -n is n before its end."""

    def write(self, path: str, data: Buffer) -> None:
        """Makes, or replaces, a file in one step."""

    def write_new(self, path: str, data: Buffer) -> None:
        """Makes a file that nobody knows of until this is done."""

    def upload(self, path: str, file: IO[bytes]) -> None:
        """Does what `write` does, with what was written to a local file."""

    def copy(self, source: str, target: str) -> None:
        """Makes `target` a file with the content of `source`."""

    def delete(self, paths: Iterable[str]) -> None:
        """Deletes files. One that is not there (any more) is no error."""


def store(path: str) -> Store:
    """Returns what reaches the store of a path.

    Raises:
        ValueError: There is no such store.
    """
    scheme = path.partition("://")[0]
    if scheme in ("s3", "gs"):
        from pipeline.storage import object_store

        return object_store
    if scheme == "hdfs":
        from pipeline.storage import hdfs

        return hdfs
    raise ValueError(f"{path}: there is no store {scheme}://; there are s3://, gs:// and hdfs://")


def match(pattern: str) -> Iterator[FileInfo]:
    """Yields the files that a pattern names; see `storage.match`."""
    pattern = pattern.rstrip("/")
    wildcard = WILDCARD.search(pattern)
    if not wildcard:
        literal = store(pattern).file_at(pattern)
        return iter([literal]) if literal else _fitting(pattern, store(pattern).files(pattern), [])
    # All files below the last folder without a wildcard, and our own rules: each kind of store has
    # its own for "**" and for hidden names.
    base = pattern[: pattern.rindex("/", 0, wildcard.start())]
    listed = list(store(base).files(base))
    literal = next((file for file in listed if file.path == pattern), None)
    return iter([literal]) if literal else _fitting(base, listed, segments_of(pattern[len(base) :]))


def _fitting(base: str, files: Iterable[FileInfo], segments: Sequence[str]) -> Iterator[FileInfo]:
    """The files below a folder whose names fit; all of them if there are no segments."""
    segments = segments or ["**", "*"]
    return (file for file in files if path_fits(file.path[len(base) + 1 :].split("/"), segments))


def open_read(path: str, start: int = 0, end: int | None = None) -> BinaryIO:
    """Opens a file for reading; see `storage.open_read`."""
    source = _source(path)
    reader = FileReader(source) if end is None else RangeReader(source, start, end)
    return cast(BinaryIO, reader)


def ahead(ranges: Iterable[Range]) -> Iterator[tuple[Range, BinaryIO | None]]:
    """Yields each range, with its reader if it is in a store; the next ones begin to fetch."""
    begun = deque[tuple[Range, BinaryIO | None, int]]()
    for one in ranges:
        if is_local(one[0]):
            begun.append((one, None, 0))
        else:
            reader = RangeReader(_source(one[0]), *one[1:])
            begun.append((one, cast(BinaryIO, reader), reader.begin()))
        while len(begun) > REQUESTS or not begun[-1][2] or _bytes_of(begun) > _AHEAD_BYTES:
            yield begun.popleft()[:2]
            if not begun:
                break
    yield from (next_one[:2] for next_one in begun)


def _bytes_of(begun: Iterable[tuple[Range, BinaryIO | None, int]]) -> int:
    return sum(size for _, _, size in begun)


def _source(path: str) -> Source:
    here = store(path)
    return Source(functools.partial(here.fetch, path), functools.partial(here.look, path))


def is_reader(file: BinaryIO) -> bool:
    """Tells whether a file is one that `open_read` has opened."""
    return isinstance(file, FileReader | RangeReader)


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """Gives a writer for a file, which appears, or is replaced, when the ``with`` block ends."""
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as file:
        yield cast(BinaryIO, file)
        store(path).upload(path, cast(IO[bytes], file))


def copy_all(pairs: Sequence[tuple[str, str]]) -> None:
    """Copies the first file of each pair to the second, many at a time."""
    _all([functools.partial(store(source).copy, source, target) for source, target in pairs])


def delete(paths: Iterable[str]) -> None:
    """Deletes files. One that is not there (any more) is no error."""
    by_store: dict[str, list[str]] = {}
    for path in paths:
        by_store.setdefault(path.partition("://")[0], []).append(path)
    for some in by_store.values():
        store(some[0]).delete(some)


def _all(calls: Iterable[Callable[[], None]]) -> None:
    """Makes calls, many at a time; all of them before the first error is raised."""
    for done in [threads().submit(call) for call in calls]:
        done.result()
