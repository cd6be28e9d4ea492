"""Broken records among good ones: what each costs, and what its reject says."""

from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.input.rejects import Reject
from tests.json_files import FRAMINGS, MUTATIONS, event, framed, mutated, short_stretches, whole


@pytest.fixture(autouse=True, scope="module")
def stretches_are_short() -> Iterator[None]:
    """See `short_stretches`."""
    with short_stretches():
        yield


BROKEN = {
    # What is put in the place of `"data":1}` at the end of an event: the reason.
    b'"data":nul}': "not-json",
    b'"data":NaN}': "not-json",
    b'"data":01}': "not-json",
    b'"data":"\\x"}': "not-json",
    b'"data":"a\tb"}': "not-json",
    b'"data":1,}': "not-json",
    b'"data":"\\ud800"}': "not-json",
    b'"data":"\\udc00\\ud800 "}': "not-json",
    b'"data" 1}': "not-json",
    b'"data":"\xff"}': "invalid-utf8",
    b'"data":"\xed\xa0\x80"}': "invalid-utf8",
    b'"d\xff":1,"data":1}': "invalid-utf8",
    b'"date":1}': "missing-field",
    b'"data":1,"event_id":null}': "wrong-type",
    b'"data":1,"timestamp":{"a":1}}': "wrong-type",
    b'"data":1,"domain":7}': "wrong-type",
    b'"data":1,"event_type":[]}': "wrong-type",
    b'"data":1,"event_id":""}': "empty-field",
    b'"data":1,"domain":""}': "empty-field",
    b'"data":1,"event_type":""}': "empty-field",
}


@pytest.mark.parametrize("framing_name", FRAMINGS)
@pytest.mark.parametrize("end", BROKEN)
def test_a_broken_record_costs_only_itself(framing_name: str, end: bytes) -> None:
    """In every framing, the events before and after it are kept, and it is quoted exactly."""
    before = FRAMINGS[framing_name][1]
    good = [event(f"g{n}", "1").text(before).encode() for n in range(8)]
    assert good[0].endswith(b'"data":1}')
    broken = good[0].replace(b'"data":1}', end).replace(b"g0", b"b0")
    texts = [*good[:3], broken, good[3], broken, broken, *good[4:]]
    data = framed(texts, framing_name)
    events, rejects = whole(data)
    assert [e.fields[0] for e in events] == [f"g{n}" for n in range(8)]
    assert [(reject.reason, reject.raw) for reject in rejects] == [(BROKEN[end], broken)] * 3
    offset = data.index(broken)
    assert (rejects[0].source, rejects[0].offset, rejects[0].length) == (
        "file",
        offset,
        len(broken),
    )


@pytest.mark.parametrize("framing_name", [name for name in FRAMINGS if name != "array"])
def test_a_record_with_a_bracket_too_few_costs_only_itself(framing_name: str) -> None:
    """Its own brackets do not show where it ends, but lines, or objects that touch, do."""
    before = FRAMINGS[framing_name][1]
    good = [event(f"g{n}", "1").text(before).encode() for n in range(4)]
    broken = good[0].replace(b'"data":1}', b'"data":{"a":[1,2}').replace(b"g0", b"b0")
    events, rejects = whole(framed([*good[:2], broken, *good[2:]], framing_name))
    assert [e.fields[0] for e in events] == ["g0", "g1", "g2", "g3"]
    assert [(reject.reason, reject.raw) for reject in rejects] == [("not-json", broken)]


# On one line, a neighbour may be taken for a part of what a record has lost its end of.
SURVIVORS = {"concatenated": {"g0", "g3"}, "spaced": {"g0", "g3"}, "array": {"g0"}}


@pytest.mark.parametrize("framing_name", FRAMINGS)
def test_a_record_cut_off_anywhere_costs_only_itself(framing_name: str) -> None:
    """Wherever a writer died within a record, the next writer's events are kept."""
    before = FRAMINGS[framing_name][1]
    good = [event(f"g{n}", '{"a":[1,{"b":"c"}]}').text(before).encode() for n in range(4)]
    for length in range(1, len(good[0])):
        texts = [good[0], good[1][:length], good[2], good[3]]
        events, rejects = whole(framed(texts, framing_name))
        ids = {e.fields[0] for e in events}
        assert SURVIVORS.get(framing_name, {"g0", "g2", "g3"}) <= ids, (length, events)
        assert ids <= {"g0", "g2", "g3"}
        assert rejects


