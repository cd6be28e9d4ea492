import gzip
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.input import blocks
from pipeline.input.blocks import BLOCK_BYTES, Block, Piece, cut, pack
from pipeline.storage import FileInfo


def write(path: Path, data: bytes) -> FileInfo:
    """Writes a file, and returns it as a listing shows it."""
    path.write_bytes(data)
    (info,) = storage.match([str(path)]).files
    return info


def lines(count: int, indent: int | None = None) -> bytes:
    """Makes JSON Lines of varying length, or pretty-printed, with objects nested in arrays."""
    objects = [{"n": n, "data": [{"x": "y" * (n % 90)}, {}, "}\n{"]} for n in range(count)]
    return "".join(json.dumps(one, indent=indent) + "\n" for one in objects).encode()


def test_files_are_cut_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking into several large files at a time gives the same pieces as one after the other."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 30_000)
    monkeypatch.setattr(cut, "__defaults__", (30_000,))
    sizes = [3000, 1, 500, 2000, 400, 2]
    files = [write(tmp_path / f"{n}", lines(count)) for n, count in enumerate(sizes)]

    pieces = list(blocks.cut_all(files))

    assert pieces == [piece for file in files for piece in cut(file)]
    assert len(pieces) > len(files)


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("block_bytes", [10_000, 70_000, 199_999])
def test_a_large_file_is_cut_between_records(
    tmp_path: Path, indent: int | None, block_bytes: int
) -> None:
    """Pieces cover it exactly once, each is whole records, and none is much larger than a block.

    Seen to fail when the border found in a window is not counted from the window's start.
    """
    data = lines(2000, indent)
    file = write(tmp_path / "f", data)
    pieces = cut(file, block_bytes)
    assert [piece.path for piece in pieces] == [file.path] * len(pieces)
    assert [pieces[0].start, *(piece.end for piece in pieces)] == [
        *(piece.start for piece in pieces),
        len(data),
    ]
    decoder = json.JSONDecoder()
    count = 0
    for piece in pieces:
        text = data[piece.start : piece.end].decode()
        at = 0
        while text[at:].strip():
            _, end = decoder.raw_decode(text, at + len(text[at:]) - len(text[at:].lstrip()))
            at, count = end, count + 1
    assert count == 2000
    assert len(pieces) == -(-len(data) // block_bytes)
    assert max(piece.end - piece.start for piece in pieces) < block_bytes + 1000


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(lines(3000), mtime=0) + gzip.compress(lines(3000), mtime=0),
        b"[" + lines(1000).replace(b"}\n{", b"},\n{") + b"]",
        b"\xef\xbb\xbf \n[" + lines(1000).replace(b"}\n{", b"},\n{") + b"]",
        lines(1000).replace(b"\n", b""),
        b"x" * 100_000,
    ],
    ids=["compressed", "array", "array after a mark", "one line", "no records"],
)
def test_what_cannot_be_cut_is_one_piece(tmp_path: Path, data: bytes) -> None:
    """A file without borders, or compressed, is read by one call, however large it is."""
    file = write(tmp_path / "f", data)
    assert cut(file, 1000) == [Piece(file.path, 0, len(data))]


def test_small_files_are_not_opened() -> None:
    """Planning 100,000 small files, of up to a block's size, needs a listing only."""
    for size in (0, 1, BLOCK_BYTES):
        assert cut(FileInfo("/no/such/file", size, 0.0)) == [Piece("/no/such/file", 0, size)]


def test_a_record_larger_than_a_block(tmp_path: Path) -> None:
    """A large record is not cut: the next border is found beyond the first window."""
    data = b'{"a":1}\n{"b":"' + b"x" * 200_000 + b'"}\n{"c":1}\n' + b'{"d":1}\n' * 1000
    pieces = cut(write(tmp_path / "f", data), 50_000)
    starts = {piece.start for piece in pieces}
    assert starts <= {0, 8, data.index(b'{"c"'), *range(data.index(b'{"d"'), len(data), 8)}
    assert len(pieces) > 1


def test_blocks_have_equal_sizes(tmp_path: Path) -> None:
    """A file slightly larger than a block is cut into two halves, not into a block and a rest."""
    data = lines(1000)
    first, second = cut(write(tmp_path / "f", data), len(data) - 100)
    assert abs(first.end - first.start - (second.end - second.start)) < 1000


@given(st.lists(st.integers(0, 50)), st.integers(1, 100), st.integers(1, 5))
def test_packing(sizes: list[int], block_bytes: int, files_per_block: int) -> None:
    """Every piece is in one block, in order; numbers follow; blocks are as full as allowed."""
    pieces = [Piece(f"f{n}", 0, size) for n, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_FILES_PER_BLOCK", files_per_block)
        packed = list(pack(pieces, 7, block_bytes))
    assert [piece for block in packed for piece in block.pieces] == pieces
    assert [block.number for block in packed] == list(range(7, 7 + len(packed)))
    for block, following in itertools.pairwise([*packed, Block(0, (Piece("", 0, 10**9),))]):
        assert len(block.pieces) == 1 or block.bytes <= block_bytes
        assert len(block.pieces) <= files_per_block
        full = block.bytes + following.pieces[0].end > block_bytes
        assert full or len(block.pieces) == files_per_block
