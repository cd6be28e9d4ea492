"""What files are, from their beginnings: compression, encoding, framing, events and rejects.

The same functions look at them that a run reads them with, so what is told here is what will be.
"""

import concurrent.futures
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.framing.borders import MARK, WHITE
from pipeline.input import compression, decoding, events, sniff
from pipeline.input.compression import DamagedFileError
from pipeline.input.contracts import Checker, Contract
from pipeline.input.decoding import ENVELOPE_BYTES, Decoded, Part
from pipeline.input.fields import OWN_NAMES, FieldMap
from pipeline.input.rejects import Reject
from pipeline.storage import FileInfo

# How much content of a file is looked at: some hundred events. A first record that is larger is
# not complete then, and nothing is told of it.
_CONTENT_BYTES = 256 << 10
# How many files are looked into. All of one ending are most often of one kind, so each ending gets
# some; the others are spread over the list.
_FILES_LIMIT = 64
_FILES_PER_ENDING = 3
_FILES_AT_A_TIME = 8
_NO_SEED = 0  # for hashes that nobody compares


class Beginning(NamedTuple):
    """The beginning of a file.

    Attributes:
        file: The file.
        kind: What it is, for people, such as "JSON Lines, gzip"; "" if there is no event in it.
        table: Its events, see `events.EVENT_SCHEMA`.
        first: The text of the first event.
        rejects: The records that would be rejected.
        stored_bytes: How many bytes of the file this took.
        content_bytes: How many bytes of content they are.
        error: Why it cannot be read; "" if it can.
        broken: How many events break their contract.
    """

    file: FileInfo
    kind: str
    table: pa.Table
    first: bytes
    rejects: list[Reject]
    stored_bytes: int
    content_bytes: int
    error: str = ""
    broken: int = 0


def chosen(files: Sequence[FileInfo]) -> list[FileInfo]:
    """Returns the files to look into; all, if they are few."""
    if len(files) <= _FILES_LIMIT:
        return list(files)
    by_ending: dict[str, list[FileInfo]] = {}
    for file in files:
        own = by_ending.setdefault(_ending(file.path), [])
        if len(own) < _FILES_PER_ENDING:
            own.append(file)
    first = list(itertools.chain.from_iterable(by_ending.values()))[: _FILES_LIMIT // 2]
    rest = _FILES_LIMIT - len(first)
    spread = [files[number * len(files) // rest] for number in range(rest)]
    return sorted({*first, *spread})


def _ending(path: str) -> str:
    """Returns the last two endings of a file's name: ".jsonl.gz"."""
    return ".".join(os.path.basename(path).split(".")[1:][-2:])


def read(
    files: Sequence[FileInfo],
    max_event_bytes: int,
    names: FieldMap = OWN_NAMES,
    contract: Contract | None = None,
) -> list[Beginning]:
    """Returns the beginnings of files.

    Args:
        files: The files.
        max_event_bytes: Limit on one event's data and extra fields.
        names: Where the fields of an event are.
        contract: What their data has to fulfil.
    """
    how = _How(max_event_bytes, names, contract)
    with concurrent.futures.ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return list(pool.map(lambda file: _read(file, how), files))


class _How(NamedTuple):
    """How files are looked into; see `read`."""

    max_event_bytes: int
    names: FieldMap
    contract: Contract | None


def _read(file: FileInfo, how: _How) -> Beginning:
    nothing = events.EVENT_SCHEMA.empty_table()
    try:
        with storage.open_read(file.path) as stream:
            return _decoded(file, stream, how)
    except OSError as error:
        return Beginning(file, "", nothing, b"", [], 0, 0, error.strerror or str(error))


def _decoded(file: FileInfo, stream: BinaryIO, how: _How) -> Beginning:
    head = stream.read(sniff.HEAD_BYTES)
    stream.seek(0)
    packed_with = compression.name_of(head)
    content = compression.decompress(stream) if packed_with else _chunks(stream)
    beginning, content = _peek(content)
    data, damage = b"", None
    whole = False
    try:
        for text in sniff.as_utf8(content, packed_with):
            data += text
            if len(data) >= _CONTENT_BYTES:
                break
        else:
            whole = True
    except DamagedFileError as error:
        damage, whole = error, True
    limit = how.max_event_bytes + ENVELOPE_BYTES
    part = Part(file.path, 0, data, final=whole, record_bytes=limit, names=how.names)
    decoded = decoding.decode(part)
    checker = Checker(how.contract) if how.contract else None
    table, rejects = events.to_table([(part, decoded)], how.max_event_bytes, _NO_SEED, checker)
    if damage:
        rejects.append(Reject(file.path, len(data), 0, damage.reason, str(damage), b""))
    framing, first = _framing(part, decoded)
    encoding = sniff.encoding_of(beginning[: sniff.HEAD_BYTES]).upper()
    return Beginning(
        file=file,
        kind=", ".join(filter(None, [framing, encoding, packed_with])) if framing else "",
        table=table,
        first=first,
        rejects=rejects,
        stored_bytes=min(stream.tell(), file.bytes) if packed_with else len(data),
        content_bytes=len(data),
        broken=checker.broken if checker else 0,
    )


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(sniff.HEAD_BYTES):
        yield chunk


def _peek(content: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Returns the first chunk of some content, and all of the content."""
    try:
        first = next(content, b"")
    except DamagedFileError as error:
        return b"", _raising(error)
    return first, itertools.chain([first], content)


def _raising(error: DamagedFileError) -> Iterator[bytes]:
    raise error
    yield b""


def _framing(part: Part, decoded: Decoded) -> tuple[str, bytes]:
    """Returns the framing of a file, for people, and its first event; nothing if it has none."""
    rows = range(min(2, len(decoded.events)))
    spans = list(decoding.spans(part, decoded, rows))
    if not spans:
        return "", b""
    start, end = spans[0]
    first = part.data[start:end]
    if part.data[:start].lstrip(WHITE + MARK).startswith(b"["):
        return "a JSON array", first
    if b"\n" in first:
        return "indented objects", first
    if len(spans) == 1:
        return "a single object", first
    between = part.data[end : spans[1][0]]
    return ("JSON Lines" if b"\n" in between else "objects in one line"), first
