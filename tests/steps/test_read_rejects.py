"""What cannot be read: one dead letter a record, whatever is damaged; all else is kept."""

import base64
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.input import streams
from pipeline.input.blocks import Block, Piece
from pipeline.input.contracts import Contract, Schema
from pipeline.input.rejects import REASONS
from pipeline.steps.read import read_block
from tests.steps.reading import COMPRESSIONS, FIRST, block_of, events, ids, letters, line, reading


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name != "plain"])
@pytest.mark.parametrize("part_bytes", [100, 100_000])
def test_damaged_files(tmp_path: Path, compression: str, part_bytes: int) -> None:
    """What is before the damage is read; what it cut off, and the file itself, are letters."""
    text = "".join(
        line(f"{n}", json.dumps(base64.b64encode(bytes([n] * 9)).decode())) + "\n"
        for n in range(200)
    )
    compress = COMPRESSIONS[compression]
    first, second = compress(text[:9000].encode()), compress(text[9000:].encode())
    corrupt = bytearray(second)
    corrupt[len(second) // 2] ^= 0xFF
    before = {f"{n}" for n in range(text[:9000].count("\n"))}
    settings = reading(tmp_path, part_bytes=part_bytes)
    for reason, stored in [
        ("truncated-file", first + second[:-4]),
        ("truncated-file", first + second[: len(second) // 2]),
        ("corrupt-file", first + bytes(corrupt)),
        ("corrupt-file", first + b"rubbish"),
    ]:
        after = line("another file").encode()
        block = block_of(tmp_path, stored, after)
        read = read_block(block, settings)
        assert read.bytes == len(stored) + len(after)
        assert before | {"another file"} <= set(ids(read))
        *cut_off, of_file = letters(read)
        assert (of_file["reason"], of_file["raw"]) == (reason, b"")
        assert of_file["source"] == block.pieces[0].path
        assert compression in of_file["message"] or "after the end" in of_file["message"]
        assert len(cut_off) <= 1
        for letter in cut_off:
            assert letter["reason"] == "truncated"
            assert letter["offset"] + letter["length"] == of_file["offset"]
        assert text.encode()[: of_file["offset"]].count(b"\n") == read.rows - 1


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name != "plain"])
def test_all_of_a_damaged_file_counts_as_read(tmp_path: Path, compression: str) -> None:
    """Also what is far behind the damage: the plan's bytes must be the bytes read."""
    noise = base64.b64encode(random.Random(1).randbytes(40_000)).decode()
    stored = bytearray(COMPRESSIONS[compression](line("a", f'"{noise}"').encode()))
    stored[5000:5010] = b"x" * 10
    read = read_block(block_of(tmp_path, bytes(stored)), reading(tmp_path))
    assert read.bytes == len(stored)
    assert read.rejected["corrupt-file"] == 1


def test_every_reason_has_a_letter(tmp_path: Path) -> None:
    """All of the documented reasons, and no others, in one block; good events beside each."""
    texts = {
        "not-json": b"{'event_id': 1}",
        "truncated": b'{"event_id": "a", "timest',
        "not-an-object": b"[1, 2]",
        "missing-field": b'{"event_id": "a"}',
        "empty-field": line("").encode(),
        "wrong-type": line("a").replace('"a"', "7").encode(),
        "bad-timestamp": line("a", timestamp="2021-01-08").encode(),
        "invalid-utf8": line("a").encode().replace(b"1}", b'"\xff"}'),
        "too-large": line("a", '"' + "x" * 5000 + '"').encode(),
        "too-deep": line("a", "[" * 501 + "]" * 501).encode(),
        "too-long": line("a", domain="/" * 90).encode(),
        "breaks-contract": line("a", "[]", event_type="counted").encode(),
    }
    good = line("good").encode()
    files = {reason: good + b"\n" + text + b"\n" + good for reason, text in texts.items()}
    files["truncated-file"] = gzip.compress(good + b"\n")[:-3]
    files["corrupt-file"] = gzip.compress(good + b"\n") + b"rubbish"
    files["not-json-file"] = b"PAR1" + good
    assert files.keys() == REASONS.keys()
    contract = Contract("reject", (Schema("d", "counted", '{"type": "integer"}'),))
    settings = reading(tmp_path, contract=contract)
    read = read_block(block_of(tmp_path, *files.values()), settings)
    assert read.rejected == Counter(files.keys())
    for number, (reason, content) in enumerate(files.items()):
        (letter,) = (one for one in letters(read) if one["source"] == f"{tmp_path}/file {number}")
        assert letter["reason"] == reason
        assert len(letter["message"]) > 10
        if reason in texts:
            place = slice(letter["offset"], letter["offset"] + letter["length"])
            assert content[place] == letter["raw"] == texts[reason]
    assert ids(read) == ["good"] * (2 * len(texts) + 2)


def test_an_endless_record_is_given_up(tmp_path: Path) -> None:
    """No more than a part and an event are held; it is one reject, and what is after it is read."""
    endless = b'{"event_id": "' + b"x" * 50_000
    data = b"\n".join([line("before").encode(), endless, line("after").encode()])
    settings = reading(tmp_path, part_bytes=1000, max_event_bytes=5000)
    with mock.patch.object(streams, "ENVELOPE_BYTES", 0):
        read = read_block(block_of(tmp_path, data), settings)
    assert ids(read) == ["after", "before"]
    (letter,) = letters(read)
    assert letter["reason"] == "too-large"
    assert "--max-event-mb" in letter["message"]
    assert (letter["offset"], letter["length"]) == (data.index(endless), len(endless))
    assert letter["raw"] == endless[:1024]


@given(
    st.lists(st.sampled_from([*'{}[],:"\\\n \x00é', '"event_id"', line("x"), "\n"])),
    st.integers(1, 50),
)
@settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_garbage_never_stops_a_run(tmp_path: Path, texts: list[str], part_bytes: int) -> None:
    """Nor does it touch the good lines around it, or the file after it."""
    garbage = "".join(texts).encode()
    files = [f"{line('a')}\n".encode() + garbage + f"\n{line('b')}\n".encode(), line("c").encode()]
    read = read_block(block_of(tmp_path, *files), reading(tmp_path, part_bytes=part_bytes))
    assert {"a", "c"} <= set(ids(read))
    whole = read_block(block_of(tmp_path, *files), reading(tmp_path))
    assert (events(read), letters(read)) == (events(whole), letters(whole))


def test_a_missing_file_stops_the_run(tmp_path: Path) -> None:
    """It was planned, so its events are missing: that is for the user to know."""
    with pytest.raises(FileNotFoundError, match="gone"):
        read_block(Block(FIRST, (Piece(f"{tmp_path}/gone", 0, 5),)), reading(tmp_path))
