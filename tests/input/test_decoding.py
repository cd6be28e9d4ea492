"""Decoding gives every event, however a file is framed, and whichever way it is decoded."""

import json
import re
from collections.abc import Iterator, Sequence
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.framing import borders
from pipeline.input import decoding, stretches
from pipeline.input.decoding import Part, decode
from pipeline.input.rejects import REASONS, Reject
from tests.json_files import (
    Document,
    Found,
    event,
    files,
    found,
    framed,
    hostile_files,
    short_stretches,
    whole,
)


@pytest.fixture(autouse=True, scope="module")
def stretches_are_short() -> Iterator[None]:
    """See `short_stretches`."""
    with short_stretches():
        yield


@given(files())
@settings(max_examples=60, deadline=None)
def test_the_naive_oracle_agrees(file: tuple[bytes, list[Document]]) -> None:
    """Any mix of framings, strings, numbers, nesting: data and extra are kept byte for byte."""
    data, delivered = file
    events, rejects = whole(data)
    assert rejects == []
    assert [(e.fields, e.data, e.extra) for e in events] == [one.expected() for one in delivered]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n \r\n\t\n", "", " ", "\t "])
@pytest.mark.parametrize("colon", [":", ": "])
@pytest.mark.parametrize("indent", ["", " ", "\n", "\n  ", "\r\n\t"])
@pytest.mark.parametrize("brackets", [False, True])
def test_every_framing(end: str, colon: str, indent: str, brackets: bool) -> None:
    """40 events in lines, concatenated, spaced, pretty-printed, in an array: found in stretches."""
    delivered = [event(f"id {n}", f'{{"n":{n}}}') for n in range(40)]
    texts = [one.text(indent, indent, colon) for one in delivered]
    text = (
        f"[{indent}{f',{end}'.join(texts)}{end}]{end}"
        if brackets
        else "".join(one + end for one in texts)
    )
    for start in ("", "\ufeff"):
        data = f"{start}{text}".encode()
        events, rejects = whole(data)
        assert rejects == []
        assert [(e.fields, e.data, e.extra) for e in events] == [
            one.expected() for one in delivered
        ]
        assert [data[slice(*e.span)].decode() for e in events] == texts
        assert len(decode(Part("file", 0, data)).stretches) < 30  # it was not done one by one


@pytest.mark.parametrize(
    "data", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"[]", b"[ ]\n[]", b"\n[\n]\n"]
)
def test_nothing_is_nothing(data: bytes) -> None:
    """Empty files, and empty arrays, have no events and nothing to reject."""
    assert whole(data) == ([], [])


def test_duplicate_members() -> None:
    """The last one counts, as in Python and JavaScript, also if an earlier one breaks a rule."""
    text = '{"event_id":5,"data":1,"v":1,"w":[],"event_id":"a","timestamp":"t",'
    text += '"domain":"","event_type":"e","domain":"d","data":2,"v":3}'
    ((found_event,), rejects) = whole(text.encode())
    assert rejects == []
    assert found_event[:3] == (("a", "t", "d", "e"), b"2", '{"v":3,"w":[]}')


@pytest.mark.parametrize(
    "names", [["v"], ["é", "a b"], ['q"', "\\", "\n"], [f"v{n}" for n in range(90)]]
)
@pytest.mark.parametrize("brackets", [False, True])
def test_unknown_members(names: list[str], brackets: bool) -> None:
    """Few names or many, also some that msgspec cannot learn: kept, and decoded in stretches."""
    delivered = [
        event(f"g{n}", "1", (json.dumps(names[n % len(names)])[1:-1], f"[{n}, 0.10]"))
        for n in range(800)
    ]
    texts = [one.text() for one in delivered]
    data = (f"[{','.join(texts)}]" if brackets else "\n".join(texts)).encode()
    events, rejects = whole(data)
    assert rejects == []
    assert [(e.fields, e.data, e.extra) for e in events] == [one.expected() for one in delivered]
    assert whole(data, in_stretches=False) == (events, rejects)
    assert len(decode(Part("file", 0, data)).stretches) < 500


@pytest.mark.parametrize("framing_name", ["lines", "concatenated", "array"])
def test_one_bad_line_does_not_stop_the_stretches(framing_name: str) -> None:
    """1 % bad records are decoded one by one, the others in stretches: msgspec's errors say where.

    If msgspec words its errors differently one day, this fails: decoding would be slower then.
    """
    texts = [event(f"g{n}", "1" if n % 100 else "oops").text().encode() for n in range(3000)]
    data = framed(texts, framing_name)
    with (
        mock.patch.object(decoding, "_STRETCH_BYTES_AFTER_REJECT", 64 << 10),
        mock.patch.object(decoding, "_LONGEST_STRETCH_BYTES", 4 << 20),
        mock.patch.object(stretches, "decode_stretch", wraps=stretches.decode_stretch) as tried,
    ):
        decoded = decode(Part("file", 0, data))
    assert (len(decoded.events), len(decoded.rejects)) == (2970, 30)
    assert tried.call_count < 4 * 30