@given(
    st.lists(st.tuples(st.integers(1, 9), MUTATIONS), min_size=1, max_size=3),
    st.sampled_from(["lines", "crlf", "array of lines", "pretty", "unindented"]),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_mutation_of_some_lines_loses_the_others(
    mutations: list[tuple[int, tuple[str, float, int, bytes]]], framing_name: str
) -> None:
    """Where records begin on lines of their own, damage to one does no harm to another.

    Exceptions: a bracket before an element of an array makes an array in the array of what follows.
    And an array whose first element is no object is a value of its own, not an array of events.
    And a damaged line after a damaged line, which ends where a value may follow: the next line may
    be that value. And an element of an array with two faults may take the others with it.

    It does not hold for every mutation (docs/decisions/13-damaged-records.md), so the examples are
    always the same.
    """
    before = FRAMINGS[framing_name][1]
    texts = [event(f"g{n}", '{"a":[1]}').text(before).encode() for n in range(12)]
    for row, mutation in mutations:
        text = mutated(texts[row], mutation)
        assume(framing_name != "array of lines" or not text.startswith(b"["))
        texts[row] = text
    rows = {row for row, _ in mutations}
    unended = {row for row in rows if texts[row].rstrip().endswith((b":", b",", b"["))}
    assume(not any(row - 1 in rows for row in unended))
    assume(framing_name != "array of lines" or len(rows) == len(mutations))
    events, _ = whole(framed(texts, framing_name))
    intact = {f"g{n}" for n in range(12)} - {f"g{row}" for row in rows}
    assert intact <= {e.fields[0] for e in events}


def only_reject(data: bytes) -> Reject:
    """Returns the reject of a file that gives nothing else."""
    events, rejects = whole(data)
    assert events == []
    assert len(rejects) == 1
    return rejects[0]


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"[1,2]\n", "not-an-object", "'[1,2]' is not a JSON object"),
        (b"[[]]", "not-an-object", "'[[]]' is not"),
        (b'"text"', "not-an-object", "text"),
        (b"null", "not-an-object", "null"),
        (b"9" * 5000, "not-an-object", "9…9"),
        (b"oops", "not-json", "invalid character (byte 0): 'oops'"),
        (b"NaN", "not-json", "NaN"),
        (b"{}", "missing-field", "event_id is missing, there is only []"),
        (b'{"event_id":"a"}', "missing-field", "timestamp is missing, there is only ['event_id']"),
        (b'{"event_id":7}', "wrong-type", "event_id is '7', it must be a string"),
        (b'{"event_id":""}', "empty-field", "event_id is '', it must have at least one"),
        (b'{"event_id":"a', "truncated", "truncated: '{\"event_id\":\"a'"),
        (b'"\\ud800"', "not-json", "half of a surrogate pair"),
        (b'{"\\udc00":1}', "not-json", "half of a surrogate pair"),
        ('"\ufffd'.encode() + b'\xff"', "invalid-utf8", "byte 0xff at 4 is not UTF-8"),
        (b"[" * 100_000, "too-deep", "nested deeper than 500 levels"),
        (b"]", "not-json", "']'"),
    ],
)  # fmt: skip
def test_reasons(data: bytes, reason: str, message: str) -> None:
    """Each kind of damage has its reason, and a message that shows the value and the rule."""
    reject = only_reject(data)
    assert reject.reason == reason
    assert message in reject.message
    assert reject.raw == data.strip()


def test_an_array_without_end_is_rejected() -> None:
    """A file that ends within an array is a file that somebody has cut: that is a reject."""
    text = event("a").text()
    for data in (f"[{text}", f"[{text},", f"[\n{text},\n{text} \n", "[{}"):
        _, rejects = whole(data.encode())
        assert (rejects[-1].reason, rejects[-1].raw) == ("truncated", b"")
        assert rejects[-1].offset == len(data)
    _, rejects = whole(f"[{text}\n{text}]\n{text}".encode())
    assert [(one.reason, one.offset, one.raw) for one in rejects] == [
        ("truncated", len(text) + 2, b""),
        ("not-json", 2 * len(text) + 2, b"]"),
    ]


@pytest.mark.parametrize("between", [b"", b" ", b","])
def test_any_number_of_broken_records_in_a_row(between: bytes) -> None:
    """After any number of different broken records in a row, the next event is found."""
    broken = [b'{"k%d":oops}' % n for n in range(100)]
    data = between.join([*broken, event("good").text().encode()])
    events, rejects = whole(b"[" + data + b"]" if between == b"," else data)
    assert [e.fields[0] for e in events] == ["good"]
    assert len(rejects) > 3


def test_a_record_nested_beyond_what_python_can_is_refused() -> None:
    """It costs only itself, in any framing that shows where it ends."""
    deep = event("deep", "[" * 100_000 + "]" * 100_000).text()
    texts = [event("a").text(), deep, event("b").text()]
    for between in ("\n", ""):
        events, rejects = whole(between.join(texts).encode())
        assert [e.fields[0] for e in events] == ["a", "b"]
        assert [reject.reason for reject in rejects] == ["too-deep"]
        assert rejects[0].raw == deep.encode()
