"""Input that is read by a field map, held against its table: the plain rules are the job's."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from pipeline.command import console
from pipeline.input.decoding import Part, decode
from pipeline.input.events import to_table
from pipeline.input.fields import WHOLE, FieldMap, parsed, shown
from pipeline.verify.check import RIGHT, WRONG, main
from pipeline.verify.plain_rows import OWN_NAMES, Row, digest, fields_of, row_of
from tests.commands import Finished, command, in_process
from tests.small_runs import run, write

MAP = "event_id=id,timestamp=ts,domain=meta.app,event_type=type,data=payload.body"


def test_a_map_is_understood() -> None:
    """With dots, commas and backslashes in names; the empty text is no map."""
    assert fields_of("") == OWN_NAMES
    assert fields_of("data=.") == {**OWN_NAMES, "data": ()}
    assert fields_of(r"timestamp=event\.time,data=a\.b.c\,=d\\.\\e") == {
        **OWN_NAMES, "timestamp": ("event.time",), "data": ("a.b", "c,=d\\", "\\e"),
    }  # fmt: skip


RECORD = (
    '{"id":"1","z":0,"meta":{"ts":"2021-01-08","ts":"2021-01-08T00:00Z","v":[ 1 ],"app":"a"},'
    '"payload":{"body":{"x":1.50},"sig":"s"},"event_id":9,"ts":"1970-01-01T00:00:01Z","type":"t"} '
)


@pytest.mark.parametrize(
    ("fields", "data", "extra"),
    [
        (MAP, '{"x":1.50}', '{"event_id":9,"meta":{"ts":"2021-01-08T00:00Z","v":[ 1 ]},'
         '"payload":{"sig":"s"},"z":0}'),
        (MAP.replace("payload.body", "payload.sig"), '"s"', '{"event_id":9,"meta":{"ts":'
         '"2021-01-08T00:00Z","v":[ 1 ]},"payload":{"body":{"x":1.50}},"z":0}'),
        (MAP.replace("payload.body", "payload.body.x"), "1.50", '{"event_id":9,"meta":{"ts":'
         '"2021-01-08T00:00Z","v":[ 1 ]},"payload":{"sig":"s"},"z":0}'),
        (MAP.replace("payload.body", "meta"), '{"ts":"2021-01-08","ts":"2021-01-08T00:00Z","v":'
         '[ 1 ],"app":"a"}', '{"event_id":9,"payload":{"body":{"x":1.50},"sig":"s"},"z":0}'),
        (MAP.replace("payload.body", "."), RECORD.strip(), None),
    ],
)  # fmt: skip
def test_what_the_two_may_agree_on_wrongly(fields: str, data: str, extra: str | None) -> None:
    """What is data, and what is left for extra."""
    row = row_of(RECORD.encode(), fields_of(fields))
    assert row == Row("1", 1_000_000, 0, data, extra, "a", "t")


# Few names, so that fields are found, lie within each other and are met twice.
NAMES = st.sampled_from(["a", "b", "c", "a.b", "c,\\", 'é"', "event_id", "data"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
MAPS = st.builds(FieldMap, *[PATHS] * 4, PATHS | st.just(WHOLE))
VALUES = st.sampled_from(["x", "", "\u2028\n", None, 1.5, [], {}, [{"a": 1}]])
OBJECTS = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=4),
    lambda inner: st.dictionaries(NAMES, VALUES | inner, max_size=4),
    max_leaves=6,
)
TIMES = ["2021-01-08T00:00:00Z", "2021-01-08 01:00:00.123456789+01", "2021-01-08", ""]


def is_usable(fields: FieldMap) -> bool:
    """Tells whether the job accepts a map: no field lies in a text."""
    try:
        return parsed(shown(fields)) == fields
    except ValueError:
        return False


@st.composite
def records(draw: st.DrawFn, fields: FieldMap) -> bytes:
    """Returns a record that has many of its fields, among others."""
    document: dict[str, Any] = copy.deepcopy(draw(OBJECTS))
    texts = st.sampled_from(["a", "é", "T/1", "", 1]) if draw(st.booleans()) else st.just("a")
    for field, path in fields._asdict().items():
        place = document
        for name in path[:-1]:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        values = {"timestamp": st.sampled_from(TIMES), "data": VALUES | OBJECTS}.get(field, texts)
        if path and not (field == "data" and path[-1] in place):
            place[path[-1]] = draw(values)
    separators = draw(st.sampled_from([(",", ":"), (" ,\t", " : ")]))
    as_ascii = draw(st.booleans())
    text = json.dumps(document, separators=separators, ensure_ascii=as_ascii)
    before = json.dumps(draw(OBJECTS), ensure_ascii=as_ascii)
    if before != "{}" and text != "{}" and draw(st.booleans()):
        text = f"{before[:-1]}, {text[1:]}"  # names that are there twice
    return text.encode()


def read_by_the_job(lines: list[bytes], fields: FieldMap, in_stretches: bool) -> pa.Table:
    """Returns the events of lines as the job reads them."""
    part = Part("file", 0, b"\n".join(lines) + b"\n", names=fields)
    events, _ = to_table([(part, decode(part, in_stretches=in_stretches))], 16 << 20, 0)
    return events


@given(st.data(), MAPS.filter(is_usable), st.booleans())
def test_the_job_reads_the_same_rows(
    data: st.DataObject, fields: FieldMap, in_stretches: bool
) -> None:
    """By any map, of any records; the digests that decide between versions are equal, too."""
    lines = data.draw(st.lists(records(fields), min_size=1, max_size=5))
    events = read_by_the_job(lines, fields, in_stretches)

    rows = [row for line in lines if (row := row_of(line, fields_of(shown(fields))))]

    columns = [
        events["timestamp"].cast(pa.int64()) if name == "micros" else events[name]
        for name in Row._fields
    ]
    assert rows == [Row(*row) for row in zip(*(one.to_pylist() for one in columns), strict=True)]
    assert [digest(row) for row in rows] == events["digest"].to_pylist()


# Through the commands


def record(event_id: str, time: str = "10:00:00", body: object = 1, domain: str = "a") -> str:
    """Returns an event as others write it."""
    meta = {"app": domain, "trace": 7}
    known = {"id": event_id, "ts": f"2021-01-08T{time}Z", "meta": meta, "type": "created"}
    return json.dumps({**known, "payload": {"body": body}})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table that was made with a map, of two versions, two events and two rejects."""
    write(
        tmp_path / "in" / "1.jsonl",
        record("a"),
        record("a", "11:00:00", {"x": 1.50}),
        record("b"),
        record("c", domain="") + "  ",
        "{}",
    )
    run(tmp_path / "in", tmp_path / "table", "--fields", MAP)
    return tmp_path / "table"


