"""Files on any file system: the small functions every other module reads and writes with.

A path without a scheme, or with ``file://``, is local and handled with ``os`` alone: worker
processes that never touch an object store need not import Apache Beam. Everything else (``s3://``,
``gs://``, ``hdfs://``) goes through `apache_beam.io.filesystems.FileSystems`.

What is written appears under its name in one step, whole (but for `write_new`), so a process that
is killed leaves no half file that somebody could read. `durable` makes it survive a power cut,
`stores` knows object stores' endpoints, and `hdfs` does what Beam leaves to be done there.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import fnmatch
import itertools
import os
import re
import shutil
import stat
import types
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from apache_beam.io.filesystems import FileSystems as BeamFileSystems
    from typing_extensions import Buffer

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WILDCARD = re.compile(r"[*?[]")
_HIDDEN = (".", "_")
_HDFS = "hdfs://"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
_T = TypeVar("_T")
_COPY_BYTES = 1 << 20
"""Large enough that a copy is not made of system calls."""
_BUFFER_BYTES = 64 << 10
"""Of a file that is written: thousands of small writes become few, large ones are not copied."""
_REMOTE_CALLS = 16
"""A copy within an object store is one request that waits; it costs this side nothing."""
_LOCAL_CALLS = 4
"""Deletions at a time on a local disk."""
_READ_BY_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_RETRIES = 10
"""How often a parent directory that another process has just tidied away is made again."""


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
        files = match_local(pattern, left_out) if is_local(pattern) else _match_remote(pattern)
        found.update((file.path, file) for file in files)
    for path in [path for path in found if not (path.isascii() or _is_text(path))]:
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
        return _Walk(left_out).glob(os.path.realpath(pattern), ["**", "*"])
    if os.path.lexists(pattern) or not _WILDCARD.search(pattern):
        return _readable_file(pattern, left_out)
    return _Walk(left_out).glob("/", _segments(pattern))


def shown(path: str) -> str:
    """Returns a path for people, in one line: bytes that are not UTF-8 and controls as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def list_files(directory: str, *, hidden: bool = True) -> list[FileInfo]:
    """Every file below `directory`; none if there is no such directory.

    Paths begin with `directory` as it was given. Symbolic links to directories are not followed.

    Args:
        directory: the directory.
        hidden: whether those count, too, whose path in it begins with ``.`` or ``_``.
    """
    if is_local(directory):
        return list(_below(local(directory), hidden=hidden))
    directory = directory.rstrip("/")
    names, files = len(directory) + 1, _remote_below(directory)
    return [file for file in files if hidden or not file.path[names:].startswith(_HIDDEN)]


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
            for entry in _scan(folder)
            if entry.name.startswith(f"{column}=") and os.path.isdir(entry.path)
        ]
    files: list[FileInfo] = []
    for folder in found:
        for entry in _scan(folder):
            if not (_is_folder(entry) or os.path.isdir(entry.path)):
                with contextlib.suppress(FileNotFoundError):
                    files.append(_info(entry.path, entry.stat(follow_symlinks=False)))
    return files


def folders(directory: str) -> list[str]:
    """The names of the folders directly in a local `directory`; an object store has none."""
    if not is_local(directory):
        return []
    return sorted(entry.name for entry in _scan(local(directory)) if _is_folder(entry))


def exists(path: str) -> bool:
    """Whether there is a file (or, locally, a directory) of this name."""
    return os.path.exists(local(path)) if is_local(path) else bool(_beam().exists(path))


def info(path: str) -> FileInfo | None:
    """The file `path` as a listing shows it; None if there is no such file."""
    if not is_local(path):
        return next(_remote_file(path), None)
    with contextlib.suppress(OSError):
        return _info(local(path), os.stat(local(path)))
    return None


def is_temporary(path: str) -> bool:
    """Whether a file is one of ours that was not written to its end, or not yet."""
    return _TEMPORARY.fullmatch(path.rpartition("/")[2]) is not None


def open_read(path: str) -> BinaryIO:
    """`path` opened for reading its bytes as they are stored, never decompressed.

    Raises:
        OSError: it cannot be opened, or is a pipe or a device: nobody is waited for.
    """
    if is_local(path):
        return _open_regular(local(path))
    if path.startswith(_HDFS):
        return _hdfs().open_read(path)
    return _beam().open(path, compression_type="uncompressed")


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
    with _in_folder(path, lambda: open(path, "xb")) as file:
        file.write(data)
        begin_writing(file)


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """A writer for `path`, which appears (or is replaced) when the ``with`` block ends.

    Missing parent directories are made. If the block raises, nothing new is left: locally the data
    was in a hidden temporary file beside `path`, and a remote file is deleted again, since closing
    an upload is what publishes it.
    """
    if is_local(path):
        with _create_local(local(path)) as file:
            yield file
        return
    if path.startswith(_HDFS):
        with _hdfs().create(path) as file:
            yield file
        return
    remote = _beam().create(path, compression_type="uncompressed")
    try:
        yield remote
        remote.close()
    except BaseException:
        with contextlib.suppress(Exception):
            remote.close()
        delete([path])
        raise


