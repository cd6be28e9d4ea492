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
# Small, since a kilobyte may become a megabyte, and what is fed together with damage is lost.
_READ_BYTES = 4 << 10


class DamagedFileError(EventsiftError):
    """A compressed file that is incomplete or corrupt; `reason` is a key of `rejects.REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with these bytes (6 are enough) is compressed."""
    return head.startswith(tuple(_CODECS))


def decompress(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the decompressed content of a compressed stream, all of its members, in order.

    Raises:
        DamagedFileError: After everything that could be decompressed was yielded.
    """
    chunk = stream.read(_READ_BYTES)
    while chunk:
        codec = next((codec for magic, codec in _CODECS.items() if chunk.startswith(magic)), None)
        if codec is None:
            if chunk.strip(b"\0"):  # tar and tape tools pad with zeros, which gzip accepts
                raise DamagedFileError(
                    "corrupt-file", f"{len(chunk)} bytes or more after the end of compressed data"
                )
            chunk = stream.read(_READ_BYTES)
            continue
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
        if len(chunk) < 6:  # enough for any magic number of a next member
            chunk += stream.read(_READ_BYTES)
