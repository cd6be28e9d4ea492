"""Damage and framing: nothing inside a damaged record is published, and its neighbours are."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.framing import damage_scan
from pipeline.framing.damage_scan import Damaged
from pipeline.framing.view import Line
from pipeline.input import streams
from pipeline.input.blocks import Piece
from pipeline.input.decoding import Part, decode

NAMES = ("event_id", "timestamp", "domain", "event_type", "data")


def event(event_id: str, data: object) -> dict[str, Any]:
    """Makes an event as an object."""
    return dict(zip(NAMES, (event_id, "2021-01-08T10:00:00Z", "d", "e", data), strict=True))


NESTED = [event(f"nested {n}", [{"event_id": "nested"}, n, [None]]) for n in range(3)]
DATA = {
    "list": NESTED,
    "object": event("nested 3", {"inner": event("nested 4", 1)}),
    "text": 'quoted "}\n{\\' + json.dumps(NESTED[0]),
    "end": [[1, 2, {"a": [NESTED[1]]}]],
}


def texts(indent: int | str | None) -> list[bytes]:
    """Makes six events; number 2 is the one that gets damaged."""
    records = [event(f"g{n}", {"n": [n, {"m": 1}]}) for n in range(6)]
    records[2] = event("damaged", DATA)
    return [json.dumps(record, indent=indent).encode() for record in records]


FRAMINGS: dict[str, tuple[int | str | None, bytes, bytes, bytes]] = {
    "lines": (None, b"", b"\n", b"\n"),
    "crlf": (None, b"", b"\r\n", b"\r\n"),
    "pretty": (2, b"", b"\n", b"\n"),
    "pretty 1": (1, b"", b"\n", b""),
    "pretty 4": (4, b"", b"\r\n\r\n", b"\n"),
    "pretty tab": ("\t", b"", b"\n", b"\n"),
    "array of lines": (None, b"[\n", b",\n", b"\n]\n"),
    "pretty in an array": (2, b"[", b",\n", b"]"),
    "lines with commas": (None, b"", b",\n", b",\n"),
    "array": (None, b"[", b", ", b"]"),
    "concatenated": (None, b"", b"", b""),
    "spaced": (None, b"", b" ", b""),
}
BY_LINES = [name for name in FRAMINGS if name not in ("array", "concatenated", "spaced")]


def framed(records: list[bytes], name: str) -> bytes:
    """Puts records in a framing."""
    _, opening, between, closing = FRAMINGS[name]
    return opening + between.join(records) + closing


def ids(data: bytes) -> list[str]:
    """Returns the ids of the events that are decoded from a file."""
    return [found.event_id for found in decode(Part("file", 0, data)).events]


def check(name: str, damaged: bytes, *, lost: int = 0) -> None:
    """Checks that nothing nested is published, and only `lost` records after this one are lost."""
    records = texts(FRAMINGS[name][0])
    records[2] = damaged
    found = ids(framed(records, name))
    assert not [one for one in found if one.startswith("nested")], damaged
    assert {"g0", "g1", *(f"g{n}" for n in range(3 + lost, 6))} <= set(found), damaged


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_record_cut_anywhere(name: str) -> None:
    """After a writer died, the next line is kept; on one line, what cannot be told apart is lost.

    Seen to fail with an end at every line that begins with an object, indented or not.
    """
    whole = texts(FRAMINGS[name][0])[2]
    lost = {"array": 3, "concatenated": 1, "spaced": 1, "lines with commas": 3}.get(name, 0)
    for length in range(1, len(whole), 3):
        check(name, whole[:length], lost=lost)


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_byte_lost_anywhere(name: str) -> None:
    """A bracket, quote, comma or colon is missing: nothing nested is published.

    Seen to fail with rule 2 before rule 1, and where a string may contain a line break.
    """
    whole = texts(FRAMINGS[name][0])[2]
    for at in range(1, len(whole)):
        if whole[at] in b'{}[]",:\\' and at % 2:
            lost = 0 if name in BY_LINES else 3
            check(name, whole[:at] + whole[at + 1 :], lost=lost)


@pytest.mark.parametrize(
    "extra", [b"{", b"}", b"[", b"]", b'"', b",", b"\\", b"\n", b"\0", b"\xff"]
)
@pytest.mark.parametrize("name", FRAMINGS)
def test_a_byte_added_anywhere(name: str, extra: bytes) -> None:
    """A bracket too many, a stray quote, a line break, a NUL, a byte that is not UTF-8.

    Where commas stand between records, the ones after it may be lost in the reject.
    """
    whole = texts(FRAMINGS[name][0])[2]
    has_borders = name in BY_LINES and b"," not in FRAMINGS[name][2]
    for at in range(1, len(whole), 7):
        check(name, whole[:at] + extra + whole[at:], lost=0 if has_borders else 3)


@pytest.mark.parametrize(
    "bad",
    [b"nul", b"NaN", b"01", b'"\\x"', b'"\t"', b'"\\ud800 and more"', b"\xff", b'"\xed\xa0\x80"',
     b"1 2", b'"a" "b"', b"1,", b"\0\0", b"'a'", b"undefined", b"// no", b"[" * 3000 + b"]" * 3000],
)  # fmt: skip
@pytest.mark.parametrize("name", FRAMINGS)
def test_a_bad_token_costs_one_record(name: str, bad: bytes) -> None:
    """Brackets and strings are in order, so its end is known: one reject, in any framing."""
    indent = FRAMINGS[name][0]
    records = texts(indent)
    member = json.dumps({"data": 1}, indent=indent).encode().strip(b"{}")
    assert records[2].endswith(b"}")
    records[2] = records[2][:-1].rstrip() + b"," + member.replace(b"1", bad) + b"}"
    data = framed(records, name)

    decoded = decode(Part("file", 0, data))

    assert [found.event_id for found in decoded.events] == ["g0", "g1", "g3", "g4", "g5"]
    assert [reject.raw for reject in decoded.rejects] == [records[2]]


FLAT = {"a file": (b"", b"\n", b"\n"), "an array": (b"[\n", b",\n", b"\n]\n")}


def flat(name: str, lines: list[bytes]) -> bytes:
    """Makes a file with these lines of a damaged record among good ones, none of them indented."""
    opening, between, closing = FLAT[name]
    records = [json.dumps(event(f"g{n}", {"n": [n]}), indent=0).encode() for n in range(3)]
    records.insert(1, b"\n".join(lines))
    return opening + between.join(records) + closing


@pytest.mark.parametrize("bad", [b"x", b"\1", b" NaN", b"// no", b"\xff"])
@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("part_bytes", [40, 1 << 20])
def test_a_bad_token_before_an_inner_line(name: str, bad: bytes, part_bytes: int) -> None:
    """Inner objects begin as far left as their record, and are not taken for its neighbours.

    Seen to fail with an end at each line that begins with a bracket and follows no comma.
    """
    lines = json.dumps(event("damaged", DATA), indent=0).encode().split(b"\n")
    for at in range(1, len(lines) - 1):
        if lines[at] in (b"},", b"{"):
            continue  # a border comes of it, or garbage that it is cut at
        data = flat(name, [*lines[:at], lines[at] + bad, *lines[at + 1 :]])
        piece = Piece("file", 0, len(data))
        found = list(streams.parts(io.BytesIO(data), piece, part_bytes, 1 << 20))
        assert [one.event_id for _, some in found for one in some.events] == ["g0", "g1", "g2"]
        assert sum(len(some.rejects) for _, some in found) == 1


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_record_cut_between_lines(name: str) -> None:
    """Nothing nested is published; what follows shows that the neighbours are not part of it.

    In an array, that is so only if the record's own members were being written.
    """
    lines = json.dumps(event("damaged", DATA), indent=0).encode().split(b"\n")
    for length in range(2, len(lines)):
        cut = flat(name, lines[:length])
        found = ids(cut)
        assert not [one for one in found if one.startswith("nested")], cut
        if name == "a file" or length < 6:
            assert {"g0", "g2"} <= set(found), cut
    for at, one in enumerate(lines):
        if one in (b"}", b"},") and name == "a file":
            found = ids(
                flat(name, [*lines[:at], *([b","] if b"," in one else []), *lines[at + 1 :]])
            )
            assert not [one for one in found if one.startswith("nested")]


@pytest.mark.parametrize("name", BY_LINES)
@pytest.mark.parametrize("at", [5, 30, 60, 111, 130, 200, 240, 300])
def test_two_writers_in_one_line(name: str, at: int) -> None:
    """One writes into the middle of the other's record: at most these two are lost."""
    whole = texts(FRAMINGS[name][0])
    mixed = whole[2][:at] + whole[3] + whole[2][at:]
    found = ids(framed([*whole[:2], mixed, *whole[4:]], name))
    assert not [one for one in found if one.startswith("nested")]
    assert {"g0", "g1", "g4", "g5"} <= set(found)


