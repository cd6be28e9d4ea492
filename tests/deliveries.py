"""Deliveries: events in short, files of them, and the table that they must become."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from generator import files
from generator.options import Options
from tests import oracle
from tests.oracle import Row, Rows

# What events are told in minutes after: 2021-01-08T00:00:00Z, in microseconds since 1970.
MIDNIGHT = 1_610_064_000_000_000
_MIDNIGHT = datetime.datetime(2021, 1, 8)


class Event(NamedTuple):
    """An event in short.

    Attributes:
        id: Its event_id.
        timestamp: As delivered, or in minutes after 2021-01-08T00:00:00Z.
        data: The JSON text of its payload, or a number.
        event_type: Its type.
        domain: Its domain.
        more: The JSON text of further members, such as ``"v":1``.
    """

    id: str
    timestamp: str | int = 0
    data: str | int = 1
    event_type: str = "created"
    domain: str = "account"
    more: str = ""

    def line(self) -> str:
        """The event as it is delivered."""
        timestamp = self.timestamp
        if isinstance(timestamp, int):
            timestamp = f"{_MIDNIGHT + datetime.timedelta(minutes=timestamp):%Y-%m-%dT%H:%M:%SZ}"
        fields = {
            "event_id": self.id,
            "timestamp": timestamp,
            "domain": self.domain,
            "event_type": self.event_type,
        }
        known = json.dumps(fields)[:-1]
        return f'{known}, "data": {self.data}{self.more and ", "}{self.more}}}'

    def row(self) -> Row:
        """The event as it stands in the table."""
        row = oracle.row_of(self.line().encode())
        assert row, f"{self} would be rejected"
        return row


# Few ids, few instants written in several ways: most versions compete, many tie.
EVENTS = st.builds(
    Event,
    id=st.sampled_from("abcde"),
    timestamp=st.sampled_from(
        [
            "2021-01-08T00:00:00Z",
            "2021-01-08 00:00:00",
            "2021-01-08T01:30:00+01:30",
            "2021-01-08T00:00:00.000000001Z",
            "2021-01-08T00:00:00.000000002Z",
            "2021-01-07T23:59:59.999999Z",
            "2021-01-08T00:00:01-01:00",
            "1969-12-31T23:59:59.5Z",
        ]
    ),
    data=st.sampled_from(['{"a": 1}', '{"a":1}', "null", "1.50"]),
    event_type=st.sampled_from(["created", "closed"]),
    domain=st.sampled_from(["account", "Shop/EU"]),
    more=st.sampled_from(["", '"v":1', '"v":2']),
)


HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
# Domains and types that readers take for something else, or that could lead out of the table.
AWKWARD = [
    "007", "7", "01", "0x7", "1e3", "1.0", "true", "2021-01-08", "null", "NULL", "Null", "None",
    "none", "nan", "NaN", "NA", HIVE_NULL, "__x", "_hidden", ".hidden", "é", "e\u0301", "日本",
    "🦆", " ", "\t", "a b", "a\nb", "%", "100%", "a%2Fb", "a/b", "a\\b", "/", "\x00", "\x01\x7f",
    "A", "a", ".", "..", "x.", "'", '"', "*", "a*?[b]", "CON", "a=b",
    "y" * 240,
]  # fmt: skip


def latest(events: Iterable[Event]) -> Rows:
    """The table of these events, however they were delivered: the latest version of each."""
    return oracle.latest(event.row() for event in events)


def as_rows(events: Iterable[Event]) -> Rows:
    """All of these events as rows."""
    return Counter(event.row() for event in events)


def deliver(path: Path, events: Iterable[Event], *lines: str) -> Path:
    """Writes a file of events, and of other lines after them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in [*(e.line() for e in events), *lines]))
    return path


def generate(folder: Path, events: int, **options: Any) -> list[Path]:
    """A delivery of the real generator; gives its files."""
    files.deliver(Options(events=events, output=folder, **options))
    return sorted(folder.iterdir())
