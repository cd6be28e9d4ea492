"""Decompresses a zstd file frame by frame (RFC 8878), and a frame block by block.

The library cannot be told how much content to give at a time, and a few bytes can expand to
gigabytes. So it is fed single blocks, each of which gives at most 128 KiB.
"""

import zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE_MAGICS = [bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)]


class Frame:
    """A decompressor of one frame; see `compression.Member`."""

    def __init__(self, memory_bytes: int) -> None:
        """Begins a frame that may refer back to `memory_bytes` of its content."""
        self._inner = zstandard.ZstdDecompressor(max_window_size=memory_bytes).decompressobj()
        self._input = b""
        self._in_header = True
        self._checksum_bytes = 0
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the frame's end was reached."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """Input after the frame's end."""
        return self._inner.unused_data + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes more input, and returns the content of the next block; b"" if it is incomplete."""
        self._input += data
        size = self._header_bytes() if self._in_header else self._block_bytes()
        self.needs_input = not 0 < size <= len(self._input)
        if self.needs_input:
            return b""
        content = self._inner.decompress(self._input[:size])
        self._input = self._input[size:]
        self._in_header = False
        return content

    def last_block(self) -> bytes:
        """Returns the content of the last block, if the file ends within the frame's checksum."""
        size = 0 if self._in_header else self._block_bytes() - self._checksum_bytes
        is_there = 0 < size <= len(self._input) and self._input[0] & 1
        try:
            return self._inner.decompress(self._input[:size]) if is_there else b""
        except zstandard.ZstdError:
            return b""

    def _header_bytes(self) -> int:
        """Returns the length of the frame's header; 0 if it is not known yet."""
        if len(self._input) <= len(MAGIC):
            return 0
        flags = self._input[len(MAGIC)]
        is_single = flags >> 5 & 1
        self._checksum_bytes = (flags >> 2 & 1) * 4
        dictionary_id = (0, 1, 2, 4)[flags & 3]
        content_size = (is_single, 2, 4, 8)[flags >> 6]
        return len(MAGIC) + 1 + (1 - is_single) + dictionary_id + content_size

    def _block_bytes(self) -> int:
        """Returns the length of the next block (section 3.1.1.2); 0 if it is not known yet.

        The frame's checksum counts as a part of its last block.
        """
        if len(self._input) < 3:
            return 0
        header = int.from_bytes(self._input[:3], "little")
        is_last, is_repeated = header & 1, header >> 1 & 3 == 1
        return 3 + (1 if is_repeated else header >> 3) + is_last * self._checksum_bytes


class SkippableFrame:
    """A frame without content (section 3.1.2); pzstd puts one before each other frame."""

    _HEADER_BYTES = 8

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes more input; there is never any content."""
        missing = self._HEADER_BYTES - len(self._header)
        if missing:
            self._header, data = self._header + data[:missing], data[missing:]
            self._left = int.from_bytes(self._header[4:], "little")
        if len(self._header) == self._HEADER_BYTES:
            self.eof = len(data) >= self._left
            self.unused_data = data[self._left :] if self.eof else b""
            self._left -= min(self._left, len(data))
        return b""
