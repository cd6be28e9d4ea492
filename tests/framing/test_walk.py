import json
import re
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.framing import values
from pipeline.framing.borders import cuts
from pipeline.framing.values import is_value
from pipeline.framing.walk import START, Walk

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("} {"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def records(data: bytes, final: bool = True) -> list[tuple[bytes, bool]]:
    """Returns what a walk finds by itself; no object is an event to it."""
    walk = Walk(data, START, final, lambda _: False, 1 << 30)
    found = []
    while walk.to_next() and (record := walk.record()):
        found.append((data[record.start : record.end], record.is_object))
    return found


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 0, 1, "\t"]), st.data())
@settings(max_examples=100, deadline=None)
def test_cuts_are_between_top_level_values(
    values: list[object], indent: int | str | None, data: st.DataObject
) -> None:
    """A file cut at any border has the same values, however they are nested and printed.

    Seen to fail with a border that may lie after a comma, or needs no newline.
    """
    ends = st.sampled_from(["\n", "\r\n", "\n\n ", " "])
    texts = [json.dumps(value, indent=indent) + data.draw(ends) for value in values]
    text = "".join(texts).encode()
    starts = {len("".join(texts[:n]).encode()) for n in range(len(texts))}
    assert set(cuts(text)) <= starts


def test_cuts_are_found() -> None:
    """A border lies between objects on lines of their own, with any space around the newline.

    An object that is indented may be an inner one, of a list that lost a comma.
    """
    assert list(cuts(b'{"a":1}\n{"b":2}\r\n \n{"c":[{},\n{}]}{"d":3}\n')) == [8, 19]
    assert list(cuts(b'{"a":[\n  {"b":2}\n  {"c":3}\n]}')) == []
    assert list(cuts(b'[{"a":1},\n{"b":2}]\n[\n{}]\n5\n{}')) == []


def test_a_window_may_begin_anywhere() -> None:
    """A border is certain without the bytes before it, even in the middle of a string."""
    assert list(cuts(b'...with "quotes" and }{ in it"}\n{"next":1}')) == [32]


@pytest.mark.parametrize(
    "value", ["null", "-1.5E+3", '"\\ud800"', "[1, {}]", "9" * 5000, "[" * 500 + "]" * 500]
)
def test_is_value(value: str) -> None:
    """Exactly one JSON value is one, even with escapes that stand for no character."""
    assert is_value(value.encode())
    assert not is_value(value.encode() + b"x")
    assert not is_value(b'["' + value.encode())


def test_a_walk_tells_objects_from_other_records() -> None:
    """Records of every kind are found, without what may stand between them."""
    data = b'\xef\xbb\xbf{"a":1} 5\n[1,{}]\r\n[{"b":2}, "c" ,{"d":\n3} ]{}{oops}\ngarbage {\n"e"'
    assert records(data) == [
        (b'{"a":1}', True), (b"5", False), (b"[1,{}]", False), (b'{"b":2}', True), (b'"c"', False),
        (b'{"d":\n3}', True), (b"{}", True), (b"{oops}", True), (b"garbage {", False),
        (b'"e"', False),
    ]  # fmt: skip


@given(VALUES.map(json.dumps).map(str.encode), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_what_may_go_on_is_incomplete(value: bytes, shorter: int) -> None:
    """Before the file's end, a cut value is no record; nor is one that touches the part's end."""
    if not re.match(rb"\[[{\]]", value):
        assert records(value[: max(1, len(value) - shorter)], final=False) == []
        assert records(value, final=False) == []
        assert [text for text, _ in records(value + b"\n{", final=False)] == [value]


@pytest.mark.parametrize("length", [4000, 4090, 4096, 4097, 40_000, 300_000])
def test_long_values(length: int) -> None:
    """Values that are longer than the first window, or just as long, are found."""
    for value in (b"9" * length, b'"' + b"x" * length + b'"', b'{"a":' + b" " * length + b"1}"):
        assert [text for text, _ in records(value + b"\n{}")] == [value, b"{}"]


def test_guesses_are_where_records_begin_alike() -> None:
    """A guess is the last such place within reach; inner objects of a list are passed over."""
    one = b'{"event_id":1,"data":[{"event_id":2}]}\n'
    walk = Walk(one * 10, START, True, lambda _: False, 1 << 30)
    assert walk.to_next()
    assert walk.guess(4 * len(one) + 20) == 4 * len(one)
    assert walk.guess(11 * len(one)) == 10 * len(one)
    assert walk.guess(len(one)) == 0
    array = Walk(b"[" + b",".join([one] * 10) + b"]", START, True, lambda _: False, 1 << 30)
    assert array.to_next()
    assert array.guess(4 * len(one)) == 1 + 3 * (len(one) + 1)


HOSTILE = [
    '{"a":', '{"a":[', '{"a" ', "{", '{"', '[{"a":[1,', "[", "9", "x", '{"a":1 ', '{"a":x}', "]",
    ",{",    '{"event_id":{', '"},{"', '{"a":{"b":1},"', '},{"a":1', "\\", "\"",
]  # fmt: skip


@pytest.mark.parametrize("start", ["", "[", '[{"a":', '"'])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_takes_linear_work(text: str, start: str) -> None:
    """Twice as much of a text that was made to be slow takes twice the work, not four times."""
    scan = values._SCAN
    work = []

    def counting(window: str, at: int) -> tuple[object, int]:
        work[-1] += len(window)
        return scan(window, at)

    with mock.patch.object(values, "_SCAN", counting):
        for size in (40_000, 80_000):
            work.append(0)
            assert records((start + text * (size // len(text))).encode())
    assert work[1] <= 2.2 * work[0] + 100_000
