"""A store that speaks as much of S3's protocol as the job needs, in this process.

Unlike a real one it can be told to fail, and has objects of any name.
"""

import contextlib
import datetime
import email.utils
import http.server
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from pipeline.storage import stores

BUCKET = "bucket"

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FakeS3:
    """The store.

    Attributes:
        port: Where it listens, on the loopback address.
        objects: Their contents, by their keys.
        requests: What was asked for: the method, and the path with its query.
        ranges: Where the ranges that were asked for begin and end.
        locked: Objects that nobody may read or delete.
        page: How many objects a page of a listing has.
        fault: Gets the number of a request, from 1; returns the status to fail with, 0 to cut the
            connection, -1 to cut it in the middle of the answer, None to serve it.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.times: dict[str, datetime.datetime] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.requests: list[tuple[str, str]] = []
        self.page = 1000
        self.fault: Callable[[int], int | None] = lambda number: None
        self.locked: set[str] = set()
        self.ranges: list[tuple[int, int]] = []
        self.port = 0

    def put(self, key: str, content: bytes) -> None:
        """Makes an object."""
        self.objects[key] = content
        self.times[key] = datetime.datetime.now(datetime.timezone.utc)

    def lead_here(self, patch: pytest.MonkeyPatch) -> None:
        """Lets this process take the store for S3."""
        options = {
            "s3_endpoint_url": f"http://127.0.0.1:{self.port}",
            "s3_region_name": "nowhere",
            "s3_access_key_id": "key",
            "s3_secret_access_key": "secret",
        }
        patch.setattr(stores, "_known", options)

    def asked(self, method: str) -> list[str]:
        """The paths of the requests of one method."""
        return [path for asked, path in self.requests if asked == method]


@contextlib.contextmanager
def serving() -> Iterator[FakeS3]:
    """The store, within the ``with`` block."""
    store = FakeS3()
    handler = type("Handler", (_Handler,), {"store": store, "lock": threading.Lock()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        store.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield store
        server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: FakeS3
    lock: threading.Lock

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: value[0] for name, value in parse_qs(url.query, True).items()}
        _, bucket, *names = url.path.split("/", 2)
        key = unquote("".join(names))
        with self.lock:
            self.store.requests.append((self.command, self.path))
            fault = self.store.fault(len(self.store.requests))
        if fault == 0:
            self.close_connection = True
        elif fault and fault > 0:
            self._send(fault, b"")
        elif unquote(bucket) != BUCKET:
            self._send(404, _error("NoSuchBucket", "The specified bucket does not exist."))
        else:
            with self.lock:
                status, content, headers = getattr(self, f"_{self.command}")(key, query, body)
            self._send(status, content, headers, cut=fault == -1)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False
    ) -> None:
        self.send_response(status)
        fields = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True

    def _GET(self, key: str, query: dict[str, str], body: bytes) -> Any:
        if not key:
            return 200, self._listing(query), {}
        if key in self.store.locked:
            return 403, _error("AccessDenied", "Access\n Denied"), {}
        if key not in self.store.objects:
            return 404, _error("NoSuchKey", "The specified key does not exist."), {}
        content = self.store.objects[key]
        headers = {
            "ETag": f'"{hash(content)}"',
            "Last-Modified": email.utils.format_datetime(self.store.times[key], True),
        }
        if (found := _RANGE.fullmatch(self.headers.get("Range") or "")) is None:
            return 200, content, headers
        start = int(found[1]) if found[1] else max(0, len(content) - int(found[2]))
        end = min(int(found[2]) + 1, len(content)) if found[1] and found[2] else len(content)
        if start >= len(content):
            return 416, _error("InvalidRange", "The requested range is not satisfiable"), {}
        self.store.ranges.append((start, end))
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        return 206, content[start:end], headers

    def _HEAD(self, key: str, query: dict[str, str], body: bytes) -> Any:
        status, content, headers = self._GET(key, query, body)
        return status, content if status == 200 else b"", headers

    def _PUT(self, key: str, query: dict[str, str], body: bytes) -> Any:
        if source := self.headers.get("x-amz-copy-source"):
            origin = unquote(source).removeprefix(f"{BUCKET}/")
            if origin not in self.store.objects:
                return 404, _error("NoSuchKey", "The specified key does not exist."), {}
            self.store.put(key, self.store.objects[origin])
            return 200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>", {}
        if "uploadId" in query:
            self.store.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.store.put(key, body)
        return 200, b"", {"ETag": '"x"'}

    def _POST(self, key: str, query: dict[str, str], body: bytes) -> Any:
        if "delete" in query:
            lines = []
            for name in (
                unquote(str(one.text))
                for one in ET.fromstring(body).iter()
                if one.tag.endswith("Key")
            ):
                if name in self.store.locked:
                    lines.append(
                        f"<Error><Key>{escape(name)}</Key><Code>AccessDenied</Code><Message>Denied</Message></Error>"
                    )
                else:
                    self.store.objects.pop(name, None)
                    lines.append(f"<Deleted><Key>{escape(name)}</Key></Deleted>")
            return 200, f"<DeleteResult>{''.join(lines)}</DeleteResult>".encode(), {}
        if "uploads" in query:
            number = str(len(self.store.uploads))
            self.store.uploads[number] = {}
            return (
                200,
                f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>".encode(),
                {},
            )
        parts = self.store.uploads[query["uploadId"]]
        self.store.put(key, b"".join(parts[number] for number in sorted(parts)))
        return (
            200,
            b'<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>',
            {},
        )

    def _DELETE(self, key: str, query: dict[str, str], body: bytes) -> Any:
        self.store.objects.pop(key, None)
        return 204, b"", {}

    def _listing(self, query: dict[str, str]) -> bytes:
        after = query.get("continuation-token") or query.get("start-after") or ""
        keys = sorted(key for key in self.store.objects if key.startswith(query.get("prefix", "")))
        left = [key for key in keys if key > after]
        page = left[: self.store.page]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key>"
            f"<LastModified>{self.store.times[key].isoformat()}</LastModified>"
            f"<Size>{len(self.store.objects[key])}</Size></Contents>"
            for key in page
        )
        more = len(left) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        truncated = str(more).lower()
        return (
            f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{entries}"
            "</ListBucketResult>"
        ).encode()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def _error(code: str, message: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
