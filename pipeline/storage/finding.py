"""Which files there are: by patterns, below a folder, or at a path."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence

from pipeline.storage import local_files, matching, remote_files
from pipeline.storage.paths import (
    HIDDEN,
    FileInfo,
    LeftOut,
    Matches,
    is_local,
    is_text,
    join,
    local,
)


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
