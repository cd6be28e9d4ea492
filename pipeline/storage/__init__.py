"""Files on any file system: the small functions every other module reads and writes with.

A path without a scheme, or with ``file://``, is local and handled with ``os`` alone: processes that
never touch a store import nothing for it. Behind ``s3://``, ``gs://`` and ``hdfs://`` are stores.

What is written appears under its name in one step, whole (but for `write_new`), so a process that
is killed leaves no half file that somebody could read.

This module is the way in. Behind it are, in the order in which a file passes them:

- `paths`: names; `matching`: the local files that a pattern names
- `local_files`, and `durable`: what makes them survive a power cut
- `remote_files`: what all stores have in common
- `ranges`, `readers`: reading parts of remote files in few requests
- `parallel`: waiting for many things at once
- `object_store`: S3 and Google Cloud Storage; `hdfs`
- `stores`: where a store is, and who we are there
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pipeline.storage import local_files, matching, ranges, remote_files
from pipeline.storage.local_files import forget, is_really_below
from pipeline.storage.parallel import NewFiles, each
from pipeline.storage.paths import (
    HIDDEN,
    FileInfo,
    LeftOut,
    Matches,
    absolute,
    is_local,
    is_temporary,
    is_text,
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
    "forget",
    "is_local",
    "is_really_below",
    "is_temporary",
    "join",
    "local",
    "shown",
]


# Finding files


def match(patterns: Sequence[str]) -> Matches:
    """Returns the files that `patterns` name, and what they name that cannot be read.

    A pattern is a file, a directory (all files below it), or a glob: ``*``, ``?`` and ``[a-z]``
    match within one folder, ``**`` any number of folders, none included. Files and folders whose
    names begin with ``.`` or ``_`` are found only by a pattern that spells that first character
    out. A name that exists is taken literally even if it looks like a glob. Local paths come back
    absolute and free of symbolic links, so one file reached in two ways is one file.

    Left out are files and folders without permission, links to nothing, pipes, sockets and devices,
    local paths without a wildcard where nothing is, and names that are not UTF-8: reports and
    dead letters could not name them. A pattern with a wildcard may match nothing.
    """
    found: dict[str, FileInfo] = {}
    left_out: dict[str, str] = {}
    for pattern in patterns:
        files = match_local(pattern, left_out) if is_local(pattern) else remote_files.match(pattern)
        found.update((file.path, file) for file in files)
    for path in [path for path in found if not (path.isascii() or is_text(path))]:
        del found[path]
        left_out[path] = "its name is not UTF-8; rename it"
    return Matches(sorted(found.values()), sorted(itertools.starmap(LeftOut, left_out.items())))


def match_local(pattern: str, left_out: dict[str, str]) -> Iterator[FileInfo]:
    """Yields the files that one local pattern names, perhaps one twice; see `match`.

    Args:
        pattern: The pattern.
        left_out: Gets the paths that cannot be read, and why not.
    """
    return matching.match(os.path.abspath(local(pattern)), left_out)


def list_files(directory: str, *, hidden: bool = True) -> list[FileInfo]:
    """Returns every file below a directory; none if there is no such directory.

    Paths begin with `directory` as it was given. Symbolic links to directories are not followed.

    Args:
        directory: The directory.
        hidden: Whether files count, too, whose path in it begins with ``.`` or ``_``.
    """
    if is_local(directory):
        return list(local_files.below(local(directory), hidden=hidden))
    directory = directory.rstrip("/")
    names, files = len(directory) + 1, remote_files.store(directory).files(directory)
    return [file for file in files if hidden or not file.path[names:].startswith(HIDDEN)]


def list_partitions(directory: str, columns: Sequence[str], also: str = "") -> list[FileInfo]:
    """Returns the files in the folders ``<columns[0]>=…/<columns[1]>=…/…`` below a directory.

    Unlike those of `list_files`, symbolic links to such folders are followed, as readers do. So one
    file may be listed by several paths.

    Args:
        directory: The directory.
        columns: The names of the partitions' columns.
        also: A folder in `directory` whose files are listed, too, as `list_files` does.
    """
    if is_local(directory):
        found = list(local_files.in_partitions(local(directory), columns))
        return [*found, *list_files(join(directory, also))] if also else found
    within = "/".join(f"{re.escape(column)}=[^/]*" for column in columns) + "/[^/]+"
    wanted = re.compile(f"{within}|{re.escape(also)}/.+" if also else within, re.DOTALL)
    names = len(directory.rstrip("/")) + 1
    return [file for file in list_files(directory) if wanted.fullmatch(file.path, names)]


def folders(directory: str) -> list[str]:
    """Returns the names of the folders directly in a local directory; an object store has none."""
    if not is_local(directory):
        return []
    return sorted(
        entry.name for entry in local_files.scan(local(directory)) if local_files.is_folder(entry)
    )


def exists(path: str) -> bool:
    """Tells whether there is a file (or, locally, a directory) of this name."""
    return os.path.exists(local(path)) if is_local(path) else info(path) is not None


def info(path: str) -> FileInfo | None:
    """Returns a file as a listing shows it; None if there is no such file."""
    if not is_local(path):
        return remote_files.store(path).file_at(path)
    with contextlib.suppress(OSError):
        return local_files.info_of(local(path), os.stat(local(path)))
    return None


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
