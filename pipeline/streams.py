"""A file's bytes to decoded parts: of any compression, without all of them in memory."""

import itertools
from collections.abc import Iterator
from typing import BinaryIO

from pipeline import compression
from pipeline.blocks import Piece
from pipeline.compression import DamagedFileError
from pipeline.decoding import Decoded, Part, decode
from pipeline.rejects import Reject, shown


def parts(
    stream: BinaryIO, piece: Piece, part_bytes: int, max_event_bytes: int
) -> Iterator[tuple[Part, Decoded]]:
    """The decoded parts of one piece; a part begins with what the one before has left over.

    Args:
        stream: The piece's file, at any place.
        piece: Which bytes of it are read; all of them if it is compressed.
        part_bytes: How many bytes of content are decoded together.
        max_event_bytes: A record that has no end within so many more is given up.

    Raises:
        OSError: The file cannot be read.
    """
    limit = part_bytes + max_event_bytes
    part = Part(piece.path, piece.start, b"")
    chunks = itertools.chain(_chunks(stream, piece, part_bytes), [None])
    for chunk, following in itertools.pairwise(chunks):
        if isinstance(chunk, DamagedFileError):
            reject = Reject(piece.path, part.offset, 0, chunk.reason, str(chunk), b"")
            yield part, Decoded([], {}, [reject], [], 0, False)
        elif chunk is not None:
            part = part._replace(data=part.data + chunk, final=not isinstance(following, bytes))
            decoded = decode(part)
            if not decoded.consumed and not part.final and len(part.data) > limit:
                decoded = _too_large(part)
            yield part, decoded
            part = part._replace(
                offset=part.offset + decoded.consumed,
                data=part.data[decoded.consumed :],
                in_array=decoded.in_array,
            )


def _chunks(stream: BinaryIO, piece: Piece, part_bytes: int) -> Iterator[bytes | DamagedFileError]:
    """The content of a piece in chunks of `part_bytes` or more; last, what ended it too early."""
    stream.seek(piece.start)
    size = piece.end - piece.start
    data = stream.read(min(size, max(2 * part_bytes, compression.MAGIC_BYTES)))
    if piece.start or not compression.is_compressed(data):
        yield data
        for at in range(len(data), size, part_bytes):
            yield stream.read(min(part_bytes, size - at))
        return
    stream.seek(0)
    gathered: list[bytes] = []
    gathered_bytes = 0
    damage: DamagedFileError | None = None
    try:
        for content in compression.decompress(stream):
            gathered.append(content)
            gathered_bytes += len(content)
            if gathered_bytes >= part_bytes:
                yield b"".join(gathered)
                gathered, gathered_bytes = [], 0
    except DamagedFileError as error:
        damage = error
        stream.seek(piece.end)  # nothing more can be read of it: it is done
    yield b"".join(gathered)
    if damage:
        yield damage


def _too_large(part: Part) -> Decoded:
    """Gives up a record that has no end within any event's size, so that reading can go on."""
    message = (
        f"no end within {len(part.data):,} bytes of {shown(part.data[:100])};"
        " the limit of one event is set with --max-event-mb"
    )
    size = len(part.data)
    reject = Reject(part.source, part.offset, size, "too-large", message, part.data)
    return Decoded([], {}, [reject], [], size, part.in_array)
