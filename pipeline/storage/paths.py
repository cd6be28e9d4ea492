"""What files are called, and what is known of them; nothing here looks at any file."""

import fnmatch
import os
import re
import uuid
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")

WILDCARD = re.compile(r"[*?[]")
"""What makes a pattern of a path."""

HIDDEN = (".", "_")
"""How names begin that only a pattern finds which spells that out."""

# The folder for all that is eventsift's own, in a table and in a temp folder. Readers of Parquet
# skip folders that begin with "_".
STATE = "_eventsift"

HDFS = "hdfs://"
"""The scheme that needs more than Beam's file system gives."""


class FileInfo(NamedTuple):
    """A file as a listing shows it.

    Attributes:
        path: where it is.
        bytes: its size.
        modified: when it was last written, in seconds since 1970; 0 if the store does not say.
    """

    path: str
    bytes: int
    modified: float


class LeftOut(NamedTuple):
    """Something that a pattern names and nobody can read.

    Attributes:
        path: Where it is, as it was found.
        reason: Why it cannot be read.
    """

    path: str
    reason: str


class Matches(NamedTuple):
    """What patterns name.

    Attributes:
        files: The files that can be read, each once, sorted by path.
        left_out: What cannot be read, sorted by path.
    """

    files: list[FileInfo]
    left_out: list[LeftOut]


def is_local(path: str) -> bool:
    """Whether `path` is on a mounted file system: it has no scheme, or ``file://``."""
    return path.startswith("file://") or not _SCHEME.match(path)


def join(base: str, *parts: str) -> str:
    """`base` and `parts` as one path, with one slash between each two."""
    if is_local(base):
        return os.path.join(local(base), *parts)
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def local(path: str) -> str:
    """The operating system's name of a local path: ``file:///a%20b`` is ``/a b``."""
    if not path.startswith("file://"):
        return path
    return unquote(path.removeprefix("file://").removeprefix("localhost"))


def absolute(path: str) -> str:
    """`path` without ``file://`` or a slash at its end, and from ``/`` on if it is local."""
    return os.path.abspath(local(path)) if is_local(path) else path.rstrip("/")


def shown(path: str) -> str:
    """Returns a path for people, in one line: bytes that are not UTF-8 and controls as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def is_temporary(path: str) -> bool:
    """Whether a file is one of ours that was not written to its end, or not yet."""
    return _TEMPORARY.fullmatch(path.rpartition("/")[2]) is not None


def temporary_name(name: str) -> str:
    """A name that no reader of a table and no ``*.parquet`` takes for data."""
    return f".{name[:100]}.{uuid.uuid4().hex}.tmp"


def is_text(path: str) -> bool:
    """Tells whether a path can be written as text; names of files can be any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def segments_of(pattern: str) -> list[str]:
    """Returns the parts of a pattern between slashes; ``**`` at its end means all files below."""
    segments = [part for part in pattern.split("/") if part]
    return [*segments, "*"] if segments and segments[-1] == "**" else segments


def fits(name: str, segment: str) -> bool:
    """Tells whether a name fits a part of a pattern."""
    hidden = name.startswith(HIDDEN) and not segment.startswith(name[0])
    return not hidden and fnmatch.fnmatchcase(name, segment)


def path_fits(names: Sequence[str], segments: Sequence[str]) -> bool:
    """Tells whether the names on a path fit the parts of a pattern."""
    if not names or not segments:
        return not names and not segments
    if segments[0] == "**":
        deeper = not names[0].startswith(HIDDEN) and path_fits(names[1:], segments)
        return deeper or path_fits(names, segments[1:])
    return fits(names[0], segments[0]) and path_fits(names[1:], segments[1:])
