"""Files on a local disk, by their names as the operating system knows them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from pipeline.storage.paths import HIDDEN, FileInfo, local, temporary_name

if TYPE_CHECKING:
    from typing_extensions import Buffer

_T = TypeVar("_T")
# Large enough that system-call overhead is negligible.
_COPY_BYTES = 1 << 20
# Thousands of small writes become few, and large ones are not copied.
_BUFFER_BYTES = 64 << 10
# A smaller file is written by the sync itself in no time.
_LARGE_BYTES = 1 << 20
# Deletions at a time.
_CALLS = 4
# How often a folder that another process has just tidied away is made again.
_RETRIES = 10


def scan(directory: str) -> list[os.DirEntry[str]]:
    """Returns what is in a folder; nothing if there is no such folder."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tells whether an entry is a folder, and no link to one."""
    return entry.is_dir(follow_symlinks=False)


def below(directory: str, *, hidden: bool = True) -> Iterator[FileInfo]:
    """Yields every file below a folder; see `storage.list_files`."""
    folders = [directory]
    while folders:
        for entry in scan(folder := folders.pop()):
            if not hidden and folder == directory and entry.name.startswith(HIDDEN):
                continue
            if is_folder(entry):
                folders.append(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    yield info_of(entry.path, entry.stat(follow_symlinks=False))


def in_partitions(directory: str, columns: Sequence[str]) -> Iterator[FileInfo]:
    """Yields the files in the folders of partitions; see `storage.list_partitions`."""
    found = [directory]
    for column in columns:
        found = [
            entry.path
            for folder in found
            for entry in scan(folder)
            if entry.name.startswith(f"{column}=") and os.path.isdir(entry.path)
        ]
    for folder in found:
        for entry in scan(folder):
            if not (is_folder(entry) or os.path.isdir(entry.path)):
                with contextlib.suppress(FileNotFoundError):
                    yield info_of(entry.path, entry.stat(follow_symlinks=False))


def is_really_below(path: str, directory: str) -> bool:
    """Tells whether a local path lies in a directory, with no symbolic link from there on."""
    path, directory = os.path.normpath(local(path)), os.path.normpath(local(directory))
    if not path.startswith(f"{directory}/"):
        return False
    real = os.path.join(os.path.realpath(directory), path[len(directory) + 1 :])
    return os.path.realpath(real) == real


def info_of(path: str, status: os.stat_result) -> FileInfo:
    """Returns what a listing shows of a file."""
    return FileInfo(path, status.st_size, status.st_mtime)


def open_regular(path: str) -> BinaryIO:
    """Opens a file for reading; a pipe or a device is an error, and nobody is waited for."""
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (for the caller to close)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", path)
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def forget(file: BinaryIO, start: int, end: int) -> None:
    """Lets the system drop the bytes ``[start, end)`` of a local file from memory, if it can.

    It would drop what lies there longest, and so what is still needed, before it drops these; and
    looking for room takes it a third of the time of those who write.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def write_new(path: str, data: Buffer) -> None:
    """Makes a file that nobody knows of until this is done."""
    with _in_folder(path, lambda: open(path, "xb")) as file:
        file.write(data)
        if memoryview(data).nbytes >= _LARGE_BYTES:
            _begin_writing(file)


def _begin_writing(file: BinaryIO) -> None:
    """Asks the system to start writing a file to disk, and does not wait for it.

    A later fsync then finds most of the work done. The advice says that nobody here reads the file
    again; on Linux it starts the writing of what is not on disk yet, and leaves that in memory.
    """
    file.flush()
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _in_folder(path: str, action: Callable[[], _T]) -> _T:
    """The result of `action`, which makes `path`; its directory is made if it is missing.

    It is made again if another process tidies the still empty directory away in between.
    """
    for _ in range(_RETRIES):
        with contextlib.suppress(FileNotFoundError):
            return action()
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    return action()


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """Gives a writer for a file, which appears, or is replaced, when the ``with`` block ends."""
    temporary = os.path.join(os.path.dirname(path), temporary_name(os.path.basename(path)))
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


def copy(source: str, target: str) -> None:
    """Makes `target` a link to `source`, or a copy that is on disk where links are not possible."""
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
    with open(source, "rb") as content, create(target) as file:
        shutil.copyfileobj(content, file, _COPY_BYTES)
        file.flush()
        os.fsync(file.fileno())  # as safe as a link to what is on disk


def delete(paths: Iterable[str]) -> None:
    """Deletes files. One that is not there (any more) is no error."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def delete_tree(path: str) -> None:
    """Deletes a folder with all in it; tries again when another process changes something in it."""
    for _ in range(_RETRIES):
        try:
            # Large files are slow to delete, and the system does it without Python's lock.
            with concurrent.futures.ThreadPoolExecutor(_CALLS) as pool:
                list(pool.map(delete, ([file.path] for file in below(path))))
            shutil.rmtree(path)
        except OSError as error:
            # ENOTDIR: where a parent is a file, there is no such directory either.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
                raise
        if not os.path.isdir(path):
            return


def remove_if_empty(directory: str) -> bool:
    """Removes a directory in which there is no file, and first those in it; whether it is gone."""
    there = [not (is_folder(entry) and remove_if_empty(entry.path)) for entry in scan(directory)]
    with contextlib.suppress(OSError):
        if not any(there):
            os.rmdir(directory)
            return True
    return False