@pytest.mark.parametrize("name", ["lines", "crlf", "concatenated", "pretty", "pretty tab"])
def test_the_end_of_a_record_alone(name: str) -> None:
    """What is left of a record that has lost its beginning is garbage, wherever it was cut.

    An exception: if a nested object comes first, that begins a file like any record.
    """
    whole = texts(FRAMINGS[name][0])
    for at in range(1, len(whole[2]), 3):
        tail = whole[2][at:]
        if tail.lstrip(b" \t\r\n,[:")[:1] == b"{" or b"nested" in tail.lstrip(b' \t\r\n"')[:11]:
            continue
        found = ids(framed([tail, *whole[3:]], name))
        assert not [one for one in found if one.startswith("nested")], tail
        if name in BY_LINES:
            assert {"g3", "g4", "g5"} <= set(found), tail


# One ending, however the text is cut into chunks

SNIPPETS = [
    "{", "}", "[", "]", '"', "\\", ",", ":", "\n", "\n  ", " ", "x", "\ufeff", '{"a":1}', "é",
    "\n{", ",\n{", "}\n{", '"\n', "[\n",
]  # fmt: skip


def feed(text: bytes, sizes: list[int]) -> tuple[int | None, bytes]:
    """Returns where the damaged record ends if it comes in chunks of these sizes."""
    ending = Damaged(text[:1], b"", Line(0, False), True)
    at = 0
    for size in [*sizes, len(text)]:
        chunk = text[at : at + size]
        found = ending.find_end(chunk, 0, len(chunk))
        if found is not None:
            return at + found, b""
        at += len(chunk)
    return None, ending.last


@given(
    st.lists(st.sampled_from(SNIPPETS), max_size=60).map(lambda parts: "".join(['{"a', *parts])),
    st.lists(st.integers(1, 9), max_size=40),
    st.integers(1, 9),
)
@example('{"\\\\\\"}', [3, 1, 1, 1], 1)
@example('{"a":[1],\n{}\n}', [9, 1, 1], 2)
@example('{"a":[1,\n{}]}', [8, 1, 1], 2)
@example('{"a":1\n  {}}', [9, 1], 1)
@settings(max_examples=300, deadline=None)
def test_chunks_do_not_matter(text: str, sizes: list[int], quick: int) -> None:
    """A large record comes in chunks, and partly in one go: its end is always the same.

    Seen to fail with a sequence of backslashes, a line's indentation, or the last byte before a
    line forgotten between two chunks.
    """
    data = text.encode()
    expected = feed(data, [])
    assert feed(data, sizes) == expected
    with (
        mock.patch.object(damage_scan, "_SLOW_BYTES", quick),
        mock.patch.object(damage_scan, "_QUICK_BYTES", quick + 3),
    ):
        assert feed(data, []) == expected
        assert feed(data, sizes) == expected
