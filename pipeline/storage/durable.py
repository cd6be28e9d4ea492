"""Durability: what is reported as published survives a power cut.

A file that was written lies in the system's memory first. It is on disk after an fsync of the file
and, since its name is an entry of its folder, of the folder, and of each folder above that is new
(POSIX, fsync; Linux, fsync(2)). Files are synced before the folders that name them, so that no name
on disk leads to content that is not.

Object stores have answered only when an object is safe, so there is nothing to do for them.
"""

import concurrent.futures
import contextlib
import os
from collections.abc import Iterable

from pipeline import storage

# An fsync waits for the disk, which takes several requests at a time.
_THREADS = 16


def sync(paths: Iterable[str], top: str) -> None:
    """Returns when files are on disk, with all the names that lead to them.

    Args:
        paths: Files below `top`.
        top: The folder from which on names may be new; that of `top` itself is not synced.

    Raises:
        OSError: The disk has failed, or a file is missing.
    """
    if storage.is_local(top):
        files = list(map(storage.local, paths))
        _sync_all(files)
        sync_names(files, top)


def sync_names(paths: Iterable[str], top: str) -> None:
    """Returns when the names that lead to files are on disk, if what the files hold is.

    Args:
        paths: As for `sync`.
        top: As for `sync`.

    Raises:
        OSError: As for `sync`.
    """
    if not storage.is_local(top):
        return
    top = storage.local(top)
    folders: set[str] = set()
    for path in paths:
        folder = os.path.dirname(storage.local(path))
        while folder not in folders and len(folder) >= len(top):
            folders.add(folder)
            folder = os.path.dirname(folder)
    _sync_all(folders)


def sync_parents(path: str) -> None:
    """Returns when the names that lead to a local folder are on disk, from the root on.

    Folders that may not be opened are left out: who cannot open them has not made them.
    """
    if not storage.is_local(path):
        return
    folder = os.path.dirname(storage.absolute(path))
    while True:
        with contextlib.suppress(PermissionError):
            _sync(folder)
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


def _sync_all(paths: Iterable[str]) -> None:
    ordered = list(paths)
    # A call for each share: handing each path to a thread costs more than syncing it.
    shares = [ordered[first::_THREADS] for first in range(min(_THREADS, len(ordered)))]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(_sync_each, shares))


def _sync_each(paths: Iterable[str]) -> None:
    for path in paths:
        _sync(path)


def _sync(path: str) -> None:
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens no folders, and writes their entries by itself
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