def copy(source: str, target: str) -> None:
    """Make `target` a file with the content of `source`, both on one file system, in one step.

    Locally that is a hard link where the file system has them, which costs nothing however large
    the file is. So neither of the two may be changed in place later; nobody here does.

    Raises:
        FileNotFoundError: there is no `source`.
    """
    if is_local(source):
        _copy_local(local(source), local(target))
        return
    from apache_beam.io.filesystem import BeamIOError

    try:
        if target.startswith(_HDFS):
            _hdfs().copy(source, target)
        else:
            # On S3 Beam returns what went wrong, everywhere else it raises it.
            for *_, wrong in _beam().copy([source], [target]) or ():
                if wrong is not None:
                    raise BeamIOError(f"{source} cannot be copied to {target}", {source: wrong})
    except BeamIOError as error:
        if not exists(source):
            raise FileNotFoundError(source) from error
        raise


def copy_all(pairs: Sequence[tuple[str, str]]) -> None:
    """Copy the first file of each pair to the second, see `copy`; remotely many at a time."""
    if all(is_local(source) for source, _ in pairs):
        for source, target in pairs:
            copy(source, target)
        return
    with concurrent.futures.ThreadPoolExecutor(_REMOTE_CALLS) as pool:
        for done in [pool.submit(copy, source, target) for source, target in pairs]:
            done.result()


