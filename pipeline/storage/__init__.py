"""Files on any file system: the small functions every other module reads and writes with.

A path without a scheme, or with ``file://``, is local and handled with ``os`` alone: processes that
never touch a store import nothing for it. Behind ``s3://``, ``gs://`` and ``hdfs://`` are stores.

What is written appears under its name in one step, whole (but for `write_new`), so a process that
is killed leaves no half file that somebody could read.

This module is the way in. Behind it are, in the order in which a file passes them:

- `paths`: names; `finding`: which files there are; `matching`: the local ones that a pattern names
- `local_files`, and `durable`: what makes them survive a power cut
- `remote_files`: what all stores have in common
- `ranges`, `readers`: reading parts of remote files in few requests
- `parallel`: waiting for many things at once
- `object_store`: S3 and Google Cloud Storage; `hdfs`
- `stores`: where a store is, and who we are there
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pipeline.storage import local_files, ranges, remote_files
from pipeline.storage.finding import (
    exists,
    folders,
    info,
    list_files,
    list_partitions,
    match,
    match_local,
)
from pipeline.storage.local_files import forget, is_really_below
from pipeline.storage.parallel import NewFiles, each
from pipeline.storage.paths import (
    FileInfo,
    LeftOut,
    Matches,
    absolute,
    is_local,
    is_temporary,
    join,
    local,
    shown,
)
from pipeline.storage.ranges import Part

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "FileInfo",
    "LeftOut",
    "Matches",
    "NewFiles",
    "Part",
    "absolute",
    "each",
    "exists",
    "folders",
    "forget",
    "info",
    "is_local",
    "is_really_below",
    "is_temporary",
    "join",
    "list_files",
    "list_partitions",
    "local",
    "match",
    "match_local",
    "shown",
]


# Reading


def open_read(path: str, start: int = 0, end: int | None = None) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored, never decompressed.

    Args:
        path: The file.
        start: The first byte of those that will be read, in order.
        end: Where they end; None if they will be read in any order. From a store these bytes are
            fetched, and no others, the next ones before they are read.

    Raises:
        OSError: It cannot be opened, or is a pipe or a device: nobody is waited for.
    """
    if not is_local(path):
        return remote_files.open_read(path, start, end)
    file = local_files.open_regular(local(path))
    file.seek(start)
    return file


def open_ranges(places: Iterable[tuple[str, int, int]]) -> Iterator[BinaryIO]:
    """Yields a file for each range, open at its beginning; see `open_read`.

    From a store the next ranges are fetched while one is read.

    Args:
        places: The path of each file, where what is read of it begins, and where it ends.
    """
    for one, reader in remote_files.ahead(places):
        yield open_read(*one) if reader is None else reader


def is_remote(file: BinaryIO) -> bool:
    """Tells whether what is read of an open file comes from a store."""
    return remote_files.is_reader(file)


def read_bytes(path: str) -> bytes:
    """Returns the content of a file."""
    if not is_local(path):
        return remote_files.store(path).read(path)
    with open_read(path) as file:
        return file.read()


def read_part(path: str, offset: int, size: int) -> bytes:
    """Returns `size` bytes of a file, from `offset` on; fewer if it ends before."""
    if not is_local(path):
        return remote_files.store(path).fetch(path, offset, size) if size else b""
    with open(local(path), "rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size)


def read_parts(parts: Sequence[Part]) -> Iterator[memoryview]:
    """Yields the bytes of parts of files, in the order of `parts`.

    Parts that lie side by side are read in one go. From a store many are fetched at once, and some
    before they are asked for.
    """
    return ranges.read(parts, read_part)


# Writing


def write_bytes(path: str, data: Buffer) -> None:
    """Makes, or replaces, a file with this content, in one step."""
    if not is_local(path):
        remote_files.store(path).write(path, data)
        return
    with create(path) as file:
        file.write(data)


def write_new(path: str, data: Buffer) -> None:
    """Makes a file of a name that nobody else knows until this is done.

    So it need not appear in one step, and a small one takes half the time. If it is cut short, what
    is there of it is left to whoever clears up the folder.
    """
    if is_local(path):
        local_files.write_new(local(path), data)
    else:
        remote_files.store(path).write_new(path, data)


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """Gives a writer for a file, which appears, or is replaced, when the ``with`` block ends.

    Missing parent directories are made. If the block raises, there is nothing new: locally the data
    was in a hidden temporary file beside `path`, and a store has not got all of it.
    """
    files = local_files if is_local(path) else remote_files
    with files.create(local(path)) as file:
        yield file


def copy(source: str, target: str) -> None:
    """Makes `target` a file with the content of `source`, both on one file system, in one step.

    Locally that is a hard link where the file system has them, which costs nothing however large
    the file is. So neither of the two may be changed in place later; nobody here does.

    Raises:
        FileNotFoundError: There is no `source`.
    """
    files = local_files if is_local(source) else remote_files.store(source)
    files.copy(local(source), local(target))


def copy_all(pairs: Sequence[tuple[str, str]]) -> None:
    """Copies the first file of each pair to the second, see `copy`; remotely many at a time."""
    if all(is_local(source) for source, _ in pairs):
        for source, target in pairs:
            copy(source, target)
    else:
        remote_files.copy_all(pairs)


# Deleting


def delete(paths: Iterable[str]) -> None:
    """Deletes files. One that is not there (any more) is no error."""
    remote: list[str] = []
    for path in paths:
        if is_local(path):
            local_files.delete([local(path)])
        else:
            remote.append(path)
    remote_files.delete(remote)


def delete_tree(path: str, below: str = "") -> None:
    """Deletes a directory with everything in it, if it is there.

    No symbolic link is followed: neither those in the directory, nor one in its place or on the way
    to it. Then nothing is deleted.

    Args:
        path: The directory.
        below: The directory on the way to it from which on links count; that which `path` lies in
            if not given.
    """
    if not is_local(path):
        delete(file.path for file in list_files(path))
    elif is_really_below(path, below or os.path.dirname(local(path))):
        local_files.delete_tree(local(path))


def remove_empty_directories(paths: Iterable[str]) -> None:
    """Removes each of these local directories, and those below, in which there is no file.

    A directory in which somebody makes a file at this very moment survives: only the operating
    system decides what is empty. Object stores have no directories, so nothing happens there.
    """
    for path in paths:
        if is_local(path) and not os.path.islink(local(path)):
            local_files.remove_if_empty(local(path))
