"""Finds the files that a run reads, and leaves out the table's own.

A table may lie inside the input (``--input in --output in/out``), and so may the temp folder. What
eventsift has written there is no delivery: if it were read, events would be published that nobody
has sent.
"""

import errno
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline import storage
from pipeline.errors import EventsiftError
from pipeline.storage import FileInfo, LeftOut
from pipeline.storage.paths import STATE

# How many paths that were left out a run's summary names; it counts all of them.
NAMED_LIMIT = 100

_WILDCARD = re.compile(r"[*?[]")
# Some network file systems give every file this inode.
_NO_INODE = 0
_MISSING = os.strerror(errno.ENOENT)
# How many paths an error names: with more of them, nobody would read it.
_SHOWN_LIMIT = 3


class NoInputError(EventsiftError):
    """No file matches the patterns, or none that can be read."""


class NoMatchError(NoInputError):
    """No file matches the patterns."""


class Sources(NamedTuple):
    """What the patterns of a run name.

    Attributes:
        files: The files to read, sorted by path.
        left_out: What cannot be read, sorted by path.
        own: How many files were passed over because they are the table's own.
    """

    files: list[FileInfo]
    left_out: list[LeftOut]
    own: int


def find(patterns: Sequence[str], root: str, temp: str) -> Sources:
    """Returns the files that patterns name, without those in the table or the temp folder.

    Args:
        patterns: Of the files to read.
        root: The table.
        temp: The folder for temporary files.

    Raises:
        OSError: A store cannot be listed.
    """
    return without_own(storage.match(patterns), patterns, root, temp)


def without_own(found: storage.Matches, patterns: Sequence[str], root: str, temp: str) -> Sources:
    """Returns what was found, without what lies in the table or the temp folder.

    Args:
        found: What `storage.match` has found.
        patterns: The patterns that it has matched.
        root: The table.
        temp: The folder for temporary files. If one of the patterns begins there, only eventsift's
            own folder in it is left out: ``--input /tmp/in --temp /tmp`` reads ``/tmp/in``.
    """
    own = _Folders(own_folders(patterns, root, temp))
    folders = {file.path.rpartition("/")[0] for file in found.files}
    files = found.files
    if held := {folder for folder in folders if own.hold(folder)}:
        files = [file for file in files if file.path.rpartition("/")[0] not in held]
    left_out = [one for one in found.left_out if not own.hold(_parent(one.path))]
    return Sources(files, left_out, len(found.files) - len(files))


def own_folders(patterns: Sequence[str], root: str, temp: str) -> list[str]:
    """Returns the folders that are never read.

    Args:
        patterns: As for `without_own`.
        root: The table.
        temp: The folder for temporary files.
    """
    state = storage.join(root, STATE)
    # Also each folder in the state's, since a bind mount may show it elsewhere.
    own = [root, state, *(storage.join(state, name) for name in storage.folders(state))]
    in_temp = _Folders([temp])
    if any(in_temp.hold(_normal(beginning(pattern))) for pattern in patterns):
        return [*own, storage.join(temp, STATE)]
    return [*own, temp]


def beginning(pattern: str) -> str:
    """Returns the folder (or the file) that everything a pattern matches lies in.

    >>> beginning("in/2021-*/*.json")
    'in'
    """
    if storage.is_local(pattern):
        pattern = storage.local(pattern)
        if os.path.lexists(pattern):
            return pattern
    wildcard = _WILDCARD.search(pattern)
    if wildcard is None:
        return pattern
    folder, slash, _ = pattern[: wildcard.start()].rpartition("/")
    return folder or slash or "."


def within_table(patterns: Sequence[str], root: str) -> str | None:
    """Returns the first pattern that can match nothing but the table's own files, or None.

    Args:
        patterns: Of the files to read.
        root: The table.
    """
    table = _Folders([root])
    return next((one for one in patterns if table.hold(_normal(beginning(one)))), None)


def only_own(pattern: str, root: str) -> str:
    """Returns the sentence that refuses input in the table's folder."""
    return (
        f"all that --input {storage.shown(pattern)} matches is the table's own:"
        f" what lies in {storage.shown(root)} is never read;"
        " give the folder into which the events are delivered"
    )


def check(found: Sources, patterns: Sequence[str], root: str) -> None:
    """Raises an error if there is nothing to read, or a file that was named is not there.

    Args:
        found: What the patterns name.
        patterns: Of the files to read.
        root: The table.

    Raises:
        NoInputError: There is nothing to read, or a file is not there.
        NoMatchError: Nothing matches the patterns.
    """
    local = [storage.absolute(one) for one in patterns if found.left_out and storage.is_local(one)]
    named = {*local, *map(os.path.realpath, local)}
    # A shell gives us all names that a glob matches, so a name that is there but cannot be read is
    # no error.
    missing = [one for one in found.left_out if one.path in named and not os.path.lexists(one.path)]
    if not found.files and all(one.reason == _MISSING for one in found.left_out):
        given = " ".join(map(storage.shown, patterns))
        if found.own:
            raise NoInputError(only_own(given, root))
        raise NoMatchError(f"no file matches {given!r}")
    if not found.files:
        raise NoInputError(
            f"no file can be read: {named_first(found.left_out)}; mend that, or give other files"
        )
    if missing:
        raise NoInputError(f"--input names what is not there: {named_first(missing)}")


def named_first(left_out: Sequence[LeftOut]) -> str:
    """Returns the first few paths that were left out, with the reasons, and how many follow."""
    first = "; ".join(f"{storage.shown(path)}: {why}" for path, why in left_out[:_SHOWN_LIMIT])
    more = len(left_out) - _SHOWN_LIMIT
    return f"{first}; and {more:,} more" if more > 0 else first


class _Folders:
    """A set of folders, with all that lies in them, however the paths are spelled.

    Local folders are known by their real path, and by device and inode: a bind mount, or another
    case on a file system that ignores case, is another real path to the same folder.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        names = [_normal(folder) for folder in folders]
        self._identities = {_identity(name) for name in names} - {None}
        self._held = dict.fromkeys(names, True)

    def hold(self, folder: str) -> bool:
        """Tells whether `folder` is one of them, or lies in one; a real path if it is local."""
        unknown: list[str] = []
        held = False
        for above in _upwards(folder if storage.is_local(folder) else _normal(folder)):
            if above in self._held:
                held = self._held[above]
                break
            unknown.append(above)
            if self._identities and _identity(above) in self._identities:
                held = True
                break
        self._held.update(dict.fromkeys(unknown, held))
        return held


def _upwards(path: str) -> Iterator[str]:
    """Yields a path and the folders above it, up to the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield "/"


def _normal(path: str) -> str:
    """Returns a path in its normal form: real if it is local; without ``//``, ``.``, ``..``."""
    if storage.is_local(path):
        return os.path.realpath(storage.absolute(path))
    scheme, _, name = path.partition("://")
    return f"{scheme.lower()}:/{posixpath.normpath('/' + name.lstrip('/'))}"


def _parent(path: str) -> str:
    """Returns the real folder that a path lies in; itself if it is a folder."""
    if storage.is_local(path):
        return os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
    return path.rpartition("/")[0]


def _identity(path: str) -> tuple[int, int] | None:
    """Returns device and inode of a local folder; None if there is none."""
    if not storage.is_local(path):
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return None if status.st_ino == _NO_INODE else (status.st_dev, status.st_ino)
