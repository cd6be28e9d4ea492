"""Blocks of small files, and what reading them gives."""

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import zstandard

from pipeline.input.blocks import Block, Piece
from pipeline.keys import delivery_keys, versions
from pipeline.steps.read import BlockRead, ReadSettings
from pipeline.steps.sizes import Sizes
from tests.by_hand import content_of, slices_of
from tests.deliveries import Event
from tests.tables import letters_in

FIRST = versions.FIRST_BLOCK
COMPRESSIONS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def line(event_id: str, data: str = "1", **changes: str) -> str:
    """An event as JSON on one line."""
    return Event(event_id, "2021-01-08T10:00:00Z", data, "e", "d")._replace(**changes).line()


def reading(folder: Path, **changes: Any) -> ReadSettings:
    """Settings for files of some kilobytes."""
    sizes = Sizes(7, 3, 1, delivery_keys.Size(0, False))
    own = {name: changes.pop(name) for name in Sizes._fields if name in changes}
    return ReadSettings("run-1", f"{folder}/tmp", sizes._replace(**own), 4096)._replace(**changes)


def block_of(folder: Path, *contents: bytes) -> Block:
    """A block of whole files."""
    pieces = []
    for number, content in enumerate(contents):
        path = folder / f"file {number}"
        path.write_bytes(content)
        pieces.append(Piece(str(path), 0, len(content)))
    return Block(FIRST, tuple(pieces))


def staged(read: BlockRead) -> list[tuple[int, tuple[Any, ...]]]:
    """The (row, event) pairs that a block has staged, by row."""
    rows = []
    for slice_ in slices_of(read):
        content = content_of(slice_).to_pylist()
        assert len(content) == slice_.rows
        for row, event in enumerate(content, slice_.first_row):
            rows.append((row, (slice_.destination, *event.values())))
    return sorted(rows, key=lambda row: row[0])


def events(read: BlockRead) -> list[str]:
    """The events as staged, in an order that does not depend on parts."""
    return sorted(repr(event) for _, event in staged(read))


def ids(read: BlockRead) -> list[str]:
    """The event_ids that a block has staged, sorted."""
    return sorted(event[1] for _, event in staged(read))


def letters(read: BlockRead) -> list[dict[str, Any]]:
    """The dead letters of a block, by offset, their raw bytes as such."""
    return letters_in(read.dead_letters) if read.dead_letters else []
