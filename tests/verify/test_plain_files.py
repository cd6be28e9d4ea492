"""The plain reader of input files: it reads what the oracle reads, and says what it cannot read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from pipeline.verify import plain_files
from pipeline.verify.check import WRONG, main
from pipeline.verify.plain_files import UncheckedError, records
from tests import oracle
from tests.commands import in_process, run_here
from tests.deliveries import Event, deliver, generate

GOOD = b'{"event_id":"a","timestamp":"2021-01-08","domain":"d","event_type":"t","data":1}'


def read(path: Path) -> list[tuple[int, bytes]]:
    """Returns offset and bytes of each record."""
    return [tuple(record) for record in records(str(path))]


@pytest.mark.parametrize("chunk", [1 << 20, 300])
@pytest.mark.parametrize(
    "form",
    [
        {"framing": "lines", "compression": "zstd"},
        {"framing": "lines", "crlf": True, "bom": True},
        {"framing": "concatenated", "compression": "gzip"},
        {"framing": "spaced", "bom": True},
        {"framing": "pretty", "compression": "xz", "crlf": True},
        {"framing": "array", "compression": "bzip2", "bom": True},
    ],
    ids=lambda form: "-".join(map(str, form.values())),
)
def test_it_reads_what_the_oracle_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: dict[str, Any], chunk: int
) -> None:
    """In every framing, some bytes at a time, also where a record is larger than that."""
    monkeypatch.setattr(plain_files, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(plain_files, "_BEGINNING_BYTES", max(chunk, 3_000))
    shape = {"files": 2, "broken": 0.1, "extra": 0.2, "awkward": 0.1, "duplicates": 0.3}
    for path in generate(tmp_path, 300, **shape, **form):
        expected = [(record.offset, record.raw) for record in oracle.records_of(path)]
        assert read(path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"\n \r\n", []),
        (b"1 2\n", [(0, b"1"), (2, b"2")]),
        (b"[1,[2]]", [(1, b"1"), (4, b"2")]),
        (b'{"a":1}', [(0, b'{"a":1}')]),
        (b'oops\n{"a":1}\n[1,\n"x"', [(0, b"oops"), (5, b'{"a":1}'), (13, b"[1,"), (17, b'"x"')]),
        (b'{\n"a":1}\n{\n"a":{}}', [(0, b'{\n"a":1}'), (9, b'{\n"a":{}}')]),
    ],
)
def test_small_texts(tmp_path: Path, text: bytes, expected: list[tuple[int, bytes]]) -> None:
    """A text with a line that is an object by itself is JSON Lines; any other is values."""
    (tmp_path / "a").write_bytes(text)
    assert read(tmp_path / "a") == expected


@pytest.mark.parametrize("size", range(1, 9))
def test_a_value_may_end_where_a_chunk_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """What has been read of a number may be a number, too.

    Seen to fail with a number taken for complete at the end of a chunk.
    """
    monkeypatch.setattr(plain_files, "_CHUNK_BYTES", size)
    monkeypatch.setattr(plain_files, "_BEGINNING_BYTES", size)
    (tmp_path / "a").write_bytes(b'123456 "abc" [12, {"a":\n1}]')
    assert [raw for _, raw in read(tmp_path / "a")] == [b"123456", b'"abc"', b"12", b'{"a":\n1}']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.decode().encode("utf-16"), "offset 0: cannot be checked: is not UTF-8 text"),
        (gzip.compress(GOOD * 99)[:-9], "cannot be checked: Compressed file ended"),
        (b"[" + GOOD + b',{"b":}]', "offset 82: cannot be checked: Expecting value"),
        (b"PAR1 and more", "offset 0: cannot be checked: Expecting value"),
        (GOOD + b'\n{"a":\n' + GOOD, "offset 81: cannot be checked: a damaged record, and it is"),
        (GOOD + b"\n{\n" + GOOD, "offset 81: cannot be checked: a damaged record, and it is"),
        (GOOD + b'\n{\n  "a": 1\n}\n', "offset 81: cannot be checked: a damaged record, and it"),
    ],
)
def test_what_cannot_be_checked_is_said(tmp_path: Path, text: bytes, message: str) -> None:
    """Where a damaged record ends the job decides: a guess could call a right row wrong."""
    (tmp_path / "a").write_bytes(text)
    with pytest.raises(UncheckedError) as problem:
        read(tmp_path / "a")
    assert message in str(problem.value)
    assert str(problem.value).startswith(f"{tmp_path / 'a'}")


def test_a_record_that_never_ends_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file is not read to its end for nothing."""
    for name, size in (("_BEGINNING_BYTES", 100), ("_CHUNK_BYTES", 100), ("_MOST_BYTES", 1_000)):
        monkeypatch.setattr(plain_files, name, size)
    (tmp_path / "a").write_bytes(b"[" + b'{"a":' * 100_000)
    with pytest.raises(UncheckedError, match="offset 1: cannot be checked"):
        read(tmp_path / "a")
    (tmp_path / "a").write_bytes(b'{"a":1}\n' + b'{"a":' * 100_000)
    with pytest.raises(UncheckedError, match="offset 8: cannot be checked: the line is too large"):
        read(tmp_path / "a")


def test_the_command_says_it_in_one_sentence(tmp_path: Path) -> None:
    """Nothing is said about the table then."""
    deliver(tmp_path / "in" / "a.jsonl", [Event("a")])
    run_here(tmp_path / "in", tmp_path / "table")
    (tmp_path / "in" / "b.json").write_bytes(b"[oops]")

    done = in_process("--output", tmp_path / "table", "--input", tmp_path / "in", main=main)

    assert (done.status, done.out) == (WRONG, "")
    path = tmp_path / "in" / "b.json"
    assert done.err == f"eventsift: {path}, offset 1: cannot be checked: Expecting value\n"
