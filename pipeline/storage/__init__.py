"""Files on any file system: the small functions every other module reads and writes with.

A path without a scheme, or with ``file://``, is local and handled with ``os`` alone: worker
processes that never touch an object store need not import Apache Beam. Everything else (``s3://``,
``gs://``, ``hdfs://``) goes through `apache_beam.io.filesystems.FileSystems`.

What is written appears under its name in one step, whole (but for `write_new`), so a process that
is killed leaves no half file that somebody could read.

This module is the way in. Behind it are `paths` (names), `matching` (patterns), `local_files`,
`remote_files`, `stores` (endpoints of object stores), `hdfs` (what Beam leaves to be done there),
and `durable` (files that survive a power cut).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pipeline.storage import local_files, matching, remote_files
from pipeline.storage.paths import (
    HIDDEN,
    WILDCARD,
    FileInfo,
    LeftOut,
    Matches,
    absolute,
    is_local,
    is_temporary,
    is_text,
    join,
    local,
    segments_of,
    shown,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "FileInfo",
    "LeftOut",
    "Matches",
    "absolute",
    "is_local",
    "is_temporary",
    "join",
    "local",
    "shown",
]


# A smaller file is written by the sync itself in no time.
_LARGE_BYTES = 1 << 20


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
    pattern = os.path.abspath(local(pattern))
    if os.path.isdir(pattern):
        return matching.Walk(left_out).glob(os.path.realpath(pattern), ["**", "*"])
    if os.path.lexists(pattern) or not WILDCARD.search(pattern):
        return matching.readable_file(pattern, left_out)
    return matching.Walk(left_out).glob("/", segments_of(pattern))


def list_files(directory: str, *, hidden: bool = True) -> list[FileInfo]:
    """Every file below `directory`; none if there is no such directory.

    Paths begin with `directory` as it was given. Symbolic links to directories are not followed.

    Args:
        directory: the directory.
        hidden: whether those count, too, whose path in it begins with ``.`` or ``_``.
    """
    if is_local(directory):
        return list(local_files.below(local(directory), hidden=hidden))
    directory = directory.rstrip("/")
    names, files = len(directory) + 1, remote_files.below(directory)
    return [file for file in files if hidden or not file.path[names:].startswith(HIDDEN)]


def list_partitions(directory: str, columns: Sequence[str]) -> list[FileInfo]:
    """The files in the folders ``<columns[0]>=…/<columns[1]>=…/…`` below `directory`.

    Unlike those of `list_files`, symbolic links to such folders are followed, as readers do. So one
    file may be listed by several paths.
    """
    if not is_local(directory):
        within = re.compile("/".join(f"{re.escape(column)}=[^/]*" for column in columns) + "/[^/]+")
        names = len(directory.rstrip("/")) + 1
        return [file for file in list_files(directory) if within.fullmatch(file.path, names)]
    found = [local(directory)]
    for column in columns:
        found = [
            entry.path
            for folder in found
            for entry in local_files.scan(folder)
            if entry.name.startswith(f"{column}=") and os.path.isdir(entry.path)
        ]
    files: list[FileInfo] = []
    for folder in found:
        for entry in local_files.scan(folder):
            if not (local_files.is_folder(entry) or os.path.isdir(entry.path)):
                with contextlib.suppress(FileNotFoundError):
                    files.append(local_files.info_of(entry.path, entry.stat(follow_symlinks=False)))
    return files


def folders(directory: str) -> list[str]:
    """The names of the folders directly in a local `directory`; an object store has none."""
    if not is_local(directory):
        return []
    return sorted(
        entry.name for entry in local_files.scan(local(directory)) if local_files.is_folder(entry)
    )


def exists(path: str) -> bool:
    """Whether there is a file (or, locally, a directory) of this name."""
    return os.path.exists(local(path)) if is_local(path) else remote_files.exists(path)


def info(path: str) -> FileInfo | None:
    """The file `path` as a listing shows it; None if there is no such file."""
    if not is_local(path):
        return next(remote_files.file_at(path), None)
    with contextlib.suppress(OSError):
        return local_files.info_of(local(path), os.stat(local(path)))
    return None


def open_read(path: str) -> BinaryIO:
    """`path` opened for reading its bytes as they are stored, never decompressed.

    Raises:
        OSError: it cannot be opened, or is a pipe or a device: nobody is waited for.
    """
    if is_local(path):
        return local_files.open_regular(local(path))
    return remote_files.open_read(path)


def forget(file: BinaryIO, start: int, end: int) -> None:
    """Lets the system drop the bytes ``[start, end)`` of a local `file` from memory, if it can.

    It would drop what lies there longest, and so what is still needed, before it drops these; and
    looking for room takes it a third of the time of those who write.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def begin_writing(file: BinaryIO) -> None:
    """Asks the system to start writing a local file to disk, and does not wait for it.

    A later fsync then finds most of the work done. The advice says that nobody here reads the file
    again; on Linux it starts the writing of what is not on disk yet, and leaves that in memory.
    """
    file.flush()
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_bytes(path: str) -> bytes:
    """The content of the file `path`."""
    with open_read(path) as file:
        return file.read()


