"""The records of an input file, in the slow and plain way: nothing of the job's code is used.

Two ways to read are enough. In JSON Lines each line is a record, whatever is wrong with it. In any
other text, one JSON value follows another, and all must be well-formed: where a damaged record ends
there is for the job to decide, so such a file cannot be checked, and that is said.
"""

import bz2
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, BinaryIO, NamedTuple, cast

import zstandard

from pipeline import storage
from pipeline.errors import EventsiftError

# How much of a file shows whether it is JSON Lines; then how much is read at a time.
_BEGINNING_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
# A value that is larger than this is taken for one that is damaged.
_MOST_BYTES = 64 << 20

_BOM = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_BESIDE = re.compile(r"[ \t,]*")
_BETWEEN = re.compile(r"[ \t\r\n\[\],]*")
_DECODER = json.JSONDecoder(parse_int=float)
_UNCLEAR = "a damaged record, and it is not clear where it ends"
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class UncheckedError(EventsiftError):
    """A file is of a kind that the plain reader does not know, or damaged."""


class Record(NamedTuple):
    """A record.

    Attributes:
        offset: How many bytes of the decompressed file lie before it.
        raw: Its bytes.
    """

    offset: int
    raw: bytes


def records(path: str) -> Iterator[Record]:
    """Yields the records of a file.

    Raises:
        UncheckedError: The file cannot be checked.
    """
    with storage.open_read(path) as stream:
        try:
            with _decompressed(stream) as content:
                yield from _records(path, content)
        except _DAMAGED as error:
            raise UncheckedError(f"{storage.shown(path)}: cannot be checked: {error}") from error


def _decompressed(stream: BinaryIO) -> IO[bytes]:
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if start.startswith(b"BZh"):
        return cast(IO[bytes], bz2.BZ2File(stream))
    if start.startswith(b"\xfd7zXZ\x00"):
        return cast(IO[bytes], lzma.LZMAFile(stream))
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        return cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, reader)))
    return stream


def _records(path: str, content: IO[bytes]) -> Iterator[Record]:
    beginning = _read(content, _BEGINNING_BYTES)
    if beginning.startswith(_OTHER_ENCODINGS):
        raise _unchecked(path, 0, "is not UTF-8 text")
    offset = len(_BOM) if beginning.startswith(_BOM) else 0
    if _is_lines(beginning[offset:]):
        yield from _lines(path, _chunks(beginning[offset:], content), offset)
    else:
        yield from _values(path, _chunks(beginning[offset:], content), offset)


def _unchecked(path: str, offset: int, why: str) -> UncheckedError:
    return UncheckedError(f"{storage.shown(path)}, offset {offset:,}: cannot be checked: {why}")


def _read(content: IO[bytes], size: int) -> bytes:
    """Reads this many bytes, or what is left: some streams give less at a time."""
    parts = []
    while size and (part := content.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _chunks(beginning: bytes, content: IO[bytes]) -> Iterator[bytes]:
    while beginning:
        yield beginning
        beginning = _read(content, _CHUNK_BYTES)


def _is_lines(beginning: bytes) -> bool:
    """Tells whether a text has a line that is an object by itself."""
    return beginning.lstrip()[:1] != b"[" and any(map(_is_object, beginning.splitlines()))


def _is_object(line: bytes) -> bool:
    try:
        return line.startswith(b"{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lines(path: str, chunks: Iterable[bytes], offset: int) -> Iterator[Record]:
    """Yields what is on each line: a record, whatever is wrong with it, or objects side by side."""
    damaged: Record | None = None  # the record before, if it is damaged
    for line in _split(path, offset, chunks):
        raw = line.rstrip(b"\r\n")
        if _is_object(raw):
            if damaged and _may_go_on(damaged.raw, raw):
                raise _unchecked(path, damaged.offset, _UNCLEAR)
            yield Record(offset, raw.rstrip())
            damaged = None
        elif raw.strip():
            if damaged and _may_go_on(damaged.raw, raw):
                raise _unchecked(path, damaged.offset, _UNCLEAR)
            for record in _side_by_side(offset, raw):
                damaged = None if _is_object(record.raw) else record
                yield record
        offset += len(line)


def _may_go_on(raw: bytes, line: bytes) -> bool:
    """Tells whether a line could belong to the damaged record before it."""
    if line.startswith(b"{"):
        return raw.rstrip().endswith((b",", b":", b"[")) or raw.strip() == b"{"
    return line.startswith((b" ", b"\t", b"}", b"]"))


def _side_by_side(offset: int, raw: bytes) -> Iterator[Record]:
    """Yields the objects with which a line begins, then what is left of the line."""
    text = raw.decode("latin-1")
    at = _after(_BESIDE, text, 0)
    try:
        while text.startswith("{", at):
            _, end = _DECODER.raw_decode(text, at)
            yield Record(offset + at, raw[at:end])
            at = _after(_BESIDE, text, end)
    except (ValueError, RecursionError):
        pass
    if at < len(text):
        yield Record(offset + at, raw[at:].rstrip())


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Returns where what separates two values ends."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _split(path: str, offset: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields lines with their ends, from an offset of a file on."""
    rest = b""
    for chunk in chunks:
        if len(rest) > _MOST_BYTES:
            raise _unchecked(path, offset, "the line is too large")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
            offset += len(line) + 1
    if rest:
        yield rest


def _values(path: str, chunks: Iterable[bytes], offset: int) -> Iterator[Record]:
    """Yields one JSON value after another: pretty-printed, concatenated, or of an array.

    Each byte is taken for one character, so that places in the text are places in the file.
    """
    chunks = iter(chunks)
    text, at, more = "", 0, True
    wanted = 0  # do not try again before there is this much text
    while True:
        at = _after(_BETWEEN, text, at)
        end, problem = at, ""
        if at < len(text) and len(text) - at >= wanted:
            try:
                _, end = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                problem = getattr(error, "msg", str(error))
        if end > at and (end < len(text) or not more):
            yield Record(offset + at, text[at:end].encode("latin-1"))
            at, wanted = end, 0
        elif more and len(text) - at < _MOST_BYTES:
            wanted = 2 * (len(text) - at) if problem else 0
            chunk = next(chunks, b"")
            more = bool(chunk)
            wanted = wanted if more else 0
            text, offset, at = text[at:] + chunk.decode("latin-1"), offset + at, 0
        elif at == len(text):
            return
        else:
            raise _unchecked(path, offset + at, problem or "the record is too large")
