"""Which local files a pattern names, and which of them cannot be read."""

import errno
import fnmatch
import itertools
import os
import re
import stat
from collections.abc import Iterator

from pipeline.storage.local_files import info_of, scan
from pipeline.storage.paths import HIDDEN, WILDCARD, FileInfo, fits, segments_of

_READ_BY_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH


def match(pattern: str, left_out: dict[str, str]) -> Iterator[FileInfo]:
    """Yields the files that an absolute pattern names; see `storage.match_local`."""
    if os.path.isdir(pattern):
        return _Walk(left_out).glob(os.path.realpath(pattern), ["**", "*"])
    if os.path.lexists(pattern) or not WILDCARD.search(pattern):
        return _readable_file(pattern, left_out)
    return _Walk(left_out).glob("/", segments_of(pattern))


class _Walk:
    """A search for the files that one pattern names; each folder is searched once.

    Links to folders are followed, and may lead in circles.
    """

    def __init__(self, left_out: dict[str, str]) -> None:
        self._left_out = left_out
        self._seen: set[tuple[str, int]] = set()

    def glob(self, directory: str, segments: list[str]) -> Iterator[FileInfo]:
        """Yields the files below a real `directory` that fit."""
        literal = itertools.takewhile(lambda name: not WILDCARD.search(name), segments[:-1])
        if names := list(literal):
            directory = os.path.realpath(os.path.join(directory, *names))
            segments = segments[len(names) :]
        if (directory, len(segments)) in self._seen:
            return
        self._seen.add((directory, len(segments)))
        first, rest = segments[0], segments[1:]
        if first == "**":
            yield from self.glob(directory, rest)
            inner = (entry for entry in self._scan(directory) if not entry.name.startswith(HIDDEN))
            for folder in [_real(entry) for entry in inner if self._leads_to_folder(entry)]:
                yield from self.glob(folder, segments)
        elif rest:
            fitting = [entry for entry in self._scan(directory) if fits(entry.name, first)]
            for folder in [_real(entry) for entry in fitting if self._leads_to_folder(entry)]:
                yield from self.glob(folder, rest)
        else:
            yield from self._files(directory, first)

    def _files(self, directory: str, segment: str) -> Iterator[FileInfo]:
        fits = re.compile(fnmatch.translate(segment)).match
        visible = not segment.startswith(HIDDEN)
        for entry in self._scan(directory):
            name = entry.name
            if not fits(name) or (visible and name.startswith(HIDDEN)):
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat()
                    # Almost every file is of this kind, and a listing may be long.
                    anybody = status.st_mode & _READ_BY_ALL == _READ_BY_ALL
                    if anybody or _may_read(entry.path, status):
                        yield info_of(entry.path, status)
                        continue
            except FileNotFoundError:  # deleted since it was listed
                continue
            except OSError:
                pass
            # Links are followed, and what cannot be read gets its reason.
            yield from _readable_file(entry.path, self._left_out)

    def _scan(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            return scan(directory)
        except OSError as error:
            self._left_out[directory] = _said(error)
            return []

    def _leads_to_folder(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:  # a link in a circle, or behind a folder without permission
            self._left_out[entry.path] = _said(error)
            return False


def _readable_file(path: str, left_out: dict[str, str]) -> Iterator[FileInfo]:
    """Yields the file that is at `path` or is linked from there, unless it has to be left out."""
    try:
        status = os.stat(path)
        real = os.path.realpath(path)
    except OSError as error:
        left_out[path] = "a link to nothing" if _is_broken(path, error) else _said(error)
        return
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        left_out[path] = f"{_kind(status.st_mode)}, not a file"
    elif not _may_read(path, status):
        left_out[path] = os.strerror(errno.EACCES)
    else:
        yield info_of(real, status)


def _may_read(path: str, status: os.stat_result) -> bool:
    """Whether this process may read a file; asks the system only if its mode leaves that open."""
    mode = status.st_mode
    owned = mode & stat.S_IRUSR and status.st_uid == os.geteuid()
    if owned or mode & _READ_BY_ALL == _READ_BY_ALL:
        return True
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_broken(path: str, error: OSError) -> bool:
    return isinstance(error, FileNotFoundError) and os.path.islink(path)


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _said(error: OSError) -> str:
    return error.strerror or str(error)


def _real(entry: os.DirEntry[str]) -> str:
    return os.path.realpath(entry.path) if entry.is_symlink() else entry.path
