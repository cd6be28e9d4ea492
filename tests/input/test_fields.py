"""Field maps: how they are written, and that records read by one are what the contract says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.input.decoding import Decoded, Part, decode
from pipeline.input.fields import OWN_NAMES, WHOLE, FieldMap, parsed, shown
from pipeline.input.records import FIELDS, Event, Parsed, parse
from pipeline.input.rejects import Problem

NAMES = st.text(st.sampled_from('ab.,\\="é\n '), min_size=1, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
MAPS = st.builds(FieldMap, *[PATHS] * 4, PATHS | st.just(WHOLE))


def is_usable(fields: FieldMap) -> bool:
    """Tells whether no field lies in a text."""
    return not any(
        len(outer) < len(inner) and inner[: len(outer)] == outer
        for outer in fields[:4]
        for inner in fields
    )


def nested(values: dict[str, Any], fields: FieldMap) -> dict[str, Any]:
    """A record that has these values where the map says."""
    record: dict[str, Any] = {}
    for field, path in zip(FIELDS, fields, strict=True):
        place = record
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = values[field]
    return record


def event(record: str, fields: str) -> Parsed | Problem:
    """What a record is, by a map as it is written."""
    return parse(record.encode(), True, parsed(fields))


def told(one: Event) -> tuple[object, ...]:
    """What an event says, so that it can be compared."""
    return (one.event_id, one.timestamp, one.domain, one.event_type, bytes(one.data))


class TestWriting:
    """How a map is written."""

    @given(MAPS.filter(is_usable))
    def test_a_map_is_written_as_it_is_read(self, fields: FieldMap) -> None:
        """Whatever the names have in them: dots, commas, backslashes, quotes, line breaks."""
        assert parsed(shown(fields)) == fields

    def test_what_is_not_named_stays(self) -> None:
        """And what is named as it is anyway does not count."""
        assert parsed("") == parsed("event_id=event_id,data=data") == OWN_NAMES
        assert parsed("data=a.b")[:4] == OWN_NAMES[:4]
        assert shown(parsed("data=b, event_id=event_id, timestamp=ts")) == "timestamp=ts,data=b"

    def test_dots_in_names(self) -> None:
        """A backslash stands before them."""
        assert parsed(r"timestamp=event\.time,data=a\.b.c\,d").timestamp == ("event.time",)
        assert parsed(r"data=a\.b.c\,d\\").data == ("a.b", "c,d\\")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("id", "'id' is not FIELD=NAME"),
            ("event_id=", "'event_id=' is not FIELD=NAME"),
            ("event_id=a..b", "'event_id=a..b' is not FIELD=NAME"),
            ("event_id=.a", "'event_id=.a' is not FIELD=NAME"),
            ("event_id=a\\", "'event_id=a\\\\' is not FIELD=NAME"),
            ("eventid=id", "'eventid' is no field of an event; these are event_id, timestamp,"),
            ("data=a,data=b", "data is given twice"),
            ("domain=.", "domain cannot be the whole record"),
            ("domain=???", "'domain=???': put the name in your files in place of ???"),
            ("domain=a,event_type=a.b", "event_type cannot lie in domain, which must be a text"),
        ],
    )
    def test_what_is_no_map(self, text: str, said: str) -> None:
        """The message shows what is wrong."""
        with pytest.raises(ValueError) as error:
            parsed(text)
        assert str(error.value).startswith(said)


class TestTaking:
    """What becomes of a record."""

    @given(MAPS.filter(is_usable), st.data())
    def test_the_same_event_as_with_its_own_names(
        self, fields: FieldMap, data: st.DataObject
    ) -> None:
        """Wherever its fields lie, it is the event, with nothing left over.

        Seen to fail where a container that was emptied stays in `extra`.
        """
        paths = [path for path in fields if path]
        apart = all(
            a is b or a != b[: len(a)] for a in paths for b in paths
        )  # no field in another, and no two that are one
        if not apart or fields.data == WHOLE:
            return
        texts = data.draw(st.lists(st.text(min_size=1, max_size=3), min_size=4, max_size=4))
        values = dict(zip(FIELDS, [*texts, {"b": [1, None]}], strict=True))
        found = parse(json.dumps(nested(values, fields)).encode(), True, fields)
        own = parse(json.dumps(values).encode(), True)
        assert isinstance(found, Parsed)
        assert isinstance(own, Parsed)
        assert (told(found.event), found.extra) == (told(own.event), None)

    RECORD = (
        '{"id":"1","z":0,"meta":{"ts":"t","app":"a","v":[ 1 ],"kind":"k"},'
        '"payload":{"body":{"x":1.50},"sig":"s"},"event_id":9}'
    )
    MAP = "event_id=id,timestamp=meta.ts,domain=meta.app,event_type=meta.kind,data=payload.body"

    def test_the_rest_is_extra(self) -> None:
        """Of an object from which a field was taken, what no field has taken; byte for byte."""
        found = event(self.RECORD, self.MAP)
        assert isinstance(found, Parsed)
        assert bytes(found.event.data) == b'{"x":1.50}'
        assert found.extra == ('{"event_id":9,"meta":{"v":[ 1 ]},"payload":{"sig":"s"},"z":0}')

    def test_data_that_holds_other_fields(self) -> None:
        """It is kept whole."""
        found = event(self.RECORD, self.MAP.replace("payload.body", "meta"))
        assert isinstance(found, Parsed)
        assert json.loads(bytes(found.event.data))["ts"] == "t"
        assert json.loads(found.extra or "") == {
            "event_id": 9, "payload": {"body": {"x": 1.5}, "sig": "s"}, "z": 0,
        }  # fmt: skip

    def test_data_that_is_the_whole_record(self) -> None:
        """Then nothing is left for `extra`."""
        found = event(self.RECORD, self.MAP.replace("payload.body", "."))
        assert isinstance(found, Parsed)
        assert bytes(found.event.data) == self.RECORD.encode()
        assert found.extra is None

    def test_two_fields_that_are_one_member(self) -> None:
        """As where a source has no domain."""
        found = event(
            '{"id":"1","t":"2","k":"3","d":4}',
            "event_id=id,timestamp=t,domain=k,event_type=k,data=d",
        )
        assert isinstance(found, Parsed)
        assert (found.event.domain, found.event.event_type) == ("3", "3")

    @pytest.mark.parametrize(
        ("record", "reason", "said"),
        [
            ('{"meta":{}}', "missing-field", "event_id (id) is missing, there is only ['meta']"),
            ('{"id":"1"}', "missing-field", "timestamp (meta.ts) is missing"),
            ('{"id":"1","meta":5}', "missing-field", "timestamp (meta.ts) is missing"),
            ('{"id":"1","meta":{"ts":5}}', "wrong-type", "timestamp is '5', it must be a string"),
            ('{"id":"","meta":{"ts":"5"}}', "empty-field", "event_id is ''"),
        ],
    )
    def test_what_is_no_event(self, record: str, reason: str, said: str) -> None:
        """The message names the field and where it was looked for."""
        found = event(record, "event_id=id,timestamp=meta.ts")
        assert isinstance(found, Problem)
        assert found.reason == reason
        assert found.message.startswith(said)


RECORDS = st.builds(
    lambda id_, more, broken: {
        "id": id_, "ts": "t", "p": {"d": "x", "e": "y", "b": {"n": 1}, **more}, **more, **broken,
    },
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from(["event_id", "v", "data"]), st.integers(0, 3), max_size=2),
    st.sampled_from([{}, {}, {}, {"p": 7}, {"id": 5}]),
)  # fmt: skip


@given(
    st.lists(RECORDS, max_size=12),
    st.sampled_from(
        [
            "event_id=id,timestamp=ts,domain=p.d,event_type=p.e,data=p.b",
            "event_id=id,timestamp=ts,domain=id,event_type=ts,data=p",
            "event_id=id,timestamp=ts,domain=p.d,event_type=p.e,data=.",
        ],
    ),
    st.booleans(),
)
def test_many_records_at_a_time_are_what_each_is(
    records: list[dict[str, Any]], fields: str, as_array: bool
) -> None:
    """As lines and as an array, with extra members, and records that are no events between them."""
    texts = list(map(json.dumps, records))
    data = f"[{','.join(texts)}]" if as_array else "\n".join(texts)
    part = Part("in", 0, data.encode(), names=parsed(fields))

    def all_of(found: Decoded) -> object:
        return [told(one) for one in found.events], found.extras, found.rejects

    assert all_of(decode(part)) == all_of(decode(part, in_stretches=False))


@given(
    st.lists(st.dictionaries(st.sampled_from(["v", "w", "event_id"]), st.integers()), max_size=9)
)
def test_renamed_fields_are_read_in_stretches(more: list[dict[str, int]]) -> None:
    """Fields that only have other names take the same fast way, extra members included."""
    fields = parsed("event_id=id,timestamp=ts,data=payload")
    records = [
        {"id": "a", "ts": "t", "domain": "d", "event_type": "e", "payload": 1, **own}
        for own in more
    ]
    part = Part("in", 0, "\n".join(map(json.dumps, records)).encode(), names=fields)
    found = decode(part)
    assert len(found.events) == len(records)
    assert {row: json.loads(text) for row, text in found.extras.items()} == {
        row: own for row, own in enumerate(more) if own
    }
    assert not found.rejects
