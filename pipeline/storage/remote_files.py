"""Files in object stores and on HDFS, through Beam's file systems."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import types
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pipeline.storage.paths import HDFS, WILDCARD, FileInfo, path_fits, segments_of

if TYPE_CHECKING:
    from apache_beam.io.filesystems import FileSystems as BeamFileSystems

# A copy within an object store is one request that waits; it costs this side nothing.
_CALLS = 16


def beam() -> type[BeamFileSystems]:
    """Returns Beam's file systems, with the options of the job."""
    from apache_beam.io.filesystems import FileSystems

    from pipeline.storage import stores

    stores.inherit()
    return FileSystems


def hdfs_files() -> types.ModuleType:
    """Returns the functions for HDFS."""
    beam()  # its options
    from pipeline.storage import hdfs

    return hdfs


def match(pattern: str) -> Iterator[FileInfo]:
    """Yields the files that a pattern names; see `storage.match`."""
    pattern = pattern.rstrip("/")
    literal = list(file_at(pattern))
    if literal:
        return iter(literal)
    wildcard = WILDCARD.search(pattern)
    # A listing of everything below the last folder without a wildcard, then our own rules: what
    # the file systems make of "**" and of hidden names differs.
    base = pattern[: pattern.rindex("/", 0, wildcard.start())] if wildcard else pattern
    segments = segments_of(pattern[len(base) :]) or ["**", "*"]
    return (
        file for file in below(base) if path_fits(file.path[len(base) + 1 :].split("/"), segments)
    )


def file_at(path: str) -> Iterator[FileInfo]:
    """Yields the file of this name, if there is one."""
    if not path.startswith(HDFS):
        yield from _listed(_escape(path))
    elif hdfs_files().is_file(path):
        yield from (FileInfo(*file) for file in hdfs_files().files(path))


def below(directory: str) -> Iterator[FileInfo]:
    """Yields every file below a folder."""
    if directory.startswith(HDFS):
        return (FileInfo(*file) for file in hdfs_files().files(directory))
    return _listed(f"{_escape(directory)}/**")


def exists(path: str) -> bool:
    """Tells whether there is a file of this name."""
    return bool(beam().exists(path))


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored."""
    if path.startswith(HDFS):
        return hdfs_files().open_read(path)
    return beam().open(path, compression_type="uncompressed")


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """Gives a writer for a file, which is deleted again if the ``with`` block raises."""
    if path.startswith(HDFS):
        with hdfs_files().create(path) as file:
            yield file
        return
    remote = beam().create(path, compression_type="uncompressed")
    try:
        yield remote
        remote.close()
    except BaseException:
        with contextlib.suppress(Exception):
            remote.close()
        delete([path])
        raise


def copy(source: str, target: str) -> None:
    """Makes `target` a file with the content of `source`; see `storage.copy`."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        if target.startswith(HDFS):
            hdfs_files().copy(source, target)
        else:
            # On S3 Beam returns what went wrong, everywhere else it raises it.
            for *_, wrong in beam().copy([source], [target]) or ():
                if wrong is not None:
                    raise BeamIOError(f"{source} cannot be copied to {target}", {source: wrong})
    except BeamIOError as error:
        if not exists(source):
            raise FileNotFoundError(source) from error
        raise


def copy_all(pairs: Sequence[tuple[str, str]]) -> None:
    """Copies the first file of each pair to the second, many at a time."""
    with concurrent.futures.ThreadPoolExecutor(_CALLS) as pool:
        for done in [pool.submit(copy, source, target) for source, target in pairs]:
            done.result()


def delete(paths: Sequence[str]) -> None:
    """Deletes files. One that is not there (any more) is no error."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        beam().delete(paths)
    except BeamIOError as error:
        left = [path for path in error.exception_details or paths if exists(path)]
        if left:
            raise
        # Some stores stop at the first missing file: the others get a call of their own.
        if len(paths) > 1:
            for path in paths:
                delete([path])


def _listed(pattern: str) -> Iterator[FileInfo]:
    for result in beam().match([pattern]):
        for file in result.metadata_list:
            if not file.path.endswith("/"):  # the empty object some tools make for a folder
                modified = float(file.last_updated_in_seconds or 0)
                yield FileInfo(file.path, file.size_in_bytes, modified)


def _escape(path: str) -> str:
    """`path` as a Beam pattern that matches only itself."""
    return re.sub(r"([*?[])", r"[\1]", path)
