import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.input import events
from pipeline.input.decoding import Part, decode
from pipeline.input.events import EVENT_SCHEMA, to_table
from pipeline.input.records import NESTING_LIMIT
from pipeline.input.rejects import Reject

LIMIT_BYTES = 1100
ID_SEED = 7


def line(event_id: str = "a", timestamp: str = "2021-01-08T10:00:00Z", **members: Any) -> str:
    """Makes an event as a JSON line; `data` and further members are JSON text."""
    event: dict[str, Any] = {"event_id": event_id, "timestamp": timestamp}
    event |= {"domain": members.pop("domain", "d"), "event_type": members.pop("event_type", "e")}
    members = {"data": "1", **members}
    return json.dumps(event)[:-1] + "".join(f', "{k}": {v}' for k, v in members.items()) + "}"


def table(*files: str, in_stretches: bool = True) -> tuple[pa.Table, list[Reject]]:
    """Returns the table and the rejects of some files."""
    parts = [Part(f"file {n}", 10 * n, text.encode()) for n, text in enumerate(files)]
    decoded = [(part, decode(part, in_stretches=in_stretches)) for part in parts]
    return to_table(decoded, LIMIT_BYTES, ID_SEED)


def digests(*lines: str) -> list[int]:
    """Returns the digests of some events."""
    found, rejects = table("\n".join(lines))
    assert rejects == []
    return found["digest"].to_pylist()


def test_columns() -> None:
    """There is one row for each event, in the order delivered, over all parts."""
    first = line("a", data='{ "n": 0.10 }') + line("é", "1969-12-31 23:59:59.9999999", data="null")
    second = line("c", v="[1]", domain="x", event_type="y")
    found, rejects = table(first, "", second)
    assert rejects == []
    assert found.schema == EVENT_SCHEMA
    columns = ["event_id", "nanos", "domain", "event_type", "data", "extra"]
    assert found.select(columns).to_pylist() == [
        {"event_id": "a", "nanos": 0, "domain": "d", "event_type": "e", "data": '{ "n": 0.10 }',
         "extra": None},
        {"event_id": "é", "nanos": 900, "domain": "d", "event_type": "e", "data": "null",
         "extra": None},
        {"event_id": "c", "nanos": 0, "domain": "x", "event_type": "y", "data": "1",
         "extra": '{"v":[1]}'},
    ]  # fmt: skip
    assert found["timestamp"].cast(pa.int64()).to_pylist() == [
        1_610_100_000_000_000, -1, 1_610_100_000_000_000
    ]  # fmt: skip
    found.validate(full=True)


def test_no_events() -> None:
    """A delivery without events, or with broken ones only, is an empty table."""
    assert table()[0] == EVENT_SCHEMA.empty_table()
    found, rejects = table("oops", line(timestamp="yesterday"))
    assert found.num_rows == 0
    assert [reject.reason for reject in rejects] == ["not-json", "bad-timestamp"]


def test_the_digest_tells_content_apart() -> None:
    """It hashes each of domain, event_type, data and extra; its upper bits are the nanoseconds."""
    variants = [
        line(), line(data="1.0"), line(data='"1"'), line(domain="d2"), line(event_type="e2"),
        line(domain="e", event_type="d"), line(v="1"), line(v="2"), line(w="1"),
        line(domain="de", event_type=""" """), line(timestamp="2021-01-08T10:00:00.000000001Z"),
    ]  # fmt: skip
    found = digests(*variants)
    assert len(set(found)) == len(found)
    assert found[-1] >> 53 == 1
    assert {digest >> 53 for digest in found[:-1]} == {0}


def test_the_digest_is_of_the_content_only() -> None:
    """The same event, delivered differently, has the same digest.

    That is: with escapes, its members in another order, its instant in another zone, beside others.
    """
    same = [
        line(v="1", w="2"),
        line(w="2", v="1"),
        line("b", v="1", w="2"),
        line(timestamp="2021-01-08 11:00:00+01:00", v="1", w="2"),
        line(v="1", w="2").replace('"d"', '"\\u0064"'),
        line(v="0", w="2").replace('"v": 0', '"v": 0, "v": 1'),
    ]
    assert len(set(digests(*same, line(data="2"), line(domain="d2", v="1")))) == 3


def test_the_digest_of_rows_is_that_of_their_events() -> None:
    """Computed from the rows of a table, or while reading, it is the same number."""
    lines = [line(v="0.10"), line(), line(data='"é"', timestamp="2021-01-08T10:00:00.0000009Z")]
    found, _ = table("".join(lines))
    assert events.digest(found, "d", "e").tolist() == found["digest"].to_pylist()
    assert len(events.digest(found.slice(0, 0), "d", "e")) == 0


