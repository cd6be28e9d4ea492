import bz2
import gzip
import io
import lzma
import random
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.input import compression
from pipeline.input.compression import DamagedFileError, decompress, name_of

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
NOISE = random.Random(1).randbytes(50_000)  # does not compress, so it takes many reads
every_codec = pytest.mark.parametrize("codec", CODECS)


def content(stored: bytes) -> tuple[bytes, DamagedFileError | None]:
    """Returns what decompression gives before it ends, and the error that ended it too early."""
    found = b""
    try:
        for chunk in decompress(io.BytesIO(stored)):
            found += chunk
    except DamagedFileError as error:
        return found, error
    return found, None


@every_codec
@pytest.mark.parametrize("plain", [b"", b"{}", b"x" * 1_000_000, NOISE])
def test_round_trip(codec: str, plain: bytes) -> None:
    """Each compression is recognised by its first bytes, and gives all of the content."""
    stored = CODECS[codec](plain)
    assert name_of(stored) == codec
    assert name_of(stored[:6]) == codec
    assert content(stored) == (plain, None)


def test_json_is_not_compressed() -> None:
    """JSON, and files that are empty or too short to know, are read as they are."""
    for head in (b"", b"{", b"[{", b"\xef\xbb\xbf{", b"\x1f", b"BZ", b'"BZh"', b"\n"):
        assert name_of(head) == ""


@given(
    st.lists(st.tuples(st.sampled_from(list(CODECS)), st.binary(max_size=50)), min_size=1),
    st.integers(0, 9),
)
@settings(max_examples=50)
def test_members(members: list[tuple[str, bytes]], zeros: int) -> None:
    """Compressed files put one after another, as `cat` does, are one file; zeros may pad them.

    Seen to fail when only a whole chunk of zeros is skipped.
    """
    stored = b"".join(CODECS[codec](plain) + b"\0" * zeros for codec, plain in members)
    assert content(stored) == (b"".join(plain for _, plain in members), None)


@every_codec
@pytest.mark.parametrize("size", [4090, 4095, 4096, 4097, 8192])
def test_a_member_may_begin_anywhere_in_a_read(codec: str, size: int) -> None:
    """A magic number that is split between two reads is recognised."""
    compress = CODECS[codec]
    first = gzip.compress(NOISE[:4000], mtime=0)
    first += b"\0" * (size - len(first))
    assert content(first + compress(b"second")) == (NOISE[:4000] + b"second", None)


@every_codec
def test_a_truncated_file_gives_what_is_there(codec: str) -> None:
    """Wherever the file was cut: the longer it is, the more content there is, and an error."""
    stored = CODECS[codec](NOISE)
    lengths = [6, 7, 20, 4096, 30_000, len(stored) - 9, len(stored) - 1]
    sizes = []
    for length in lengths:
        found, error = content(stored[:length])
        assert error is not None
        assert error.reason == "truncated-file"
        assert f"{codec} data ends before its end mark" in str(error)
        assert NOISE.startswith(found)
        sizes.append(len(found))
    assert sizes == sorted(sizes)


@every_codec
@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_cut_checksum_costs_no_content(codec: str, missing: int) -> None:
    """If only the bytes that end a file are missing, all of its content is there."""
    found, error = content(CODECS[codec](b"{}")[:-missing])
    assert found == b"{}"
    assert error is not None
    assert error.reason == "truncated-file"


@pytest.mark.parametrize("codec", ["gzip", "xz"])
def test_most_of_a_truncated_stream_is_there(codec: str) -> None:
    """These two are not made of blocks: only the content of the last bytes is lost."""
    found, _ = content(CODECS[codec](NOISE)[:-2000])
    assert len(found) > len(NOISE) - 4000


@every_codec
def test_a_corrupt_file_gives_what_is_before_the_damage(codec: str) -> None:
    """All members before it are there, and its checksum keeps wrong content out."""
    compress = CODECS[codec]
    good, bad = compress(NOISE[:20_000]), bytearray(compress(NOISE))
    bad[len(bad) // 2] ^= 0xFF
    found, error = content(good + bytes(bad))
    assert error is not None
    assert error.reason == "corrupt-file"
    assert codec in str(error)
    assert found[:20_000] == NOISE[:20_000]


@every_codec
def test_rubbish_after_the_end_is_an_error(codec: str) -> None:
    """Rubbish is not taken for content, and the content before it is there."""
    found, error = content(CODECS[codec](b"content") + b'{"not":"compressed"}')
    assert found == b"content"
    assert error is not None
    assert error.reason == "corrupt-file"
    assert "after the end of compressed data" in str(error)


@given(st.sampled_from(list(CODECS)), st.floats(0, 1, exclude_max=True), st.binary(max_size=8))
@settings(max_examples=150)
def test_any_damage_is_survived(codec: str, where: float, overwrite: bytes) -> None:
    """Whatever happens to a file, it gives content, or an error that has a reason."""
    stored = bytearray(CODECS[codec](NOISE[:9000]))
    at = int(where * len(stored))
    stored[at : at + len(overwrite)] = overwrite
    _, error = content(bytes(stored))
    assert error is None or error.reason in {"corrupt-file", "truncated-file"}


def test_memory_is_bounded() -> None:
    """A file that expands a thousand times comes in small chunks."""
    stored = gzip.compress(bytes(100_000_000), 9)
    sizes = [len(chunk) for chunk in decompress(io.BytesIO(stored))]
    assert sum(sizes) == 100_000_000
    assert max(sizes) < 1100 * compression._READ_BYTES
