"""Tables for tests of `describe`: payloads as nobody wants them, published by the job."""

import json
from pathlib import Path

from tests.deliveries import Event, deliver

ORDINARY = [
    {"id": 948874, "old_status": "SUSPENDED", "new_status": "ACTIVE", "reason": "It was paid."},
    {"id": 948875, "old_status": "ACTIVE", "new_status": "CLOSED", "reason": None},
    {"id": 948876, "to": {"street": "Main St", "zip": 12345, "geo": {"lat": 0.5}}},
    {"id": 948877, "items": [{"price": 1}, {"price": 2.5}], "ok": True, "rate": 1},
    {"id": 948878, "items": [], "ok": False, "rate": 1.5},
]
# Names in which paths of JSON go wrong, in one engine or the other.
NAMES = [
    *("a.b", 'a"b', "a'b", "a\\b", "a/b", "a~b", "a b", "[0]", "*", "$", "", " ", "é", "日本", "0"),
    *("ID", "Id", "event_id", "data", "Timestamp", "select", "a`b", "?", "a\nb", "x" * 300, "null"),
]
# As JSON, for Python cannot write all of them.
HOSTILE = [
    '{"id": 123456789012345678901234567890, "n": 1e400, "m": 1, "s": "\\u0000"}',
    '{"id": 1, "n": 0.1, "m": "x", "s": "tab\\t"}',
    '{"id": -9223372036854775808, "n": 18446744073709551615, "m": [1, "a", null], "s": ""}',
    '{"id": 9007199254740993, "n": 1.5, "m": {"a": 1}, "s": "\\ud83d\\ude00"}',
    json.dumps({name: number for number, name in enumerate(NAMES)}),
    json.dumps({name: str(number) for number, name in enumerate(NAMES)}),
    '{"id": 1, "id": 2}',
    "[" * 400 + "]" * 400,
    *("null", "17", '"text"', "[]", "[1, 2]", "{}", "true", "-0.0"),
]


def deliveries(folder: Path) -> list[Event]:
    """Delivers both kinds in types of their own, and in one; returns the events."""
    kinds = {
        ("account", "status-change"): [json.dumps(value) for value in ORDINARY],
        ("Shop/EU", "odd 'type'"): HOSTILE,
        ("1", "null"): [json.dumps(ORDINARY[0]), *HOSTILE],
        ("Shop/EU", "many"): [json.dumps({f"key-{number}": number for number in range(3_000)})],
        ("account.status", "change"): ["1", "2", "null"],
        ("account", "status.change"): ["{}"],
    }
    events = [
        Event(f"{domain}-{event_type}-{at}", at * 600, data, event_type, domain)
        for (domain, event_type), payloads in kinds.items()
        for at, data in enumerate(payloads)
    ]
    deliver(folder / "in" / "1.jsonl", events)
    return events
