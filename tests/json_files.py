"""JSON files for tests of reading: events, well-formed files of any framing, damaged ones."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from unittest import mock

from hypothesis import strategies as st

from pipeline.input import decoding
from pipeline.input.decoding import Part, decode, spans
from pipeline.input.rejects import Reject

FIELDS = ("event_id", "timestamp", "domain", "event_type", "data")


class Found(NamedTuple):
    """An event as decoded, with where it lies in the file: its start and its end."""

    fields: tuple[str, str, str, str]
    data: bytes
    extra: str | None
    span: tuple[int, int]


class Document(NamedTuple):
    """A JSON object of (name, value) members, in JSON text, as it is delivered."""

    members: tuple[tuple[str, str], ...]

    def text(self, before: str = "", after: str = "", colon: str = ":") -> str:
        """Returns the object, with insignificant text where it may be."""
        inner = f",{before}".join(f"{name}{colon}{value}" for name, value in self.members)
        return f"{{{before}{inner}{after}}}"

    def expected(self) -> tuple[tuple[str, str, str, str], bytes, str | None]:
        """Returns what Python's json, and slicing, make of it."""
        values = {json.loads(name): value for name, value in self.members}  # the last one wins
        fields = tuple(json.loads(values[field]) for field in FIELDS[:-1])
        unknown = sorted(values.keys() - set(FIELDS))
        members = [f"{json.dumps(name, ensure_ascii=False)}:{values[name]}" for name in unknown]
        extra = f"{{{','.join(members)}}}" if unknown else None
        return fields, values["data"].encode(), extra  # type: ignore[return-value]


def event(event_id: str, data: str = "{}", *more: tuple[str, str]) -> Document:
    """Makes an event with this event_id, `data` and further members."""
    members = [("event_id", f'"{event_id}"'), ("timestamp", '"2021-01-08T10:00:00Z"')]
    members += [("domain", '"account"'), ("event_type", '"opened"'), ("data", data)]
    return Document(tuple((f'"{name}"', value) for name, value in [*members, *more]))


def found(part: Part, *, in_stretches: bool = True) -> tuple[list[Found], list[Reject]]:
    """Decodes a part: its events, with where they lie in the file, and its rejects."""
    decoded = decode(part, in_stretches=in_stretches)
    found_spans = spans(part, decoded, range(len(decoded.events)))
    events = []
    for row, (e, (start, end)) in enumerate(zip(decoded.events, found_spans, strict=True)):
        fields = (e.event_id, e.timestamp, e.domain, e.event_type)
        span = (part.offset + start, part.offset + end)
        events.append(Found(fields, bytes(e.data), decoded.extras.get(row), span))
    return events, decoded.rejects


def whole(data: bytes, *, in_stretches: bool = True) -> tuple[list[Found], list[Reject]]:
    """Decodes a file that is one part."""
    return found(Part("file", 0, data), in_stretches=in_stretches)


@contextlib.contextmanager
def short_stretches() -> Iterator[None]:
    """Makes stretches as short as the inputs here, so that every length of stretch is tried."""
    with (
        mock.patch.object(decoding, "_SHORTEST_STRETCH_BYTES", 64),
        mock.patch.object(decoding, "_STRETCH_BYTES_AFTER_REJECT", 512),
        mock.patch.object(decoding, "_LONGEST_STRETCH_BYTES", 4096),
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
    """Draws JSON text of any value."""
    if draw(st.booleans()):
        return draw(st.sampled_from(ODD_VALUES))
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    leaf = st.none() | st.booleans() | numbers | st.text(max_size=8)
    anything = leaf | st.lists(leaf, max_size=3) | st.dictionaries(st.text(max_size=4), leaf)
    indent = draw(st.sampled_from([None, 0, 2, "\t"]))
    return json.dumps(draw(anything), ensure_ascii=draw(st.booleans()), indent=indent)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draws a well-formed event: members in any order, some twice, some unknown."""
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
    """Draws a file of some sections, each in one of the framings, and the events in it."""
    text, all_documents = "", []
    for _ in range(draw(st.integers(1, 3))):
        section = draw(st.lists(documents(), max_size=5))
        before, after, colon = draw(SPACE), draw(SPACE), draw(st.sampled_from([":", ": ", " : "]))
        texts = [document.text(before, after, colon) for document in section]
        if draw(st.booleans()):
            text += "".join(one + draw(SPACE) for one in texts)
        else:
            between = f"{draw(SPACE)},{draw(SPACE)}"
            text += f"[{draw(SPACE)}{between.join(texts)}{draw(SPACE)}]"
        text += draw(SPACE) + draw(st.sampled_from(["", "\ufeff"]))
        all_documents += section
    return text.encode(), all_documents


# Damaged files

MUTATIONS = st.tuples(
    st.sampled_from(["delete", "insert", "replace", "cut", "double"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 40),
    st.sampled_from([b"{", b"}", b"[", b"]", b",", b'"', b"\\", b"\n", b"}\n{", b"\xff", b"\0",
                     b"x", b'{"event_id":', b"NaN", b"\xef\xbb\xbf", b" "]),
)  # fmt: skip


def mutated(data: bytes, mutation: tuple[str, float, int, bytes]) -> bytes:
    """Damages bytes in one place."""
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
    """Draws files of one to three framings, damaged in a few places."""
    text = ""
    for section in draw(st.lists(st.lists(st.sampled_from(SIMPLE), max_size=8), max_size=3)):
        before, after, between = draw(SPACE), draw(SPACE), draw(SPACE)
        texts = [document.text(before, after) for document in section]
        array = draw(st.booleans())
        text += f"[{f',{between}'.join(texts)}]" if array else between.join(texts) + between
    data = text.encode()
    for mutation in draw(st.lists(MUTATIONS, max_size=4)):
        data = mutated(data, mutation)
    return data


# Framings

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
    """Puts records in a framing of `FRAMINGS`."""
    opening, _, between, closing = FRAMINGS[name]
    return opening.encode() + between.encode().join(texts) + closing.encode()