def delete(paths: Iterable[str]) -> None:
    """Delete these files. One that is not there (any more) is no error."""
    remote: list[str] = []
    for path in paths:
        if is_local(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(local(path))
        else:
            remote.append(path)
    if not remote:
        return
    from apache_beam.io.filesystem import BeamIOError

    try:
        _beam().delete(remote)
    except BeamIOError as error:
        left = [path for path in error.exception_details or remote if exists(path)]
        if left:
            raise
        # Some stores stop at the first missing file: the others get a call of their own.
        if len(remote) > 1:
            for path in remote:
                delete([path])


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
        _delete_tree_local(local(path))


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
            _remove_if_empty(local(path))


# Local files


def _segments(pattern: str) -> list[str]:
    segments = [part for part in pattern.split("/") if part]
    return [*segments, "*"] if segments and segments[-1] == "**" else segments


class _Walk:
    """A search for the files that one pattern names; each folder is searched once.

    Links to folders are followed, and may lead in circles.
    """

    def __init__(self, left_out: dict[str, str]) -> None:
        self._left_out = left_out
        self._seen: set[tuple[str, int]] = set()

    def glob(self, directory: str, segments: list[str]) -> Iterator[FileInfo]:
        """Yields the files below a real `directory` that fit."""
        literal = itertools.takewhile(lambda name: not _WILDCARD.search(name), segments[:-1])
        if names := list(literal):
            directory = os.path.realpath(os.path.join(directory, *names))
            segments = segments[len(names) :]
        if (directory, len(segments)) in self._seen:
            return
        self._seen.add((directory, len(segments)))
        first, rest = segments[0], segments[1:]
        if first == "**":
            yield from self.glob(directory, rest)
            inner = (entry for entry in self._scan(directory) if not entry.name.startswith(_HIDDEN))
            for folder in [_real(entry) for entry in inner if self._leads_to_folder(entry)]:
                yield from self.glob(folder, segments)
        elif rest:
            fitting = [entry for entry in self._scan(directory) if _fits(entry.name, first)]
            for folder in [_real(entry) for entry in fitting if self._leads_to_folder(entry)]:
                yield from self.glob(folder, rest)
        else:
            yield from self._files(directory, first)

    def _files(self, directory: str, segment: str) -> Iterator[FileInfo]:
        fits = re.compile(fnmatch.translate(segment)).match
        visible = not segment.startswith(_HIDDEN)
        for entry in self._scan(directory):
            name = entry.name
            if not fits(name) or (visible and name.startswith(_HIDDEN)):
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat()
                    # Almost every file is of this kind, and a listing may be long.
                    anybody = status.st_mode & _READ_BY_ALL == _READ_BY_ALL
                    if anybody or _may_read(entry.path, status):
                        yield _info(entry.path, status)
                        continue
            except FileNotFoundError:  # deleted since it was listed
                continue
            except OSError:
                pass
            # Links are followed, and what cannot be read gets its reason.
            yield from _readable_file(entry.path, self._left_out)

    def _scan(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            return _scan(directory)
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
        yield _info(real, status)


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


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fits(name: str, segment: str) -> bool:
    hidden = name.startswith(_HIDDEN) and not segment.startswith(name[0])
    return not hidden and fnmatch.fnmatchcase(name, segment)


def _scan(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _real(entry: os.DirEntry[str]) -> str:
    return os.path.realpath(entry.path) if entry.is_symlink() else entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _below(directory: str, *, hidden: bool = True) -> Iterator[FileInfo]:
    folders = [directory]
    while folders:
        for entry in _scan(folder := folders.pop()):
            if not hidden and folder == directory and entry.name.startswith(_HIDDEN):
                continue
            if _is_folder(entry):
                folders.append(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    yield _info(entry.path, entry.stat(follow_symlinks=False))


def _info(path: str, status: os.stat_result) -> FileInfo:
    return FileInfo(path, status.st_size, status.st_mtime)


def _open_regular(path: str) -> BinaryIO:
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (for the caller to close)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", path)
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _copy_local(source: str, target: str) -> None:
    try:
        _in_folder(target, lambda: os.link(source, target))
        return
    except FileNotFoundError:
        raise
    except FileExistsError:
        if os.path.samefile(source, target):
            return
    except OSError:  # no hard links here, too many of them already, or another mount
        pass
    with open(source, "rb") as content, _create_local(target) as file:
        shutil.copyfileobj(content, file, _COPY_BYTES)
        file.flush()
        os.fsync(file.fileno())  # as safe as a link to what is on disk


@contextlib.contextmanager
def _create_local(path: str) -> Iterator[BinaryIO]:
    temporary = os.path.join(os.path.dirname(path), _temporary_name(os.path.basename(path)))
    file = _in_folder(
        temporary,
        lambda: open(temporary, "xb", _BUFFER_BYTES),  # noqa: SIM115 (closed below)
    )
    try:
        with file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _delete_tree_local(path: str) -> None:
    """Tries again when another process deletes, or still makes, something in it."""
    for _ in range(_RETRIES):
        try:
            # Large files are slow to delete, and the system does it without Python's lock.
            with concurrent.futures.ThreadPoolExecutor(_LOCAL_CALLS) as pool:
                list(pool.map(delete, ([file.path] for file in _below(path))))
            shutil.rmtree(path)
        except OSError as error:
            # ENOTDIR: where a parent is a file, there is no such directory either.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
                raise
        if not os.path.isdir(path):
            return


def _remove_if_empty(directory: str) -> bool:
    """Removes a directory in which there is no file, and first those in it; whether it is gone."""
    there = [not (_is_folder(entry) and _remove_if_empty(entry.path)) for entry in _scan(directory)]
    with contextlib.suppress(OSError):
        if not any(there):
            os.rmdir(directory)
            return True
    return False


def _temporary_name(name: str) -> str:
    """A name that no reader of a table and no ``*.parquet`` takes for data."""
    return f".{name[:100]}.{uuid.uuid4().hex}.tmp"


def _in_folder(path: str, action: Callable[[], _T]) -> _T:
    """The result of `action`, which makes `path`; its directory is made if it is missing.

    And made again if another process tidies the still empty directory away in between.
    """
    for _ in range(_RETRIES):
        with contextlib.suppress(FileNotFoundError):
            return action()
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    return action()


# Remote files


def _beam() -> type[BeamFileSystems]:
    from apache_beam.io.filesystems import FileSystems

    from pipeline.storage import stores

    stores.inherit()
    return FileSystems


def _hdfs() -> types.ModuleType:
    _beam()  # its options
    from pipeline.storage import hdfs

    return hdfs


def _match_remote(pattern: str) -> Iterator[FileInfo]:
    pattern = pattern.rstrip("/")
    literal = list(_remote_file(pattern))
    if literal:
        return iter(literal)
    wildcard = _WILDCARD.search(pattern)
    # A listing of everything below the last folder without a wildcard, then our own rules: what
    # the file systems make of "**" and of hidden names differs.
    base = pattern[: pattern.rindex("/", 0, wildcard.start())] if wildcard else pattern
    segments = _segments(pattern[len(base) :]) or ["**", "*"]
    return (
        file
        for file in _remote_below(base)
        if _path_fits(file.path[len(base) + 1 :].split("/"), segments)
    )


def _path_fits(names: Sequence[str], segments: Sequence[str]) -> bool:
    if not names or not segments:
        return not names and not segments
    if segments[0] == "**":
        deeper = not names[0].startswith(_HIDDEN) and _path_fits(names[1:], segments)
        return deeper or _path_fits(names, segments[1:])
    return _fits(names[0], segments[0]) and _path_fits(names[1:], segments[1:])


def _remote_file(path: str) -> Iterator[FileInfo]:
    if not path.startswith(_HDFS):
        yield from _remote_files(_escape(path))
    elif _hdfs().is_file(path):
        yield from (FileInfo(*file) for file in _hdfs().files(path))


def _remote_below(directory: str) -> Iterator[FileInfo]:
    if directory.startswith(_HDFS):
        return (FileInfo(*file) for file in _hdfs().files(directory))
    return _remote_files(f"{_escape(directory)}/**")


def _remote_files(pattern: str) -> Iterator[FileInfo]:
    for result in _beam().match([pattern]):
        for file in result.metadata_list:
            if not file.path.endswith("/"):  # the empty object some tools make for a folder
                modified = float(file.last_updated_in_seconds or 0)
                yield FileInfo(file.path, file.size_in_bytes, modified)


def _escape(path: str) -> str:
    """`path` as a Beam pattern that matches only itself."""
    return re.sub(r"([*?[])", r"[\1]", path)
