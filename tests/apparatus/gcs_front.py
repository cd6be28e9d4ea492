"""Stands in front of fake-gcs-server and puts four requests into words that it understands.

Google Cloud Storage speaks two protocols. The server knows the JSON API, and of the XML API what
reads, lists and deletes. obstore and deltalake use the XML API for all they do. So here a plain
``PUT`` of an object, under the precondition ``x-goog-if-generation-match``, and a copy become the
JSON API's requests for the same: the server stores the object and checks the precondition, this
file decides nothing. The parts of an upload in parts are kept here until they are one object. And
of a list of objects from some name on (``start-after``), as Delta asks for, the server gives all.

All other requests go through as they come. Each must bear a token, of any kind.

    python -m tests.apparatus.gcs_front PORT PORT_OF_THE_SERVER
"""

import http.client
import http.server
import json
import secrets
import sys
import urllib.parse
import xml.etree.ElementTree
from typing import ClassVar

from tests.apparatus.servers import HOST

# What belongs to one connection, and not to the message.
_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class Front(http.server.BaseHTTPRequestHandler):
    """Passes requests on to the server on `backend`, a port."""

    protocol_version = "HTTP/1.1"
    backend = 0

    uploads: ClassVar[dict[str, dict[int, bytes]]] = {}

    def do_PUT(self) -> None:
        """Stores an object, or a part of one, or copies one."""
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = self._read()
            self._answer(http.HTTPStatus.OK, {"ETag": '"a-part"'}, b"")
        elif source := self.headers.get("x-goog-copy-source"):
            origin, target = map(_place, (source, url.path))
            self._answer(*self._ask("POST", f"/storage/v1{origin}/rewriteTo{target}", b""))
        else:
            self._store(url.path, self._read())

    def do_POST(self) -> None:
        """Begins or ends an upload in parts, or passes on any other ``POST``."""
        url, body = urllib.parse.urlsplit(self.path), self._read()
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        if "uploads" in query:
            number = secrets.token_hex(8)
            self.uploads[number] = {}
            told = f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>"  # noqa: E501
            self._answer(http.HTTPStatus.OK, {}, told.encode())
        elif "uploadId" in query and not url.path.startswith("/upload/"):
            parts = self.uploads.pop(query["uploadId"])
            self._store(url.path, b"".join(parts[number] for number in sorted(parts)))
        else:
            self._answer(*self._ask("POST", self.path, body))

    def _store(self, path: str, content: bytes) -> None:
        bucket, _, name = path.lstrip("/").partition("/")
        wanted = {"uploadType": "media", "name": urllib.parse.unquote(name)}
        generation = self.headers.get("x-goog-if-generation-match")
        if generation is not None:
            wanted["ifGenerationMatch"] = generation
        path = f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(wanted)}"
        status, headers, body = self._ask("POST", path, content)
        if status == http.HTTPStatus.OK:
            stored = json.loads(body)
            headers = {"ETag": stored["etag"], "x-goog-generation": stored["generation"]}
            told = f"<CompleteMultipartUploadResult><ETag>{stored['etag']}</ETag></CompleteMultipartUploadResult>"  # noqa: E501
            body = told.encode() if self.command == "POST" else b""
        self._answer(status, headers, body)

    def pass_on(self) -> None:
        """Passes on any other request."""
        self._answer(*self._ask(self.command, self.path, self._read()))

    do_HEAD = do_DELETE = do_PATCH = pass_on

    def do_GET(self) -> None:
        """Passes on a ``GET``, and shortens a list that is to begin after some name."""
        status, headers, body = self._ask("GET", self.path, self._read())
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if status == http.HTTPStatus.OK and "start-after" in query:
            listed = xml.etree.ElementTree.fromstring(body)
            for entry in listed.findall("Contents"):
                if str(entry.findtext("Key")) <= query["start-after"]:
                    listed.remove(entry)
            body = xml.etree.ElementTree.tostring(listed)
        self._answer(status, headers, body)

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return http.HTTPStatus.UNAUTHORIZED, {}, b""
        connection = http.client.HTTPConnection(HOST, self.backend)
        try:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in _HOP
            }
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the server itself has a log."""


def _place(path: str) -> str:
    """What the JSON API calls an object."""
    bucket, _, name = path.lstrip("/").partition("/")
    quoted = urllib.parse.quote(urllib.parse.unquote(name), safe="")
    return f"/b/{bucket}/o/{quoted}"


if __name__ == "__main__":
    port, Front.backend = map(int, sys.argv[1:])
    http.server.ThreadingHTTPServer((HOST, port), Front).serve_forever()
