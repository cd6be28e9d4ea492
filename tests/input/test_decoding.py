import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from unittest import mock

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.framing import walk as framing
from pipeline.input import decoding
from pipeline.input.decoding import Part, decode, spans
from pipeline.input.rejects import REASONS, Reject

FIELDS = ("event_id", "timestamp", "domain", "event_type", "data")


class Found(NamedTuple):
    """An event as decoded, with its place in the file."""

    fields: tuple[str, str, str, str]
    data: bytes
    extra: str | None
    place: tuple[int, int]


class Document(NamedTuple):
    """A JSON object of (name, value) members, in JSON text, as it is delivered."""

    members: tuple[tuple[str, str], ...]

    def text(self, before: str = "", after: str = "", colon: str = ":") -> str:
        """The object, with insignificant text where it may be."""
        inner = f",{before}".join(f"{name}{colon}{value}" for name, value in self.members)
        return f"{{{before}{inner}{after}}}"

    def expected(self) -> tuple[tuple[str, str, str, str], bytes, str | None]:
        """What Python's json, and slicing, make of it."""
        values = {json.loads(name): value for name, value in self.members}  # the last one wins
        fields = tuple(json.loads(values[field]) for field in FIELDS[:-1])
        unknown = sorted(values.keys() - set(FIELDS))
        members = [f"{json.dumps(name, ensure_ascii=False)}:{values[name]}" for name in unknown]
        extra = f"{{{','.join(members)}}}" if unknown else None
        return fields, values["data"].encode(), extra  # type: ignore[return-value]


def event(event_id: str, data: str = "{}", *more: tuple[str, str]) -> Document:
    """An event with this event_id, `data` and further members."""
    members = [("event_id", f'"{event_id}"'), ("timestamp", '"2021-01-08T10:00:00Z"')]
    members += [("domain", '"account"'), ("event_type", '"opened"'), ("data", data)]
    return Document(tuple((f'"{name}"', value) for name, value in [*members, *more]))


def found(part: Part, *, in_runs: bool = True) -> tuple[list[Found], list[Reject]]:
    """All that decoding a part gives, with places in the file."""
    decoded = decode(part, in_runs=in_runs)
    places = spans(part, decoded, range(len(decoded.events)))
    events = []
    for row, (e, (start, end)) in enumerate(zip(decoded.events, places, strict=True)):
        fields = (e.event_id, e.timestamp, e.domain, e.event_type)
        place = (part.offset + start, part.offset + end)
        events.append(Found(fields, bytes(e.data), decoded.extras.get(row), place))
    return events, decoded.rejects


def whole(data: bytes, *, in_runs: bool = True) -> tuple[list[Found], list[Reject]]:
    """A file that is one part."""
    return found(Part("file", 0, data), in_runs=in_runs)


def in_parts(data: bytes, part_bytes: int) -> tuple[list[Found], list[Reject]]:
    """The same read in parts of some size, as `read` does it."""
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
    """The same read in pieces that begin at some places, each by itself."""
    events: list[Found] = []
    rejects: list[Reject] = []
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        more, more_rejects = found(Part("file", start, data[start:end]))
        events += more
        rejects += more_rejects
    return events, rejects


@pytest.fixture(autouse=True, scope="module")
def short_runs() -> Iterator[None]:
    """Runs as short as the inputs here, so that all steps between the run lengths are taken."""
    with (
        mock.patch.object(decoding, "_SHORTEST_RUN_BYTES", 64),
        mock.patch.object(decoding, "_RUN_BYTES", 512),
        mock.patch.object(decoding, "_LONGEST_RUN_BYTES", 4096),
    ):
        yield


# Documents

ODD_VALUES = [
    "null", "true", "0", "-0.0", '""', "1.2345678901234567890123", "0.1000", "1E+400", "9" * 50,
    "-" + "8" * 5000, "[ ]", "{ }", '[ 1 ,\t2 , [ ] ]', '{"a" : 1 , "a" : 1}', '"\\ud83d\\ude00"',
    '"\\u0000\\/\\b"', '"}{"', '"},{\\"event_id\\":"', '[{"data":1},{"data":[{"event_id":"x"}]}]',
    '{"items":[{"event_id":"n","timestamp":"t","domain":"d","event_type":"e","data":1},{}]}',
]  # fmt: skip
SPACE = st.sampled_from(["", " ", "\n", "\r\n", "\t", "\n  ", " \n\n "])


