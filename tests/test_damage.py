"""Damage and framing: nothing inside a damaged record is published, and its neighbours are."""

from __future__ import annotations

import json
from typing import Any

from pipeline.decoding import Part, decode

NAMES = ("event_id", "timestamp", "domain", "event_type", "data")


def event(event_id: str, data: object) -> dict[str, Any]:
    """An event as an object."""
    return dict(zip(NAMES, (event_id, "2021-01-08T10:00:00Z", "d", "e", data), strict=True))


NESTED = [event(f"nested {n}", [{"event_id": "nested"}, n, [None]]) for n in range(3)]
DATA = {
    "list": NESTED,
    "object": event("nested 3", {"inner": event("nested 4", 1)}),
    "text": 'quoted "}\n{\\' + json.dumps(NESTED[0]),
    "end": [[1, 2, {"a": [NESTED[1]]}]],
}


def texts(indent: int | str | None) -> list[bytes]:
    """Six events; number 2 is the one that gets damaged."""
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
    """Records in a framing."""
    _, opening, between, closing = FRAMINGS[name]
    return opening + between.join(records) + closing


def ids(data: bytes) -> list[str]:
    """What is published of a file."""
    return [found.event_id for found in decode(Part("file", 0, data)).events]


def check(name: str, damaged: bytes, *, lost: int = 0) -> None:
    """Nothing nested is published; of the neighbours at most `lost` after the record are lost."""
    records = texts(FRAMINGS[name][0])
    records[2] = damaged
    found = ids(framed(records, name))
    assert not [one for one in found if one.startswith("nested")], damaged
    assert {"g0", "g1", *(f"g{n}" for n in range(3 + lost, 6))} <= set(found), damaged
