"""Stands in front of fake-gcs-server and puts three requests into words that it understands.

Google Cloud Storage speaks two protocols. Beam uses the JSON API, which the server knows; Delta
writes an object with the XML API: a plain ``PUT`` to its address, under the precondition
``x-goog-if-generation-match``. The same request exists in the JSON API, so it is passed on as that
one: the server stores the object and checks the precondition, this file decides nothing. Of
a list of objects from some name on (``start-after``), as Delta asks for, the server gives all. And
of a batch of requests, by which Beam deletes, it wants each part to have an id, which Google's
library for Python leaves out.

All other requests go through as they come. Each must bear a token; of any kind, since both clients
get theirs in their own way from the same key, Beam by asking for it here.

    python -m tests.apparatus.gcs_front PORT PORT_OF_THE_SERVER
"""

import http.client
import http.server
import json
import sys
import urllib.parse
import xml.etree.ElementTree

from tests.apparatus.servers import HOST

TOKEN_PATH = "/token"

# What belongs to one connection, and not to the message.
_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class Front(http.server.BaseHTTPRequestHandler):
    """Passes requests on to the server on `backend`, a port."""

    protocol_version = "HTTP/1.1"
    backend = 0

    def do_PUT(self) -> None:
        """Passes on a ``PUT``, if it is one of the XML API as what the JSON API says for it."""
        url = urllib.parse.urlsplit(self.path)
        bucket, _, name = url.path.lstrip("/").partition("/")
        if url.query or bucket in ("storage", "upload", "_internal"):
            self.pass_on()
            return
        wanted = {"uploadType": "media", "name": urllib.parse.unquote(name)}
        generation = self.headers.get("x-goog-if-generation-match")
        if generation is not None:
            wanted["ifGenerationMatch"] = generation
        path = f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(wanted)}"
        status, headers, body = self._ask("POST", path, self._read())
        if status == http.HTTPStatus.OK:
            stored = json.loads(body)
            headers = {"ETag": stored["etag"], "x-goog-generation": stored["generation"]}
            body = b""
        self._answer(status, headers, body)

    def do_POST(self) -> None:
        """Gives a token to who asks for one, and passes on any other ``POST``."""
        body = self._read()
        if self.path == TOKEN_PATH:
            token = {"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600}
            content = {"Content-Type": "application/json"}
            self._answer(http.HTTPStatus.OK, content, json.dumps(token).encode())
            return
        if self.path.startswith("/batch/"):
            part = b"Content-Type: application/http\n"
            body = body.replace(part, part + b"Content-ID: <part>\n")
        self._answer(*self._ask("POST", self.path, body))

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


if __name__ == "__main__":
    port, Front.backend = map(int, sys.argv[1:])
    http.server.ThreadingHTTPServer((HOST, port), Front).serve_forever()