def test_a_part_ends_where_its_last_whole_record_does() -> None:
    """The rest, and whether it is inside an array, is left for the next part."""
    text = event("a").text().encode()
    for data, consumed, in_array in [
        (text + b"\n" + text[:50], len(text) + 1, False),
        (b"[" + text + b"," + text[:50], len(text) + 2, True),
        (b"[" + text, 1, True),
        (b"[" + text + b" ] ", len(text) + 4, False),
        (text[:50], 0, False),
        (text + b"\n\xef", len(text) + 1, False),
        (b"12", 0, False),
    ]:
        decoded = decode(Part("file", 7, data, final=False))
        assert (decoded.consumed, decoded.state.in_array) == (consumed, in_array), data
        assert decoded.rejects == []


# The exact way, the parts and the pieces


def in_parts(data: bytes, part_bytes: int) -> tuple[list[Found], list[Reject]]:
    """Reads a file in parts of some size, as `streams` does."""
    events: list[Found] = []
    rejects: list[Reject] = []
    part = Part("file", 0, b"", final=False)
    for end in range(part_bytes, len(data) + part_bytes, part_bytes):
        chunk = data[end - part_bytes : end]
        part = part._replace(data=part.data + chunk, final=end >= len(data))
        more, more_rejects = found(part)
        events += more
        rejects += more_rejects
        decoded = decode(part)
        offset, rest = part.offset + decoded.consumed, part.data[decoded.consumed :]
        part = part._replace(offset=offset, data=rest, state=decoded.state)
    return events, rejects


def in_pieces(data: bytes, places: Sequence[int]) -> tuple[list[Found], list[Reject]]:
    """Reads a file in pieces that begin at some places, each by itself."""
    events: list[Found] = []
    rejects: list[Reject] = []
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        more, more_rejects = found(Part("file", start, data[start:end]))
        events += more
        rejects += more_rejects
    return events, rejects


def check_all_ways(data: bytes, part_bytes: int) -> None:
    """Reads a file at once, by record, in parts and in pieces: always with the same result."""
    events, rejects = whole(data)
    assert whole(data, in_stretches=False) == (events, rejects)
    assert in_parts(data, part_bytes) == (events, rejects)
    places = list(borders.cuts(data))
    assert in_pieces(data, places) == (events, rejects)
    assert in_pieces(data, places[len(places) // 2 :][:1]) == (events, rejects)
    check_nothing_is_lost(data, events, rejects)


def check_nothing_is_lost(data: bytes, events: list[Found], rejects: list[Reject]) -> None:
    """Checks that events and rejects cover the file, except for what may stand between records."""
    spans = [e.span for e in events]
    spans += [(reject.offset, reject.offset + reject.length) for reject in rejects]
    at = 0
    for start, end in [*sorted(spans), (len(data), len(data))]:
        assert re.fullmatch(rb"(?:[ \t\r\n,\[\]]|\xef\xbb\xbf)*", data[at:start]), data[at:start]
        assert at <= start <= end
        at = end
    for reject in rejects:
        assert reject.raw == data[reject.offset : reject.offset + reject.length]
        assert reject.reason in REASONS
        assert reject.message


@given(hostile_files(), st.integers(1, 300))
@example(b'{"event_id":"a"}\n{"event_id": oops\n  {"event_id":1}\n', 5)
@example(b'[{"a":1}\n{"a":2}]', 3)
@example(b'{"a":1},{"a":2},\n{"a":3}\n{"a":4}]', 4)
@example(b'[{"a":x},{"b":1}]\n{"a":2}', 1)
@example(b"123" * 3000 + b"\n4 5\ntruefalse\n[1,2]\n[[]]\n[]\n[{}]\n[]]", 7)
@example(f'{{"x":{event("a").text()}\n{event("b").text()}'.encode(), 400)
@example(b"", 1)
@example(event("a", '"?"').text().encode().replace(b"?", b"\xff") * 3, 500)
@settings(max_examples=250, deadline=None)
def test_every_way_to_read_a_file_gives_the_same(data: bytes, part_bytes: int) -> None:
    """Damaged files, at once or by record, in parts of any size, cut at any border.

    And what is not decoded is rejected, byte for byte. Seen to fail when a damaged record goes past
    a border; when an event of which a part has only the beginning counts as none; when a stretch is
    not checked for UTF-8.
    """
    check_all_ways(data, part_bytes)


@given(st.binary(max_size=300) | st.text(alphabet='{}[]",:\\ \n01eventid_data', max_size=300))
@settings(max_examples=100, deadline=None)
def test_garbage(text: bytes | str) -> None:
    """Nothing makes decoding crash, and garbage becomes rejects however it is read."""
    check_all_ways(text if isinstance(text, bytes) else text.encode(), 11)
