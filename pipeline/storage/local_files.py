"""Files on a local disk, by their names as the operating system knows them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, TypeVar

from pipeline.storage.paths import HIDDEN, FileInfo, temporary_name

_T = TypeVar("_T")
# Large enough that system-call overhead is negligible.
_COPY_BYTES = 1 << 20
# Thousands of small writes become few, and large ones are not copied.
_BUFFER_BYTES = 64 << 10
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


def in_folder(path: str, action: Callable[[], _T]) -> _T:
    """The result of `action`, which makes `path`; its directory is made if it is missing.

    And made again if another process tidies the still empty directory away in between.
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
    file = in_folder(
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
        in_folder(target, lambda: os.link(source, target))
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
