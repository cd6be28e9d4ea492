"""Reads a file, of any compression and encoding, and decodes it part by part.

At most about ``2 * part_bytes + record_bytes`` of a file's content are in memory at once, whatever
it contains, and a few times as much for what is made of them. ``record_bytes`` is the limit on one
event plus `ENVELOPE_BYTES`.
"""

import itertools
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.framing.skipped import PREVIEW_BYTES
from pipeline.framing.walk import START
from pipeline.input import compression, sniff
from pipeline.input.blocks import Piece
from pipeline.input.compression import DamagedFileError
from pipeline.input.decoding import ENVELOPE_BYTES, Decoded, Part, decode
from pipeline.input.fields import OWN_NAMES, FieldMap
from pipeline.input.rejects import Reject


def parts(
    stream: BinaryIO,
    piece: Piece,
    part_bytes: int,
    max_event_bytes: int,
    names: FieldMap = OWN_NAMES,
) -> Iterator[tuple[Part, Decoded]]:
    """Yields the decoded parts of one piece; a part begins with what the last one left over.

    Args:
        stream: The piece's file, at any position.
        piece: Which bytes of it are read; all of them if it is compressed.
        part_bytes: How many bytes of content are decoded together.
        max_event_bytes: Limit on one event's data and extra fields.
        names: Where the fields of its events are.

    Raises:
        OSError: The file cannot be read.
    """
    record_bytes = max_event_bytes + ENVELOPE_BYTES
    part = Part(piece.path, piece.start, b"", record_bytes=record_bytes, names=names)
    chunks = itertools.chain(_chunks(stream, piece, part_bytes), [None])
    for chunk, following in itertools.pairwise(chunks):
        if isinstance(chunk, DamagedFileError):
            yield part, Decoded([], {}, [_reject(chunk, piece, part.offset)], [], 0, START)
        elif chunk is not None:
            part = part._replace(data=part.data + chunk, final=not isinstance(following, bytes))
            for one, decoded in decode_all(part):
                yield one, decoded
                part = _rest(one, decoded)


def decode_all(part: Part) -> Iterator[tuple[Part, Decoded]]:
    """Decodes a part of one file; yields what is left of it again, as long as rejects are many."""
    while True:
        decoded = decode(part)
        yield part, decoded
        if not decoded.is_stopped:
            return
        part = _rest(part, decoded)


def _rest(part: Part, decoded: Decoded) -> Part:
    """Returns what is left of a part."""
    return part._replace(
        offset=part.offset + decoded.consumed,
        data=part.data[decoded.consumed :],
        state=decoded.state,
    )


def _reject(error: DamagedFileError, piece: Piece, offset: int) -> Reject:
    """Makes a reject of a file that cannot be read further than an offset in its content."""
    if isinstance(error, sniff.NotJsonError):
        head = error.head[:PREVIEW_BYTES]
        return Reject(piece.path, 0, piece.end, error.reason, str(error), head)
    return Reject(piece.path, offset, 0, error.reason, str(error), b"")


def _chunks(stream: BinaryIO, piece: Piece, part_bytes: int) -> Iterator[bytes | DamagedFileError]:
    """Yields the content of a piece in chunks of about `part_bytes`; last, what ended it early."""
    stream.seek(piece.start)
    size = piece.end - piece.start
    data = stream.read(min(size, max(2 * part_bytes, sniff.HEAD_BYTES)))
    if piece.start or sniff.is_json(data[: sniff.HEAD_BYTES]):
        for at in range(0, len(data), 2 * part_bytes):
            yield data[at : at + 2 * part_bytes]
        for at in range(len(data), size, part_bytes):
            yield stream.read(min(part_bytes, size - at))
    else:
        stream.seek(0)
        packed_with = compression.name_of(data)
        content = compression.decompress(stream) if packed_with else _stored(stream, size)
        yield from _gathered(sniff.as_utf8(content, packed_with), part_bytes)
        stream.seek(piece.end)  # all bytes of a damaged file count as read


def _gathered(texts: Iterator[bytes], part_bytes: int) -> Iterator[bytes | DamagedFileError]:
    """Yields texts joined to chunks of `part_bytes` or more; last, what ended them too early."""
    gathered: list[bytes] = []
    gathered_bytes = 0
    damage: DamagedFileError | None = None
    try:
        for text in texts:
            gathered.append(text)
            gathered_bytes += len(text)
            if gathered_bytes >= part_bytes:
                yield b"".join(gathered)
                gathered, gathered_bytes = [], 0
    except DamagedFileError as error:
        damage = error
    if gathered or not damage:
        yield b"".join(gathered)
    if damage:
        yield damage


def _stored(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yields the bytes of a file as they are."""
    for at in range(0, size, sniff.HEAD_BYTES):
        yield stream.read(min(sniff.HEAD_BYTES, size - at))