@st.composite
def values(draw: st.DrawFn) -> str:
    """JSON text of any value."""
    if draw(st.booleans()):
        return draw(st.sampled_from(ODD_VALUES))
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    leaf = st.none() | st.booleans() | numbers | st.text(max_size=8)
    anything = leaf | st.lists(leaf, max_size=3) | st.dictionaries(st.text(max_size=4), leaf)
    indent = draw(st.sampled_from([None, 0, 2, "\t"]))
    return json.dumps(draw(anything), ensure_ascii=draw(st.booleans()), indent=indent)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A well-formed event: members in any order, some twice, some unknown."""
    ascii_only = draw(st.booleans())

    def string(value: str) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    members = [(f'"{name}"', string(draw(st.text(min_size=1)))) for name in FIELDS[:-1]]
    members.append(('"data"', draw(values())))
    names = st.sampled_from(["v", "schema version", "source", "é", 'q"'])
    for name in draw(st.lists(names, max_size=3)):
        members.append((string(name), draw(values())))
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    if draw(st.integers(0, 9)) == 0:
        wrong = (draw(st.sampled_from(members))[0], draw(st.sampled_from(ODD_VALUES)))
        members = [wrong, *members]
    if draw(st.integers(0, 9)) == 0:
        members = [(name.replace("event_id", "event\\u005fid"), value) for name, value in members]
    return Document(tuple(members))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[Document]]:
    """A file of some stretches, each in one of the framings, and the events in it."""
    text, all_documents = "", []
    for _ in range(draw(st.integers(1, 3))):
        stretch = draw(st.lists(documents(), max_size=5))
        before, after, colon = draw(SPACE), draw(SPACE), draw(st.sampled_from([":", ": ", " : "]))
        texts = [document.text(before, after, colon) for document in stretch]
        if draw(st.booleans()):
            text += "".join(one + draw(SPACE) for one in texts)
        else:
            between = f"{draw(SPACE)},{draw(SPACE)}"
            text += f"[{draw(SPACE)}{between.join(texts)}{draw(SPACE)}]"
        text += draw(SPACE) + draw(st.sampled_from(["", "\ufeff"]))
        all_documents += stretch
    return text.encode(), all_documents


@given(files())
@settings(max_examples=60, deadline=None)
def test_the_naive_oracle_agrees(file: tuple[bytes, list[Document]]) -> None:
    """All framings, mixed; any strings, numbers and nesting; data and extra byte for byte."""
    data, delivered = file
    events, rejects = whole(data)
    assert rejects == []
    assert [(e.fields, e.data, e.extra) for e in events] == [one.expected() for one in delivered]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n \r\n\t\n", "", " ", "\t "])
@pytest.mark.parametrize("colon", [":", ": "])
@pytest.mark.parametrize("indent", ["", " ", "\n", "\n  ", "\r\n\t"])
@pytest.mark.parametrize("brackets", [False, True])
def test_every_framing(end: str, colon: str, indent: str, brackets: bool) -> None:
    """Lines, concatenated, spaced, pretty-printed and array: 40 events in each, and as JSON."""
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
        assert [data[slice(*e.place)].decode() for e in events] == texts
        assert len(decode(Part("file", 0, data)).runs) < 30  # it was not done one by one


# The exact way, the parts and the pieces

MUTATIONS = st.tuples(
    st.sampled_from(["delete", "insert", "replace", "cut", "double"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 40),
    st.sampled_from([b"{", b"}", b"[", b"]", b",", b'"', b"\\", b"\n", b"}\n{", b"\xff", b"\0",
                     b"x", b'{"event_id":', b"NaN", b"\xef\xbb\xbf", b" "]),
)  # fmt: skip


def mutated(data: bytes, mutation: tuple[str, float, int, bytes]) -> bytes:
    """The bytes with one damage."""
    kind, where, length, insert = mutation
    at = int(where * len(data))
    if kind == "delete":
        return data[:at] + data[at + length :]
    if kind == "insert":
        return data[:at] + insert + data[at:]
    if kind == "replace":
        return data[:at] + insert + data[at + len(insert) :]
    if kind == "double":
        return data[: at + length] + data[at:]
    return data[:at]


SIMPLE = [
    event("a"), event("b", '[{"data":1},{"data":2}]'), event("c", '"}{"', ("v", "1")),
    event("d", event("n").text()), event("e", f"[{event('n').text()},{event('m').text()}]"),
    event("f", '{\n"q": "é\ufffd"\n}', ("w", "{}"), ("v", "[1]")), event("", "1"),
    Document(event("g").members[::-1]), Document(event("h").members[:3]),
]  # fmt: skip


@st.composite
def hostile_files(draw: st.DrawFn) -> bytes:
    """Files of one to three framings, damaged in a few places."""
    text = ""
    for stretch in draw(st.lists(st.lists(st.sampled_from(SIMPLE), max_size=8), max_size=3)):
        before, after, between = draw(SPACE), draw(SPACE), draw(SPACE)
        texts = [document.text(before, after) for document in stretch]
        array = draw(st.booleans())
        text += f"[{f',{between}'.join(texts)}]" if array else between.join(texts) + between
    data = text.encode()
    for mutation in draw(st.lists(MUTATIONS, max_size=4)):
        data = mutated(data, mutation)
    return data


def check_all_ways(data: bytes, part_bytes: int) -> None:
    """Reads a file at once, by record, in parts and in pieces: always the same, and all of it."""
    events, rejects = whole(data)
    assert whole(data, in_runs=False) == (events, rejects)
    assert in_parts(data, part_bytes) == (events, rejects)
    places = list(framing.cuts(data))
    assert in_pieces(data, places) == (events, rejects)
    assert in_pieces(data, places[len(places) // 2 :][:1]) == (events, rejects)
    check_nothing_is_lost(data, events, rejects)


def check_nothing_is_lost(data: bytes, events: list[Found], rejects: list[Reject]) -> None:
    """Events and rejects cover the file in order, but for what may stand between records."""
    places = [e.place for e in events]
    places += [(reject.offset, reject.offset + reject.length) for reject in rejects]
    at = 0
    for start, end in [*sorted(places), (len(data), len(data))]:
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
@settings(max_examples=250, deadline=None)
def test_every_way_to_read_a_file_gives_the_same(data: bytes, part_bytes: int) -> None:
    """Mutated files: at once or by record, in parts of any size, cut at any border.

    And what is not decoded is rejected, byte for byte. Seen to fail when `Walk.record` gives a
    record that ends with a part, when `_end_of_broken` goes past a border, or accepts an event that
    begins within a part whose end is needed; when a run is not checked for UTF-8.
    """
    check_all_ways(data, part_bytes)


@given(st.binary(max_size=300) | st.text(alphabet='{}[]",:\\ \n01eventid_data', max_size=300))
@settings(max_examples=100, deadline=None)
def test_garbage(text: bytes | str) -> None:
    """Nothing makes decoding crash, and garbage becomes rejects however it is read."""
    check_all_ways(text if isinstance(text, bytes) else text.encode(), 11)


# Broken records among good ones

FRAMINGS = {
    "lines": ("", "", "\n", ""),
    "crlf": ("", "", "\r\n", ""),
    "concatenated": ("", "", "", ""),
    "spaced": ("", "", " ", ""),
    "pretty": ("", "\n  ", "\n", ""),
    "unindented": ("", "\n", "\n", ""),
    "array": ("[", "", ",", "]"),
    "array of lines": ("[\n", "", ",\n", "\n]\n"),
    "pretty array": ("[\n  ", "\n    ", ",\n  ", "\n]"),
}


def framed(texts: Sequence[bytes], name: str) -> bytes:
    """Records in a framing of `FRAMINGS`."""
    opening, _, between, closing = FRAMINGS[name]
    return opening.encode() + between.encode().join(texts) + closing.encode()


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
    """In every framing: the events before and after it are there, and it is quoted exactly."""
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
    """Its brackets do not tell where it ends, but its neighbours do: lines, or touching objects."""
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
    """Wherever a writer died within a record, the next writer's events are there."""
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
    st.lists(st.tuples(st.integers(1, 9), MUTATIONS), min_size=1, max_size=4),
    st.sampled_from(["lines", "crlf", "array of lines", "pretty", "unindented"]),
)
@settings(max_examples=100, deadline=None)
def test_no_mutation_of_some_lines_loses_the_others(
    mutations: list[tuple[int, tuple[str, float, int, bytes]]], framing_name: str
) -> None:
    """Where records begin on lines of their own, nothing that happens to one harms another.

    But for a bracket before an element of an array: what follows is an array in the array. And an
    array whose first element is no object is a value of its own, not an array of events.
    """
    before = FRAMINGS[framing_name][1]
    texts = [event(f"g{n}", '{"a":[1]}').text(before).encode() for n in range(12)]
    for row, mutation in mutations:
        text = mutated(texts[row], mutation)
        assume(framing_name != "array of lines" or not text.startswith(b"["))
        texts[row] = text
    events, _ = whole(framed(texts, framing_name))
    intact = {f"g{n}" for n in range(12)} - {f"g{row}" for row, _ in mutations}
    assert intact <= {e.fields[0] for e in events}


