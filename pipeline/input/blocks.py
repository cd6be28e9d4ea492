"""Planning: which bytes of which files are read together.

A block is about `BLOCK_BYTES` of input: a byte range of a large file that can be cut, one file that
cannot (compressed, in UTF-16, or a JSON array), or many small files packed together.
"""

import concurrent.futures
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline import storage
from pipeline.framing import borders
from pipeline.input import sniff

# Large enough that the cost of a block is negligible, small enough that a few of them in memory,
# each with its Arrow copy, stay well below a gigabyte.
BLOCK_BYTES = 32 << 20
# How many bytes are searched for a border where a file might be cut. Most events are smaller than
# the first; if there is no border within the second, the file is not cut there.
_WINDOWS_BYTES = (64 << 10, 1 << 20)
# Bounds how many files one call opens, and how large its element is.
_FILES_PER_BLOCK = 4096

# How many files are looked into at the same time.
_CUTS_AT_A_TIME = 16


class Piece(NamedTuple):
    """The bytes ``[start, end)`` of a file."""

    path: str
    start: int
    end: int


class Block(NamedTuple):
    """What one call reads.

    Attributes:
        number: Unique in the run; the locations of its rows contain it.
        ranges: The pieces, as plain tuples: thousands of small objects are slow to pickle.
    """

    number: int
    ranges: tuple[tuple[str, int, int], ...]

    @property
    def pieces(self) -> list[Piece]:
        """The bytes to read, in order."""
        return [Piece(*one) for one in self.ranges]

    @property
    def bytes(self) -> int:
        """How many bytes to read, as stored."""
        return sum(end - start for _, start, end in self.ranges)


def cut(file: storage.FileInfo, block_bytes: int = BLOCK_BYTES) -> list[Piece]:
    """Returns the pieces of one file; each begins where a record does. Opens only large files."""
    if file.bytes <= block_bytes:
        return [Piece(file.path, 0, file.bytes)]
    starts = [0]
    # Blocks of equal size: one short one at the end would leave the other cores waiting.
    count = -(-file.bytes // block_bytes)
    targets = [file.bytes * n // count for n in range(1, count)]
    head = storage.Part(file.path, 0, sniff.HEAD_BYTES)
    windows = [storage.Part(file.path, target, _WINDOWS_BYTES[0]) for target in targets]
    found = map(bytes, storage.read_parts([head, *windows]))
    # An array stays whole, since it has no borders inside.
    if sniff.is_json(next(found)):
        for target, window in zip(targets, found, strict=True):
            border = next(borders.cuts(window), None)
            if border is None:
                window = storage.read_part(file.path, target, _WINDOWS_BYTES[1])
                border = next(borders.cuts(window), None)
            if border is not None:
                starts.append(target + border)
    ends = [*starts[1:], file.bytes]
    return [Piece(file.path, start, end) for start, end in zip(starts, ends, strict=True)]


def cut_all(files: Sequence[storage.FileInfo]) -> Iterator[Piece]:
    """Yields the pieces of all files, in order; see `cut`."""
    large = [file for file in files if file.bytes > BLOCK_BYTES]
    # In an object store, each look into a file is a request that has to be waited for.
    with concurrent.futures.ThreadPoolExecutor(_CUTS_AT_A_TIME) as pool:
        found = dict(zip((file.path for file in large), pool.map(cut, large), strict=True))
    for file in files:
        yield from found.get(file.path) or cut(file)


def pack(pieces: Iterable[Piece], first: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Packs pieces, in order, into blocks numbered from `first`."""
    number, packed, packed_bytes = first, list[tuple[str, int, int]](), 0
    for piece in pieces:
        size = piece.end - piece.start
        if packed and (packed_bytes + size > block_bytes or len(packed) == _FILES_PER_BLOCK):
            yield Block(number, tuple(packed))
            number, packed, packed_bytes = number + 1, [], 0
        packed.append(piece[:])
        packed_bytes += size
    if packed:
        yield Block(number, tuple(packed))
