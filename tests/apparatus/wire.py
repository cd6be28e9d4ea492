"""A proxy in front of a store's server: it counts requests and bytes, delays, and fails on purpose.

It speaks HTTP/1.1 to both sides and passes everything on as it comes, so signatures stay valid.
Where a server sends its client on to another one, as HDFS does, the client comes here again. What
it has seen is a list of `Exchange`, from which tests add up what a run costs.
"""

import asyncio
import contextlib
import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tests.apparatus.servers import HOST

_CHUNK_BYTES = 1 << 18
_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_LISTS = ("list-type=", "prefix=", "op=LISTSTATUS")
_LOCATION = re.compile(rb"(?im)^location: *http://([^/:\r\n]+):(\d+)")
_HOST = re.compile(rb"(?im)^host:.*\r\n")


class Exchange(NamedTuple):
    """A request and its answer.

    Attributes:
        began: When the request arrived, in seconds of `time.monotonic`.
        ended: When the last byte of the answer was passed on.
        method: The request's method.
        target: Its path and query, as sent.
        status: The answer's status; 0 if the connection was cut.
        up: Bytes from the client, headers included.
        down: Bytes to the client, headers included.
        copies: Whether the server was asked to copy an object.
    """

    began: float
    ended: float
    method: str
    target: str
    status: int
    up: int
    down: int
    copies: bool = False

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def kind(self) -> str:
        """What is asked for: GET, PUT, HEAD, LIST, COPY, DELETE, MULTIPART, or the method."""
        query = self.target.partition("?")[2]
        if "uploads" in query or "uploadId=" in query or "upload_id=" in query:
            return "MULTIPART"
        if self.copies:
            return "COPY"
        if "op=GETFILESTATUS" in query:
            return "HEAD"
        if "op=RENAME" in query:
            return "RENAME"
        if self.method == "GET" and any(sign in query for sign in _LISTS):
            return "LIST"
        return "DELETE" if self.method == "POST" and query.startswith("delete") else self.method


class Fault(NamedTuple):
    """What happens to a request instead of an answer.

    Attributes:
        status: The status that is answered; 0 cuts the connection.
        after: How many bytes of the real answer's body are passed on before the connection is cut;
            -1 does not ask the server.
    """

    status: int
    after: int = -1