def only_reject(data: bytes) -> Reject:
    """The reject of a file that gives nothing else."""
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
    """A reject names its reason, and shows the value and the rule."""
    reject = only_reject(data)
    assert reject.reason == reason
    assert message in reject.message
    assert reject.raw == data.strip()


def test_an_array_without_end_is_told() -> None:
    """A file that ends within an array is a file that somebody has cut."""
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


@pytest.mark.parametrize(
    "data", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"[]", b"[ ]\n[]", b"\n[\n]\n"]
)
def test_nothing_is_nothing(data: bytes) -> None:
    """Empty files, and empty arrays, have no events and nothing to reject."""
    assert whole(data) == ([], [])


def test_duplicate_members() -> None:
    """The last one counts, as in Python and JavaScript; also if an earlier one breaks a rule."""
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
    """Few names or many, also such as msgspec's types cannot have: kept, and decoded in runs."""
    delivered = [
        event(f"g{n}", "1", (json.dumps(names[n % len(names)])[1:-1], f"[{n}, 0.10]"))
        for n in range(800)
    ]
    texts = [one.text() for one in delivered]
    data = (f"[{','.join(texts)}]" if brackets else "\n".join(texts)).encode()
    events, rejects = whole(data)
    assert rejects == []
    assert [(e.fields, e.data, e.extra) for e in events] == [one.expected() for one in delivered]
    assert whole(data, in_runs=False) == (events, rejects)
    assert len(decode(Part("file", 0, data)).runs) < 500


