"""Decompression, told by a file's first bytes and never by its name."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import zstandard

from pipeline.errors import EventsiftError

# Magic numbers: RFC 1952 (gzip), the bzip2 and xz file formats, RFC 8878 (Zstandard). The four
# libraries' decompressors are used alike: decompress(), eof, unused_data.
_CODECS: dict[bytes, tuple[str, Callable[[], Any], type[Exception]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31), zlib.error),
    b"BZh": ("bzip2", bz2.BZ2Decompressor, OSError),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMADecompressor, lzma.LZMAError),
    b"\x28\xb5\x2f\xfd": (
        "zstd",
        lambda: zstandard.ZstdDecompressor().decompressobj(),
        zstandard.ZstdError,
    ),
}
MAGIC_BYTES = max(map(len, _CODECS))
# Small, since a kilobyte may become a megabyte, and what is fed together with damage is lost.
_READ_BYTES = 4 << 10


class DamagedFileError(EventsiftError):
    """A compressed file that is incomplete or corrupt; `reason` is a key of `rejects.REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with these bytes (`MAGIC_BYTES` are enough) is compressed."""
    return head.startswith(tuple(_CODECS))


def decompress(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the decompressed content of a compressed stream, all of its members, in order.

    Members may be padded with zeros, as gzip and xz allow and tape tools do.

    Raises:
        DamagedFileError: After everything before the damage was yielded, but for what was fed
            together with it: at most `_READ_BYTES` of compressed data.
    """
    chunk = _next_member(stream, b"")
    while chunk:
        codec = next((codec for magic, codec in _CODECS.items() if chunk.startswith(magic)), None)
        if codec is None:
            message = f"{len(chunk)} bytes or more after the end of compressed data"
            raise DamagedFileError("corrupt-file", message)
        name, make, error_type = codec
        member = make()
        while not member.eof:
            if not chunk:
                raise DamagedFileError("truncated-file", f"{name} data ends before its end mark")
            try:
                content = member.decompress(chunk)
            except (error_type, EOFError) as error:
                raise DamagedFileError("corrupt-file", f"{name} data is damaged: {error}") from None
            yield content
            chunk = member.unused_data if member.eof else stream.read(_READ_BYTES)
        chunk = _next_member(stream, chunk)


def _next_member(stream: BinaryIO, chunk: bytes) -> bytes:
    """The bytes from the next member on, enough of them for its magic number; b"" at the end."""
    chunk = chunk.lstrip(b"\0")
    while len(chunk) < MAGIC_BYTES and (more := stream.read(_READ_BYTES)):
        chunk = (chunk + more).lstrip(b"\0")
    return chunk