@given(st.lists(st.text(min_size=1)))
def test_ids_are_hashed_by_their_bytes_and_seed(ids: list[str]) -> None:
    """Hashes have 128 bits, are equal for equal ids only, and differ with the seed."""
    pairs = list(zip(*events.hash_ids(ids, 1).tolist(), strict=True))
    assert len(set(pairs)) == len(set(ids))
    assert dict(zip(ids, pairs, strict=True)) == {
        one: (int(high[0]), int(low[0])) for one in ids for high, low in [events.hash_ids([one], 1)]
    }
    others = list(zip(*events.hash_ids(ids, 2).tolist(), strict=True))
    assert all(one != other for one, other in zip(pairs, others, strict=True))


FAULTS = {
    "bad-timestamp": (line(timestamp="2021-02-30T00:00:00Z"), "day is out of range for month"),
    "too-large": (
        line(data=f'"{"x" * 1099}"'),
        "1,101 bytes of data and extra fields, the limit is",
    ),
    "too-long": (line(domain="D" * 83), "domain 'DDD"),
    "too-deep": (line(data="[" * 501 + "]" * 501), "nested deeper than 500 levels"),
}


@pytest.mark.parametrize("reason", FAULTS)
@pytest.mark.parametrize("in_stretches", [True, False])
@pytest.mark.parametrize("framing", ["{0}\n{1}\n{2}\n", "{0}{1}{2}", "[ {0} , {1} ,\n{2} ]"])
def test_events_that_break_a_rule(reason: str, in_stretches: bool, framing: str) -> None:
    """They are found after decoding, and quoted as exactly as broken records are."""
    broken, message = FAULTS[reason]
    good = line("good"), line("better", v="1")
    text = framing.format(good[0], broken, good[1])
    found, rejects = table(line("first"), text, broken, in_stretches=in_stretches)
    assert found["event_id"].to_pylist() == ["first", "good", "better"]
    assert found["extra"].to_pylist() == [None, None, '{"v":1}']
    at = text.index(broken)
    addresses = [(reject.source, reject.offset, reject.length) for reject in rejects]
    assert addresses == [("file 1", 10 + at, len(broken)), ("file 2", 20, len(broken))]
    assert {(reject.reason, reject.raw.decode()) for reject in rejects} == {(reason, broken)}
    assert message in rejects[0].message


def test_limits_are_inclusive() -> None:
    """An event just as large, or as deep, as allowed is good; extra fields count, too."""
    nested = "[" * NESTING_LIMIT + "]" * NESTING_LIMIT
    good = [line(data=f'"{"x" * 1098}"'), line(data=nested), line(v=nested[20:-20])]
    good.append(line(data=f'"{"x" * 498}"', v=f'"{"x" * 592}"'))
    bad = line(data=f'"{"x" * 498}"', v=f'"{"x" * 593}"')
    found, rejects = table("".join([*good, bad]))
    assert found.num_rows == 4
    assert [(reject.reason, reject.raw.decode()) for reject in rejects] == [("too-large", bad)]


def test_an_extra_field_may_be_as_deep_as_data() -> None:
    """The object that contains the extra fields does not count as a level."""
    part = Part("f", 0, "".join(line(v="[" * n + "]" * n) for n in (500, 501)).encode())
    found, rejects = to_table([(part, decode(part))], 5000, ID_SEED)
    assert found.num_rows == 1
    assert [reject.reason for reject in rejects] == ["too-deep"]


def test_many_faults_among_many_events() -> None:
    """Exactly the faulty events are taken out, whatever parts and stretches they are in."""
    faults = itertools.cycle(broken for broken, _ in FAULTS.values())
    files = []
    for file in range(5):
        lines = [next(faults) if n % 7 == 0 else line(f"{file}-{n}") for n in range(100)]
        files.append("\n".join(lines))
    found, rejects = table(*files)
    assert found["event_id"].to_pylist() == [
        f"{file}-{n}" for file in range(5) for n in range(100) if n % 7
    ]
    assert len(rejects) == 5 * 15
    for reject in rejects:
        number = int(reject.source[-1])
        at = reject.offset - 10 * number
        assert files[number].encode()[at : at + reject.length] == reject.raw
        assert reject.raw.decode() == FAULTS[reject.reason][0]


def test_the_digest_is_the_same_on_every_machine() -> None:
    """It is stored nowhere, but machines that share a run's work must agree on it."""
    assert digests(line(data='{"n":1}', v="2")) == [6595391886142709]
    assert events.hash_ids(["a"], ID_SEED).dtype == np.uint64
