"""What Beam 2.77's file system for HDFS leaves to be done.

It lists one folder, without saying which of its entries are folders; cannot replace a file; lets a
file be seen while it is written; and says in its own words that one is not there.
"""

import contextlib
import io
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

from apache_beam.io.filesystems import FileSystems


def files(path: str) -> Iterator[tuple[str, int, float]]:
    """The path, size and time (seconds since 1970) of every file below `path`, or of the file."""
    client, name = _client(path)
    status = client.status(name, strict=False)
    if status is not None:
        yield from _files(client, path.rstrip("/"), name.rstrip("/"), status)


def is_file(path: str) -> bool:
    """Whether there is a file, and not a folder, of this name."""
    client, name = _client(path)
    status = client.status(name, strict=False)
    return status is not None and status["type"] == "FILE"


def open_read(path: str) -> BinaryIO:
    """A file opened for reading.

    Raises:
        FileNotFoundError: There is none.
    """
    from hdfs import HdfsError  # type: ignore[import-not-found]

    try:
        return FileSystems.open(path, compression_type="uncompressed")
    except HdfsError as error:
        if not is_file(path):
            raise FileNotFoundError(path) from error
        raise


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """A writer for `path`, which appears, or is replaced, when the ``with`` block ends."""
    client, name = _client(path)
    folder, _, file = path.rpartition("/")
    temporary = f"{folder}/.{file}.{uuid.uuid4().hex}.tmp"
    hidden = _client(temporary)[1]
    remote = FileSystems.create(temporary, compression_type="uncompressed")
    try:
        yield remote
        remote.close()
        client.delete(name)
        client.rename(hidden, name)
    except BaseException:
        with contextlib.suppress(Exception):
            remote.close()
        client.delete(hidden)
        raise


def copy(source: str, target: str) -> None:
    """Makes `target` a file with the content of `source`."""
    with open_read(source) as content, create(target) as file:
        while chunk := content.read(io.DEFAULT_BUFFER_SIZE << 7):
            file.write(chunk)


def _files(
    client: Any, path: str, name: str, status: dict[str, Any]
) -> Iterator[tuple[str, int, float]]:
    if status["type"] == "FILE":
        yield path, status["length"], status["modificationTime"] / 1000
        return
    for entry, below in client.list(name or "/", status=True):
        yield from _files(client, f"{path}/{entry}", f"{name}/{entry}", below)


def _client(path: str) -> tuple[Any, str]:
    """Beam's client of the WebHDFS server, and what that server calls `path`."""
    file_system: Any = FileSystems.get_filesystem(path)
    return file_system._hdfs_client, file_system._parse_url(path)[1]
