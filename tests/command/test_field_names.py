"""What a missing field is called instead."""

from __future__ import annotations

import json

import pytest

from pipeline.command.field_names import hints, option, renaming
from pipeline.input.fields import parsed


def of(**members: object) -> dict[str, str]:
    """The hints for a record with these members."""
    return hints(json.dumps(members).encode())


RIGHT = {"event_id": "a", "timestamp": "b", "domain": "c", "event_type": "d", "data": {}}


def test_a_right_record_needs_no_hint() -> None:
    """Whatever else it has."""
    assert of(**RIGHT, id=1, payload=2) == {}


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("event_id", ["eventId", "event-ID", "EVENT_ID", "id", "uuid", "evnt_id", "messageId"]),
        ("timestamp", ["time", "ts", "Timestamp", "@timestamp", "created_at", "timestmp"]),
        ("domain", ["Domain", "source", "service", "domian"]),
        ("event_type", ["eventType", "type", "EventName", "event-type"]),
        ("data", ["payload", "body", "DATA", "attributes"]),
    ],
)
def test_names_that_others_use(field: str, names: list[str]) -> None:
    """In any spelling, or mistyped."""
    for name in names:
        members = {**RIGHT, name: RIGHT[field], "x": 1}
        del members[field]
        assert of(**members) == {field: name}


def test_one_member_is_one_field() -> None:
    """An own name counts more than a synonym, and no member is named twice."""
    assert of(id=1, eventId=2, type=3, name=4) == {"event_id": "eventId", "event_type": "type"}
    assert of(event=1) == {"event_type": "event"}


def test_fields_that_lie_in_an_object() -> None:
    """As in an envelope."""
    assert of(meta={"eventId": 1, "timestamp": 2}, domain=1, event_type=2, data=3) == {
        "event_id": "meta.eventId",
        "timestamp": "meta.timestamp",
    }


@pytest.mark.parametrize("record", [b"oops", b"[1]", b"\xff", b"{}", b'{"x": 1}'])
def test_where_nothing_can_be_said(record: bytes) -> None:
    """There is no hint."""
    assert hints(record) == {}


def test_what_to_do() -> None:
    """In words."""
    record = json.dumps({**RIGHT, "ts": RIGHT["timestamp"]}).replace('"timestamp": "b", ', "")
    assert renaming(record.encode()) == "rename 'ts' to 'timestamp'"
    assert renaming(b"oops") == ""


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (RIGHT, ""),
        ({"x": 1}, ""),
        (
            {"id": 1, "ts": 2, "app": 3, "type": 4, "payload": 5},
            "event_id=id,timestamp=ts,domain=app,event_type=type,data=payload",
        ),
        ({**RIGHT, "data": {}, "event_id": 1, "domain": 2, "source": 3}, ""),
        (
            {"id": 1, "@timestamp": 2, "app": 3, "type": 4},
            "event_id=id,timestamp=@timestamp,domain=app,event_type=type,data=.",
        ),
        (
            {"event.id": 1, "ts": 2, "type": 4, "data": 5},
            "'event_id=event\\.id,timestamp=ts,domain=???,event_type=type'",
        ),
    ],
)
def test_the_option_to_read_with(members: dict[str, object], expected: str) -> None:
    """As a shell takes it; where no member is likely for data, the whole record is."""
    assert option(json.dumps(members).encode()) == expected


def test_the_option_goes_on_from_a_map_that_is_wrong() -> None:
    """What a person has found out stays."""
    members = {"key": 1, "ts": 2, "app": 3, "type": 4, "payload": 5}
    known = parsed("event_id=key,timestamp=time")
    assert option(json.dumps(members).encode(), known) == (
        "event_id=key,timestamp=ts,domain=app,event_type=type,data=payload"
    )
