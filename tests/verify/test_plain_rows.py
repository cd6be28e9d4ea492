"""The plain rules for one record are those of the job: both decide alike about odd records."""

from __future__ import annotations

from pathlib import Path

from pipeline.verify.check import verify
from pipeline.verify.expected import Refused, Rules, against, of_input, record_hash
from pipeline.verify.plain_rows import row_of
from tests.commands import run_here
from tests.deliveries import AWKWARD, Event
from tests.tables import letters_in

PLACE = {"domain": 255 - len("domain="), "event_type": 255 - len("event_type=")}


def odd(name: str, text: str) -> bytes:
    """Returns an event with an odd payload, or an odd member where the text has a name."""
    place, _, value = text.rpartition("=")
    event = Event(name, more=value) if place else Event(name, data=value)
    return event.line().encode()


ACCEPTED = {
    "large": "1" * 5_000,
    "beyond": "[1e999, -0.0, 1E+2, 123456789012345678901234567890]",
    "deep": "[" * 500 + "]" * 500,
    "deep-strings": '"' + "[" * 2_000 + '"',
    "deep-member": 'm="x":' + '{"a":' * 499 + "[]" + "}" * 499,
    "many": "[" + ",".join(["[]"] * 2_000) + "]",
    "pair": r'"\ud83d\udcb3 \u0000"',
    "escaped": r'{"a\"b\\":"\/"}',
    "twice": '{"a":1,"a":2}',
    "members": 'm="z": [1, 2] ,"a" :null, "é":"é", "q\\"":1',
    "text": '"é \u2028 \x7f"',
    "null": "null",
}
REJECTED = {
    "too-deep": "[" * 501 + "]" * 501,
    "too-deep-member": 'm="x":' + "[" * 501 + "]" * 501,
    "far-too-deep": "[" * 100_000 + "]" * 100_000,
    "half-a-pair": r'"\ud83d"',
    "half-a-name": 'm="\\udcb3":1',
    "not-a-number": "NaN",
    "infinity": "[-Infinity]",
    "control": '"a\tb"',
    "zero": "01",
    "comma": "[1,]",
    "more": "1} ",
    "quotes": "{'a':1}",
}


def lines() -> list[bytes]:
    """Returns the records, one a line."""
    named = [Event(f"{field}-{length}", **{field: "x" * length})  # type: ignore[arg-type]
             for field, most in PLACE.items() for length in (most, most + 1)]  # fmt: skip
    named += [
        Event(f"awkward-{n}", domain=name) for n, name in enumerate(AWKWARD) if "\n" not in name
    ]
    named += [Event("dot", domain="x" * 245 + "."), Event("dots", domain="x" * 246 + ".")]
    named += [Event("byte", domain="é" * 41), Event("bytes", domain="é" * 42)]
    known = [
        b'{"event_id":1,"timestamp":"2021-01-08T00:00:00","domain":"d","event_type":"t","data":1}'
    ]
    odd_ones = [odd(name, text) for name, text in {**ACCEPTED, **REJECTED}.items()]
    event = Event("s1").line().encode(), Event("s2").line().encode(), Event("s3").line().encode()
    spaced = [
        b"oops  ",
        event[0] + b" , " + event[1],
        b'{"a" 1} ',
        b'{"a":1} \t',
        event[2] + b" oops \t",
        b'"a"  ',
    ]
    return [*odd_ones, *(event.line().encode() for event in named), *known, *spaced]


def test_the_plain_rules_are_as_expected() -> None:
    """What the two may agree on wrongly is decided here."""
    for name, text in ACCEPTED.items():
        row = row_of(odd(name, text))
        assert row and row.event_id == name, name
    for name, text in REJECTED.items():
        assert row_of(odd(name, text)) is None, name


def test_the_job_decides_alike(tmp_path: Path) -> None:
    """About depth, numbers, escapes, names of folders: rows are equal, and rejects are."""
    source = tmp_path / "in" / "a.jsonl"
    source.parent.mkdir()
    source.write_bytes(b"\n".join(lines()) + b"\n")

    record = run_here(source, tmp_path / "table")
    verdict = verify(str(tmp_path / "table"), against=against([], [str(source)], "/nowhere"))

    assert verdict.findings == []
    refused = [one for one in of_input(str(source), Rules()) if isinstance(one, Refused)]
    letters = letters_in(record["rejects"])
    assert sorted((one.offset, one.record) for one in refused) == sorted(
        (letter["offset"], record_hash(letter["raw"])) for letter in letters
    )
    assert len(refused) >= len(REJECTED) + 8