def read_part(path: str, offset: int, size: int) -> bytes:
    """`size` bytes of the file `path`, from `offset` on."""
    with open(local(path), "rb", buffering=0) if is_local(path) else open_read(path) as file:
        file.seek(offset)
        return file.read(size)


def write_bytes(path: str, data: Buffer) -> None:
    """Make (or replace) the file `path` with this content, in one step."""
    with create(path) as file:
        file.write(data)


def write_new(path: str, data: Buffer) -> None:
    """Make the file `path`, of a name that nobody else knows until this is done.

    So it need not appear in one step, and a small one takes half the time. If it is cut short, what
    is there of it is left to whoever clears up the folder.
    """
    if not is_local(path):
        write_bytes(path, data)
        return
    path = local(path)
    with local_files.in_folder(path, lambda: open(path, "xb")) as file:
        file.write(data)
        if memoryview(data).nbytes >= _LARGE_BYTES:
            begin_writing(file)


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """A writer for `path`, which appears (or is replaced) when the ``with`` block ends.

    Missing parent directories are made. If the block raises, nothing new is left: locally the data
    was in a hidden temporary file beside `path`, and a remote file is deleted again, since closing
    an upload is what publishes it.
    """
    files = local_files if is_local(path) else remote_files
    with files.create(local(path)) as file:
        yield file


def copy(source: str, target: str) -> None:
    """Make `target` a file with the content of `source`, both on one file system, in one step.

    Locally that is a hard link where the file system has them, which costs nothing however large
    the file is. So neither of the two may be changed in place later; nobody here does.

    Raises:
        FileNotFoundError: there is no `source`.
    """
    files = local_files if is_local(source) else remote_files
    files.copy(local(source), local(target))


def copy_all(pairs: Sequence[tuple[str, str]]) -> None:
    """Copy the first file of each pair to the second, see `copy`; remotely many at a time."""
    if all(is_local(source) for source, _ in pairs):
        for source, target in pairs:
            copy(source, target)
    else:
        remote_files.copy_all(pairs)


def delete(paths: Iterable[str]) -> None:
    """Delete these files. One that is not there (any more) is no error."""
    remote: list[str] = []
    for path in paths:
        if is_local(path):
            local_files.delete([local(path)])
        else:
            remote.append(path)
    if remote:
        remote_files.delete(remote)


def delete_tree(path: str, below: str = "") -> None:
    """Delete the directory `path` with everything in it, if it is there.

    No symbolic link is followed: neither those in the directory, nor one in its place or on the way
    to it. Then nothing is deleted.

    Args:
        path: the directory.
        below: the directory on the way to it from which on links count; that which `path` lies in
            if not given.
    """
    if not is_local(path):
        delete(file.path for file in list_files(path))
    elif is_really_below(path, below or os.path.dirname(local(path))):
        local_files.delete_tree(local(path))


def is_really_below(path: str, directory: str) -> bool:
    """Whether the local `path` lies in `directory`, with no symbolic link from there on."""
    path, directory = os.path.normpath(local(path)), os.path.normpath(local(directory))
    if not path.startswith(f"{directory}/"):
        return False
    real = os.path.join(os.path.realpath(directory), path[len(directory) + 1 :])
    return os.path.realpath(real) == real


def remove_empty_directories(paths: Iterable[str]) -> None:
    """Remove each of these local directories, and those below, in which there is no file.

    A directory in which somebody makes a file at this very moment survives: only the operating
    system decides what is empty. Object stores have no directories, so nothing happens there.
    """
    for path in paths:
        if is_local(path) and not os.path.islink(local(path)):
            local_files.remove_if_empty(local(path))