@pytest.mark.parametrize("framing_name", ["lines", "concatenated", "array"])
def test_one_bad_line_does_not_stop_the_runs(framing_name: str) -> None:
    """1 % bad records are met one by one, the others in runs: msgspec's errors say where.

    If they are worded otherwise one day, this fails: shorter runs are then found by trial only.
    """
    texts = [event(f"g{n}", "1" if n % 100 else "oops").text().encode() for n in range(3000)]
    data = framed(texts, framing_name)
    with (
        mock.patch.object(decoding, "_RUN_BYTES", 64 << 10),
        mock.patch.object(decoding, "_LONGEST_RUN_BYTES", 4 << 20),
        mock.patch.object(decoding, "_decode_run", wraps=decoding._decode_run) as tried,
    ):
        decoded = decode(Part("file", 0, data))
    assert (len(decoded.events), len(decoded.rejects)) == (2970, 30)
    assert tried.call_count < 4 * 30


@pytest.mark.parametrize("between", [b"", b" ", b","])
def test_broken_records_without_number(between: bytes) -> None:
    """However many stand in a row, and unlike each other: the event after them is found."""
    broken = [b'{"k%d":oops}' % n for n in range(100)]
    data = between.join([*broken, event("good").text().encode()])
    events, rejects = whole(b"[" + data + b"]" if between == b"," else data)
    assert [e.fields[0] for e in events] == ["good"]
    assert len(rejects) > 3


def test_a_record_nested_beyond_what_python_can_is_refused() -> None:
    """Its neighbours go through, in any framing that shows where it ends."""
    deep = event("deep", "[" * 100_000 + "]" * 100_000).text()
    texts = [event("a").text(), deep, event("b").text()]
    for between in ("\n", ""):
        events, rejects = whole(between.join(texts).encode())
        assert [e.fields[0] for e in events] == ["a", "b"]
        assert [reject.reason for reject in rejects] == ["too-deep"]
        assert rejects[0].raw == deep.encode()


def test_a_part_ends_where_its_last_whole_record_does() -> None:
    """The rest, and whether it is in an array, is left for the next part."""
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
        assert (decoded.consumed, decoded.in_array) == (consumed, in_array), data
        assert decoded.rejects == []
