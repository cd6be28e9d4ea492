"""Objects on S3 and Google Cloud Storage, through obstore: the library below deltalake, for Python.

Its requests are tried again, for up to three minutes, where the store is busy or the connection
breaks, also in the middle of an answer. What cannot be done is an `OSError` that names the path.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import GCSStore, S3Store

from pipeline.storage import stores
from pipeline.storage.paths import FileInfo
from pipeline.storage.ranges import threads

if TYPE_CHECKING:
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

# What one request writes at most: more than a block stages. Larger objects are written in parts of
# that size, which takes two more requests.
_PUT_BYTES = 32 << 20
# Parts that are under way at once.
_PUTS = 4
# What a page of a listing has, on every store.
_PAGE = 1000
# A request may take long as long as bytes come: a slow connection is no failure.
# How often a call is made whose answers break off.
_ATTEMPTS = 5
_CLIENT = {"timeout": "1h", "read_timeout": "1min", "connect_timeout": "10s"}

_T = TypeVar("_T")
_URL = re.compile(r"(\w+)://([^/]+)/?(.*)", re.DOTALL)
# A client without keys asks the machine that it runs on, at these addresses.
_NO_KEYS = re.compile(r"169\.254\.169\.254|metadata\.google")
_SAID = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
_BROKEN = re.compile(r"in \S+ - HTTP error|body: HTTP error")
# How servers answer for a range where there are no bytes.
_BEYOND_END = re.compile(r"\b416 |non-partial response|CONTENT_RANGE header")


class _Object(NamedTuple):
    """An object: the store of its bucket, its key, and its bucket's URL."""

    store: ObjectStore
    key: str
    bucket: str


def files(folder: str) -> Iterator[FileInfo]:
    """Yields every object below a folder."""
    store, key, bucket = _object(folder)
    with _named(folder):
        listed = _again(lambda: obstore.list(store, key or None, chunk_size=_PAGE).collect())
    empty: list[str] = []
    for found in listed:
        path, size = f"{bucket}/{found['path']}", found["size"]
        if size:
            yield FileInfo(path, size, found["last_modified"].timestamp())
        elif found["path"] != key:
            empty.append(path)
    # Some tools make an empty object for a folder, whose name ends with a slash. obstore leaves the
    # slash out; by the name without it there is no object.
    yield from (file for file in threads().map(file_at, empty) if file)


def file_at(path: str) -> FileInfo | None:
    """Returns the object of this name, if there is one."""
    store, key, _ = _object(path)
    if not key:
        return None
    with _named(path):
        try:
            found = obstore.head(store, key)
        except FileNotFoundError:
            return None
    return FileInfo(path, found["size"], found["last_modified"].timestamp())


def read(path: str) -> bytes:
    """Returns the content of an object."""
    store, key, _ = _object(path)
    with _named(path):
        return bytes(obstore.get(store, key).bytes())


def fetch(path: str, start: int, size: int) -> bytes:
    """Returns some bytes of an object; fewer if it ends before."""
    return look(path, start, size)[0]


def look(path: str, start: int, size: int) -> tuple[bytes, int]:
    """Returns what `fetch` does, and the object's size; what begins at -n is its last n bytes."""
    store, key, _ = _object(path)
    wanted: Any = {"suffix": -start} if start < 0 else (start, start + size)
    with _named(path):
        try:
            found = obstore.get(store, key, options={"range": wanted})
            return bytes(found.bytes()), found.meta["size"]
        except BaseError as error:
            if not _BEYOND_END.search(str(error)):
                raise
        return b"", obstore.head(store, key)["size"]


def write(path: str, data: Buffer) -> None:
    """Makes, or replaces, an object in one step."""
    _put(path, memoryview(data).cast("B"), memoryview(data).nbytes)


write_new = write


def upload(path: str, file: IO[bytes]) -> None:
    """Makes, or replaces, an object in one step: with what was written to a file."""
    size = file.tell()
    file.seek(0)
    _put(path, file if size > _PUT_BYTES else file.read(), size)


def _put(path: str, content: Any, size: int) -> None:
    store, key, _ = _object(path)

    def put() -> None:
        if size > _PUT_BYTES and hasattr(content, "seek"):
            content.seek(0)
        obstore.put(
            store,
            key,
            content,
            use_multipart=size > _PUT_BYTES,
            chunk_size=_PUT_BYTES,
            max_concurrency=_PUTS,
        )

    with _named(path):
        _again(put)


def copy(source: str, target: str) -> None:
    """Makes `target` an object with the content of `source`, in one step."""
    store, key, bucket = _object(source)
    _, new_key, new_bucket = _object(target)
    if bucket != new_bucket:
        write(target, read(source))
        return
    with _named(source):
        _again(lambda: obstore.copy(store, key, new_key))


def delete(paths: Iterable[str]) -> None:
    """Deletes objects. One that is not there (any more) is no error."""
    keys: dict[str, list[str]] = {}
    for path in paths:
        keys.setdefault(_object(path).bucket, []).append(_object(path).key)
    for bucket, some in keys.items():
        with _named(bucket):
            _delete(_object(bucket).store, some)


def _delete(store: ObjectStore, keys: Sequence[str]) -> None:
    try:
        _again(lambda: obstore.delete(store, keys))
    except FileNotFoundError:
        # Google Cloud Storage stops at the first one that is missing.
        if len(keys) > 1:
            list(threads().map(lambda key: _delete(store, [key]), keys))


def _again(call: Callable[[], _T]) -> _T:
    """Makes a call, again if the connection breaks in the middle of an answer.

    All else that may pass is tried again by obstore. Each call here may be made twice.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return call()
        except BaseError as error:
            if not _BROKEN.search(str(error)):
                raise
    return call()


def _object(path: str) -> _Object:
    found = _URL.fullmatch(path)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "it names no bucket", path)
    scheme, bucket, key = found.groups()
    place = f"{scheme}://{bucket}"
    store = _opened(scheme, bucket, tuple(sorted(stores.connection(place).items())))
    return _Object(store, key, place)


@functools.lru_cache(maxsize=16)
def _opened(scheme: str, bucket: str, options: tuple[tuple[str, str], ...]) -> ObjectStore:
    """The store of a bucket; one in a process, which keeps its connections."""
    config: Any = dict(options)
    plain = config.pop("AWS_ALLOW_HTTP", "") or config.pop("allow_http", "")
    client: Any = {**_CLIENT, "allow_http": bool(plain)}
    if scheme == "gs":
        return GCSStore(bucket, config=config, client_options=client)
    keys = stores.profile()
    return S3Store(bucket, config=config, client_options=client, credential_provider=keys)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Makes what obstore raises an `OSError` that says what could not be reached, and why."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, _why(error), path) from error
    except InvalidPathError as error:
        way_out = "rename it, or give a folder that it does not lie in"
        raise OSError(f"{path}: {_why(error)}; {way_out}") from error
    except (BaseError, ValueError) as error:
        raise OSError(f"{path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """What went wrong, in one line: in the store's own words if it has said something."""
    text = str(error)
    if _NO_KEYS.search(text):
        return (
            "no keys were found: for S3 set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for Google"
            " Cloud Storage GOOGLE_APPLICATION_CREDENTIALS; the machine was asked and gave none"
        )
    if said := _SAID.search(text):
        return f"{' '.join(said[2].split())} ({said[1]})"
    return " ".join(text.partition("\n\nDebug source")[0].split())