def check(table: Path) -> Finished:
    """Holds a table against its input."""
    given = "--output", table, "--input", table.parent / "in"
    return in_process(*given, main=main)


def test_the_commands(tmp_path: Path) -> None:
    """A map with all there is to write, and rows that say where they came from."""
    text = r"event_id=id,timestamp=event\.time,domain=meta.a\,pp,event_type=meta.kind,data=."
    event = {"id": "a", "event.time": "2021-01-08T10:00:00Z", "meta": {"a,pp": "d", "kind": "k"}}
    write(tmp_path / "in" / "1.jsonl", json.dumps(event), json.dumps({**event, "id": ""}))
    given = "--input", tmp_path / "in", "--output", tmp_path / "table"
    assert command(*given, "--fields", text, "--provenance").status == console.DONE

    done = command(*given, module="pipeline.verify")

    assert (done.status, done.err) == (RIGHT, "")
    assert "compared    1 events that must be there, 1 rejects\n" in done.out
    assert f"fields      {text}\nEverything is right.\n" in done.out


def test_a_right_table_agrees(table: Path) -> None:
    """Rows and rejects are all counted, so nobody takes an empty comparison for a good one."""
    done = check(table)

    assert "compared    2 events that must be there, 2 rejects\n" in done.out
    assert done.out.endswith("Everything is right.\n")
    assert done.status == RIGHT


def test_a_lost_row_is_found(table: Path) -> None:
    """By its event_id, which the map has found."""
    DeltaTable(table).delete("event_id = 'b'")

    done = check(table)

    assert done.status == WRONG
    assert "event_id 'b' is lost: it must be there, in a/created, with timestamp 2021-" in done.out
    assert done.out.count("event_id '") == 1


@pytest.mark.parametrize("changes", [{"data": "'{\"x\": 1.50 }'"}, {"extra": "null"}])
def test_an_altered_row_is_found(table: Path, changes: dict[str, str]) -> None:
    """White space in data, or what is left for extra."""
    DeltaTable(table).update(changes, predicate="event_id = 'a'")

    done = check(table)

    assert done.status == WRONG
    assert "event_id 'a' is altered: its nanos, data or extra is not that of the" in done.out
    assert done.out.count("event_id '") == 1


def test_a_map_that_nobody_understands_is_found(table: Path) -> None:
    """It is the only finding: by no other map would the input be what the run has read."""
    broken = {"eventsift.field": "payload..body"}
    DeltaTable(table).alter.set_column_metadata("data", broken)

    done = check(table)

    assert done.status == WRONG
    assert "the columns' metadata has no map of fields: 'event_id=id," in done.out
    assert done.out.endswith("make the table again from its sources: `run --rebuild`.\n")
    assert "\nWrong: 1\n" in done.out
    assert "compared" not in done.out