class Wire:
    """The proxy as tests see it.

    Attributes:
        port: Where it listens, on `servers.HOST`.
        exchanges: What has passed, in the order in which it ended.
        delay_seconds: How long each request waits before it is passed on.
        fault: Gets the number of each request (from 1) and its target; returns what goes wrong.
    """

    def __init__(self, host: str = "") -> None:
        self.port = 0
        self.exchanges: list[Exchange] = []
        self.delay_seconds = 0.0
        self.fault: Callable[[int, str], Fault | None] = lambda number, target: None
        self._host = host.encode()
        self._numbers = itertools.count(1)
        self._under_way = 0
        self._doors: dict[bytes, int] = {}

    def taken(self) -> list[Exchange]:
        """Returns what has passed since this was last asked, once nothing is under way."""
        while self._under_way:
            time.sleep(0.01)
        passed, self.exchanges = self.exchanges, []
        return passed

    async def door(self, behind: int) -> int:
        """Listens for clients of a server; returns the port."""

        async def serve(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
            await self._serve(client, answers, behind)

        server = await asyncio.start_server(serve, HOST, 0, limit=1 << 20, backlog=1024)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serve(
        self, client: asyncio.StreamReader, answers: asyncio.StreamWriter, behind: int
    ) -> None:
        """Serves one connection of a client."""
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await _head(client):
                if server is None:
                    server = await asyncio.open_connection(HOST, behind, limit=1 << 20)
                self._under_way += 1
                try:
                    if not await self._exchange(head, client, answers, server):
                        break
                finally:
                    self._under_way -= 1
                if server[0].at_eof():
                    server[1].close()
                    server = None
        for writer in (answers, *(server[1:] if server else ())):
            writer.close()

    async def _exchange(
        self,
        head: "_Head",
        client: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """Passes on one request and its answer; whether the connection can be used again."""
        began = time.monotonic()
        method, target = head.first.split(" ")[:2]
        fault = self.fault(next(self._numbers), target)
        reader, writer = server
        if "expect" in head.fields:
            answers.write(b"HTTP/1.1 100 Continue" + _HEAD_END)
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        asks = fault is None or fault.after >= 0
        sink = writer if asks else None
        if sink:
            told = head.without("expect")
            sink.write(_HOST.sub(b"Host: %s\r\n" % self._host, told) if self._host else told)
        up = len(head.raw) + await _pass(client, sink, head)
        status, down, again = 0, 0, False
        if asks:
            answer = await _head(reader)
            if answer is None:
                raise ConnectionResetError
            limit = None if fault is None else fault.after
            status = int(answer.first.split(" ")[1])
            answers.write(await self._sent_here(answer.raw))
            is_empty = method == "HEAD" or status in (204, 304)
            body = 0 if is_empty else await _pass(reader, answers, answer, limit)
            down = len(answer.raw) + body
            again = limit is None and "close" not in answer.fields.get("connection", "")
        elif fault is not None and fault.status:
            status, again = fault.status, True
            said = f"HTTP/1.1 {status} On Purpose\r\nContent-Length: 0\r\n\r\n".encode()
            answers.write(said)
            down = len(said)
        if again:
            await answers.drain()
        else:
            with contextlib.suppress(ConnectionError):
                await answers.drain()
        copies = any(name.endswith("copy-source") for name in head.fields)
        ended = time.monotonic()
        self.exchanges.append(Exchange(began, ended, method, target, status, up, down, copies))
        return again

    async def _sent_here(self, head: bytes) -> bytes:
        """The head of an answer that sends the client on, to a door of this proxy instead."""
        if not (found := _LOCATION.search(head)):
            return head
        if found[2] not in self._doors:
            self._doors[found[2]] = await self.door(int(found[2]))
        here = b"Location: http://%s:%d" % (HOST.encode(), self._doors[found[2]])
        return head[: found.start()] + here + head[found.end() :]


@contextlib.contextmanager
def watching(behind: int, host: str = "") -> Iterator[Wire]:
    """Passes on to a port what comes to `Wire.port`, in a thread, within the ``with`` block.

    Args:
        behind: The port of the server.
        host: What the server is to be called; as the client calls it if not given.
    """
    wire, loop = Wire(host), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    wire.port = asyncio.run_coroutine_threadsafe(wire.door(behind), loop).result()
    try:
        yield wire
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def rounds(exchanges: Iterable[Exchange]) -> int:
    """Returns how many exchanges there were one after another, each begun when one had ended."""
    found, end = 0, 0.0
    for exchange in sorted(exchanges):
        if exchange.began >= end:
            found, end = found + 1, exchange.ended
        else:
            end = min(end, exchange.ended)
    return found


class Cost(NamedTuple):
    """What some exchanges cost: how many there were, and bytes both ways."""

    requests: int
    up: int
    down: int


def costs(
    exchanges: Iterable[Exchange], step: Callable[[Exchange], str]
) -> dict[tuple[str, str], Cost]:
    """Adds exchanges up by step and kind."""
    requests, up, down = (
        Counter[tuple[str, str]](),
        Counter[tuple[str, str]](),
        Counter[tuple[str, str]](),
    )
    for exchange in exchanges:
        key = step(exchange), exchange.kind
        requests[key] += 1
        up[key] += exchange.up
        down[key] += exchange.down
    return {key: Cost(requests[key], up[key], down[key]) for key in sorted(requests)}


class _Head(NamedTuple):
    """The head of a request or an answer: its first line, its fields, and its bytes."""

    first: str
    fields: dict[str, str]
    raw: bytes

    def without(self, name: str) -> bytes:
        """Its bytes without a field."""
        return re.sub(rb"(?im)^%s:.*\r\n" % name.encode(), b"", self.raw)


async def _head(reader: asyncio.StreamReader) -> _Head | None:
    """Reads a head; None at the end of the connection. Skips interim answers."""
    while True:
        try:
            raw = await reader.readuntil(_HEAD_END)
        except asyncio.IncompleteReadError:
            return None
        first, *lines = raw[: -len(_HEAD_END)].decode("latin-1").split("\r\n")
        if " 100 " not in f"{first} ":
            pairs = (line.partition(":") for line in lines)
            return _Head(first, {name.lower(): value.strip() for name, _, value in pairs}, raw)


async def _pass(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter | None,
    head: _Head,
    limit: int | None = None,
) -> int:
    """Passes on the body that a head announces, or its first `limit` bytes; how many there were."""

    async def send(data: bytes) -> None:
        nonlocal passed
        if limit is not None:
            data = data[: max(limit - passed, 0)]
        passed += len(data)
        if writer is not None:
            writer.write(data)
            await writer.drain()

    passed = 0
    if "chunked" in head.fields.get("transfer-encoding", ""):
        size = -1
        while size:
            line = await reader.readuntil(_LINE_END)
            size = int(line.split(b";")[0], 16)
            await send(line + await reader.readexactly(size) if size else line)
            if size:
                await send(await reader.readuntil(_LINE_END))
        while True:  # trailers, which signed uploads have
            line = await reader.readuntil(_LINE_END)
            await send(line)
            if line == _LINE_END:
                return passed
    left = int(head.fields.get("content-length", 0))
    while left:
        data = await reader.read(min(left, _CHUNK_BYTES))
        if not data:
            raise ConnectionResetError
        left -= len(data)
        await send(data)
    return passed
