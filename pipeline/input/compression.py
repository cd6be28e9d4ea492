"""Decompresses files in small steps; the first bytes tell the compression, not the file's name.

However much a few bytes expand to, one step gives at most `_STEP_BYTES`, and a decompressor uses at
most about `MEMORY_BYTES` of memory.

To add a compression, add a row to `_CODECS`, with a `Member` that keeps to these bounds, and remove
its row from `sniff`; and add its file ending to `steps/sizes`, which estimates from it how much
content the file has.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

import zstandard

from pipeline.errors import EventsiftError
from pipeline.input import zstd

# How much memory a decompressor may use for the content it refers back to. The zstd program allows
# this much without being asked (`--long=27`), and `xz -9` needs half of it.
MEMORY_BYTES = 128 << 20

_STEP_BYTES = 1 << 20
# Small, since bytes that are fed together with damage are lost.
_READ_BYTES = 4 << 10


class DamagedFileError(EventsiftError):
    """A compressed file that is incomplete or corrupt; `reason` is a key of `rejects.REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Member(Protocol):
    """A decompressor of one member of a file, as `bz2` and `lzma` have them."""

    @property
    def eof(self) -> bool:
        """Whether the member's end was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether there is no more content without more input."""

    @property
    def unused_data(self) -> bytes:
        """Input after the member's end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes more input, and returns some of the content."""


class _Gzip:
    """A member of a gzip file."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        content = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(content) < max_length
        return content


class _Codec(NamedTuple):
    """A compression.

    Attributes:
        name: Its name for people.
        make: Makes the decompressor of a member.
        error_type: What that raises if the member is damaged, besides EOFError.
    """

    name: str
    make: Callable[[], Member]
    error_type: type[Exception]


_SKIPPABLE = _Codec("zstd", zstd.SkippableFrame, OSError)
# By how a member begins: RFC 1952 (gzip), the bzip2 and xz file formats, RFC 8878 (Zstandard).
_CODECS: dict[bytes, _Codec] = {
    b"\x1f\x8b": _Codec("gzip", _Gzip, zlib.error),
    b"BZh": _Codec("bzip2", bz2.BZ2Decompressor, OSError),
    b"\xfd7zXZ\x00": _Codec(
        "xz",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES),
        lzma.LZMAError,
    ),
    zstd.MAGIC: _Codec("zstd", lambda: zstd.Frame(MEMORY_BYTES), zstandard.ZstdError),
    **dict.fromkeys(zstd.SKIPPABLE_MAGICS, _SKIPPABLE),
}
_ANY_MAGIC = tuple(_CODECS)
_MAGIC_BYTES = max(map(len, _ANY_MAGIC))


def name_of(head: bytes) -> str:
    """Returns the compression of a file that begins with these bytes; "" if there is none."""
    codec = _codec_of(head)
    return codec.name if codec else ""


def decompress(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the decompressed content of a compressed stream, all of its members, in order.

    Members may be padded with zeros, as gzip and xz allow and tape tools do.

    Raises:
        DamagedFileError: After everything before the damage was yielded, but for the content that
            was fed together with it: at most `_READ_BYTES` of compressed data.
    """
    chunk = _next_member(stream, b"")
    while chunk:
        codec = _codec_of(chunk)
        if codec is None:
            message = f"{len(chunk)} bytes or more after the end of compressed data"
            raise DamagedFileError("corrupt-file", message)
        member = codec.make()
        while not member.eof:
            if member.needs_input and not chunk:
                chunk = stream.read(_READ_BYTES)
                if not chunk:
                    if isinstance(member, zstd.Frame) and (content := member.last_block()):
                        yield content
                    message = (
                        f"{codec.name} data ends before its end mark; deliver the whole file again"
                    )
                    raise DamagedFileError("truncated-file", message)
            try:
                content = member.decompress(chunk, _STEP_BYTES)
            except (codec.error_type, EOFError) as error:
                raise DamagedFileError("corrupt-file", _explained(codec.name, error)) from None
            chunk = b""
            if content:
                yield content
        chunk = _next_member(stream, member.unused_data)


def _codec_of(head: bytes) -> _Codec | None:
    """Returns the compression of a member that begins with these bytes."""
    if not head.startswith(_ANY_MAGIC):
        return None
    return next(codec for magic, codec in _CODECS.items() if head.startswith(magic))


def _explained(name: str, error: Exception) -> str:
    """Returns the message for a member that cannot be decompressed."""
    if "memory" in str(error).lower():
        limit = f"more than {MEMORY_BYTES >> 20} MiB of memory"
        return f"{name} data needs {limit} to be decompressed: use a smaller window or dictionary"
    return f"{name} data is damaged: {error}"


def _next_member(stream: BinaryIO, chunk: bytes) -> bytes:
    """Returns the bytes from the next member on, enough to know its codec; b"" at the end."""
    chunk = chunk.lstrip(b"\0")
    while len(chunk) < _MAGIC_BYTES and (more := stream.read(_READ_BYTES)):
        chunk = (chunk + more).lstrip(b"\0")
    return chunk
