"""Files on HDFS, through WebHDFS, the protocol of its name node and its data nodes.

A file is written under a hidden name and then renamed, so nobody sees half of it. A range is read
by a request for just this range. A folder is listed level by level, many folders at a time.
(Hadoop, "WebHDFS REST API".)
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import urllib3

from pipeline.storage import stores
from pipeline.storage.paths import FileInfo, temporary_name
from pipeline.storage.ranges import REQUESTS, threads

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NEEDED = ("hdfs_host", "hdfs_port", "hdfs_user")
_URL = re.compile(r"hdfs:/(/.*)", re.DOTALL)
_FULL_URL = re.compile(r"hdfs://[^/]+(/.*)?", re.DOTALL)
# Where the connection breaks, or the server is not ready, a request is repeated; the first time at
# once, then after 0.4 s, then after twice as long each time.
_RETRY = urllib3.Retry(total=6, backoff_factor=0.2, status_forcelist=(502, 503, 504), redirect=2)


def files(folder: str) -> Iterator[FileInfo]:
    """Yields every file below a folder."""
    level = [folder.rstrip("/")]
    while level:
        below: list[str] = []
        for path, entries in zip(level, threads().map(_entries, level), strict=True):
            for entry in entries:
                name = entry["pathSuffix"]
                if entry["type"] == "DIRECTORY":
                    below.append(f"{path}/{name}")
                elif name:  # a file that is listed itself has none
                    yield _info(f"{path}/{name}", entry)
        level = below


def file_at(path: str) -> FileInfo | None:
    """Returns the file of this name, if there is one, and not a folder."""
    with contextlib.suppress(FileNotFoundError):
        status = _json("GET", path, "GETFILESTATUS")["FileStatus"]
        return _info(path, status) if status["type"] == "FILE" else None
    return None


def read(path: str) -> bytes:
    """Returns the content of a file."""
    return _call("GET", path, "OPEN")


def fetch(path: str, start: int, size: int) -> bytes:
    """Returns some bytes of a file; fewer if it ends before."""
    return _call("GET", path, "OPEN", offset=start, length=size)


def look(path: str, start: int, size: int) -> tuple[bytes, int]:
    """Returns what `fetch` does, and the file's size; what begins at -n is its last n bytes."""
    file = file_at(path)
    if file is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    start = max(0, file.bytes + start) if start < 0 else start
    size = min(size, file.bytes - start)
    return (fetch(path, start, size) if size > 0 else b""), file.bytes


def write(path: str, data: Buffer) -> None:
    """Makes, or replaces, a file in one step."""
    _put(path, io.BytesIO(data))


def upload(path: str, file: IO[bytes]) -> None:
    """Makes, or replaces, a file in one step: with what was written to a local one."""
    _put(path, file)


def write_new(path: str, data: Buffer) -> None:
    """Makes a file that nobody knows of until this is done."""
    _make(path, io.BytesIO(data))


def _put(path: str, file: IO[bytes]) -> None:
    folder, _, name = path.rpartition("/")
    hidden = f"{folder}/{temporary_name(name)}"
    try:
        _make(hidden, file)
        _call("PUT", hidden, "RENAME", destination=_name(path), renameoptions="OVERWRITE")
    except BaseException:
        with contextlib.suppress(Exception):
            _call("DELETE", hidden, "DELETE")
        raise


def _make(path: str, file: IO[bytes]) -> None:
    """Writes a file under its name, to the data node that the name node sends us to."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    answer = _request(path, "PUT", _url(path, "CREATE", overwrite="true"), redirect=False)
    length = {"Content-Length": str(size)}
    _request(path, "PUT", answer.headers["Location"], body=file, headers=length)


def copy(source: str, target: str) -> None:
    """Makes `target` a file with the content of `source`; HDFS has no way to do it by itself."""
    write(target, read(source))


def delete(paths: Iterable[str]) -> None:
    """Deletes files. One that is not there (any more) is no error."""
    list(threads().map(lambda path: _call("DELETE", path, "DELETE"), paths))


def _entries(path: str) -> list[dict[str, Any]]:
    """What is in a folder; nothing if there is no such folder."""
    with contextlib.suppress(FileNotFoundError):
        return list(_json("GET", path, "LISTSTATUS")["FileStatuses"]["FileStatus"])
    return []


def _info(path: str, status: dict[str, Any]) -> FileInfo:
    return FileInfo(path, status["length"], status["modificationTime"] / 1000)


def _json(method: str, path: str, operation: str, **parameters: Any) -> Any:
    return json.loads(_call(method, path, operation, **parameters))


def _call(method: str, path: str, operation: str, **parameters: Any) -> bytes:
    return _request(path, method, _url(path, operation, **parameters)).data


def _request(path: str, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:
    """The answer to a request.

    Raises:
        OSError: It was refused, or nobody answers.
    """
    try:
        answer = _http().request(method, url, **more)
    except urllib3.exceptions.HTTPError as error:
        raise OSError(f"{path}: {' '.join(str(error).split())}") from error
    if answer.status >= 400:
        raise _error(path, answer)
    return answer


def _url(path: str, operation: str, **parameters: Any) -> str:
    options = stores.given()
    missing = [f"--{name}" for name in _NEEDED if not options.get(name)]
    if missing:
        raise OSError(f"{path}: HDFS needs {', '.join(missing)}, for WebHDFS")
    query = urlencode({"op": operation, "user.name": options["hdfs_user"], **parameters})
    server = f"{options['hdfs_host']}:{options['hdfs_port']}"
    return f"http://{server}/webhdfs/v1{quote(_name(path))}?{query}"


def _name(path: str) -> str:
    """What the server calls a file; whether its URL names the server, too, is up to an option."""
    has_server = stores.given().get("hdfs_full_urls")
    found = (_FULL_URL if has_server else _URL).fullmatch(path)
    if found is None:
        raise OSError(f"{path}: HDFS has no such URL")
    return found[1] or "/"


@functools.cache
def _http() -> urllib3.PoolManager:
    """The connections of this process."""
    return urllib3.PoolManager(maxsize=REQUESTS, retries=_RETRY)


def _error(path: str, answer: urllib3.BaseHTTPResponse) -> OSError:
    """The error for an answer that is none."""
    try:
        said = json.loads(answer.data)["RemoteException"]
        kind, why = said["exception"], " ".join(said["message"].split())
    except (ValueError, KeyError, TypeError):
        kind, why = "", f"the server answers {answer.status} {answer.reason}"
    if answer.status == 404:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if kind in ("AccessControlException", "SecurityException"):
        return PermissionError(errno.EACCES, why, path)
    return OSError(f"{path}: {why}")
