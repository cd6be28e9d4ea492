"""Decompression in small steps, told by a file's first bytes and never by its name.

However much a few bytes expand to, one step gives at most `_STEP_BYTES`, and a decompressor uses at
most about `MEMORY_BYTES` of memory.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import zstandard

from pipeline.errors import EventsiftError

MEMORY_BYTES = 128 << 20
"""What a decompressor may use for the content it refers back to.

The zstd program allows as much without being asked (`--long=27`), and `xz -9` needs half of it.
"""

_STEP_BYTES = 1 << 20
# Small, since what is fed together with damage is lost.
_READ_BYTES = 4 << 10
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class DamagedFileError(EventsiftError):
    """A compressed file that is incomplete or corrupt; `reason` is a key of `rejects.REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Member(Protocol):
    """A decompressor of one member of a file. Those of `bz2` and `lzma` are such."""

    @property
    def eof(self) -> bool:
        """Whether the member's end was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more can be had without more input."""

    @property
    def unused_data(self) -> bytes:
        """Input after the member's end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes more input, and gives some of the content."""


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


class _Zstd:
    """A zstd frame, of which it gives one block at a time: at most 128 KiB of content.

    The library cannot be told how much to give, so it is fed single blocks. Each says how long it
    is (RFC 8878, section 3.1.1.2).
    """

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=MEMORY_BYTES).decompressobj()
        self._input = b""
        self._in_header = True
        self._checksum_bytes = 0
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._input += data
        size = self._header_bytes() if self._in_header else self._block_bytes()
        self.needs_input = not 0 < size <= len(self._input)
        if self.needs_input:
            return b""
        content = self._inner.decompress(self._input[:size])
        self._input = self._input[size:]
        self._in_header = False
        return content

    def rest(self) -> bytes:
        """The content of the last block, where the file ends within the frame's checksum."""
        size = 0 if self._in_header else self._block_bytes() - self._checksum_bytes
        is_there = 0 < size <= len(self._input) and self._input[0] & 1
        return self._inner.decompress(self._input[:size]) if is_there else b""

    def _header_bytes(self) -> int:
        """The length of the frame's header; 0 if it is not known yet."""
        if len(self._input) <= len(_ZSTD_MAGIC):
            return 0
        flags = self._input[len(_ZSTD_MAGIC)]
        is_single = flags >> 5 & 1
        self._checksum_bytes = (flags >> 2 & 1) * 4
        dictionary_id = (0, 1, 2, 4)[flags & 3]
        content_size = (is_single, 2, 4, 8)[flags >> 6]
        return len(_ZSTD_MAGIC) + 1 + (1 - is_single) + dictionary_id + content_size

    def _block_bytes(self) -> int:
        """The length of the next block, with what ends the frame; 0 if it is not known yet."""
        if len(self._input) < 3:
            return 0
        header = int.from_bytes(self._input[:3], "little")
        is_last, is_repeated = header & 1, header >> 1 & 3 == 1
        return 3 + (1 if is_repeated else header >> 3) + is_last * self._checksum_bytes


class _Skippable:
    """A frame that is no content (RFC 8878, section 3.1.2); pzstd puts one before each other."""

    _HEADER_BYTES = 8

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        missing = self._HEADER_BYTES - len(self._header)
        if missing:
            self._header, data = self._header + data[:missing], data[missing:]
            self._left = int.from_bytes(self._header[4:], "little")
        if len(self._header) == self._HEADER_BYTES:
            self.eof = len(data) >= self._left
            self.unused_data = data[self._left :] if self.eof else b""
            self._left -= min(self._left, len(data))
        return b""


# Magic numbers: RFC 1952 (gzip), the bzip2 and xz file formats, RFC 8878 (Zstandard).
_CODECS: dict[bytes, tuple[str, Callable[[], _Member], type[Exception]]] = {
    b"\x1f\x8b": ("gzip", _Gzip, zlib.error),
    b"BZh": ("bzip2", bz2.BZ2Decompressor, OSError),
    b"\xfd7zXZ\x00": (
        "xz",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES),
        lzma.LZMAError,
    ),
    _ZSTD_MAGIC: ("zstd", _Zstd, zstandard.ZstdError),
    **{bytes([0x50 + n]) + b"\x2a\x4d\x18": ("zstd", _Skippable, OSError) for n in range(16)},
}
MAGIC_BYTES = max(map(len, _CODECS))


def name_of(head: bytes) -> str:
    """The compression of a file that begins with these bytes; "" if it is not compressed."""
    return next((codec[0] for magic, codec in _CODECS.items() if head.startswith(magic)), "")


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with these bytes (`MAGIC_BYTES` are enough) is compressed."""
    return name_of(head) != ""


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
            if member.needs_input and not chunk:
                chunk = stream.read(_READ_BYTES)
                if not chunk:
                    if isinstance(member, _Zstd) and (content := _rest(member)):
                        yield content
                    message = f"{name} data ends before its end mark"
                    raise DamagedFileError("truncated-file", message)
            try:
                content = member.decompress(chunk, _STEP_BYTES)
            except (error_type, EOFError) as error:
                raise DamagedFileError("corrupt-file", _explained(name, error)) from None
            chunk = b""
            if content:
                yield content
        chunk = _next_member(stream, member.unused_data)


def _rest(member: _Zstd) -> bytes:
    """What a truncated frame has in its last block."""
    try:
        return member.rest()
    except zstandard.ZstdError:
        return b""


def _explained(name: str, error: Exception) -> str:
    """What to say of a member that cannot be decompressed."""
    if "memory" in str(error).lower():
        limit = f"more than {MEMORY_BYTES >> 20} MiB of memory"
        return f"{name} data needs {limit} to be decompressed: use a smaller window or dictionary"
    return f"{name} data is damaged: {error}"


def _next_member(stream: BinaryIO, chunk: bytes) -> bytes:
    """The bytes from the next member on, enough of them for its magic number; b"" at the end."""
    chunk = chunk.lstrip(b"\0")
    while len(chunk) < MAGIC_BYTES and (more := stream.read(_READ_BYTES)):
        chunk = (chunk + more).lstrip(b"\0")
    return chunk
