import datetime
import json
import pathlib
from collections.abc import Callable

import pytest

from generator import faults
from generator.documents import documents
from generator.faults import FAULTS, WELL_FORMED, Fault, Fields, break_event
from generator.options import FRAMINGS, Options
from generator.versions import BROKEN, versions

FIELDS = Fields(
    event_id='"6ac0eb6c-50c0-45c8-a20d-ae2ff195af9d"',
    timestamp='"2021-01-08T10:00:00Z"',
    domain='"account"',
    event_type='"status-change"',
    data='{"amount":12.50,"to":"frozen"}',
)
NAMES = set(Fields._fields)
TEXTS = NAMES - {"data"}


def is_json(text: str) -> bool:
    """Tells whether it is exactly one JSON value."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_object_with_one_bad_field(is_bad: Callable[[str, object], bool]) -> Callable[[str], bool]:
    """Checks that one field differs from a good event, in the way given by name and value."""

    def check(text: str) -> bool:
        event = json.loads(text)
        good = json.loads(FIELDS.document())
        bad = [name for name in NAMES if event.get(name) != good[name]]
        return len(bad) == 1 and is_bad(bad[0], event.get(bad[0], "missing"))

    return check


def is_no_time(name: str, value: object) -> bool:
    """Tells whether it is a timestamp that cannot be read."""
    try:
        datetime.datetime.fromisoformat(str(value).removesuffix("Z"))
    except ValueError:
        return name == "timestamp"
    return False


def is_not_utf8(text: str) -> bool:
    """Tells whether it would be JSON if its bytes were UTF-8."""
    try:
        text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError:
        return is_json(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return False


def depth(value: object) -> int:
    """Returns how many lists lie in each other."""
    levels = 0
    while isinstance(value, list):
        levels, value = levels + 1, value[0] if value else None
    return levels


MEANINGS: dict[Fault, Callable[[str], bool]] = {
    faults.not_json: lambda text: not is_json(text) and "{" not in text,
    faults.truncated: lambda text: not is_json(text) and FIELDS.document().startswith(text),
    faults.invalid_utf8: is_not_utf8,
    faults.bare_value: lambda text: not isinstance(json.loads(text), dict | list | str),
    faults.not_an_object: lambda text: isinstance(json.loads(text), str),
    faults.missing_field: is_object_with_one_bad_field(lambda name, value: value == "missing"),
    faults.null_field: is_object_with_one_bad_field(
        lambda name, value: name in TEXTS and value is None
    ),
    faults.wrong_type: is_object_with_one_bad_field(
        lambda name, value: name in TEXTS and not isinstance(value, str | None)
    ),
    faults.empty_event_id: is_object_with_one_bad_field(
        lambda name, value: name == "event_id" and value == ""
    ),
    faults.bad_timestamp: is_object_with_one_bad_field(is_no_time),
    faults.too_long: is_object_with_one_bad_field(
        lambda name, value: name in ("domain", "event_type") and len(str(value)) >= 300
    ),
    faults.too_deep: is_object_with_one_bad_field(
        lambda name, value: name == "data" and depth(value) > 500
    ),
}


def test_every_fault_is_described_here() -> None:
    """A new fault is tested, too."""
    assert set(MEANINGS) == set(FAULTS["lines"])
    assert set(WELL_FORMED) < set(MEANINGS)


@pytest.mark.parametrize("fault", MEANINGS, ids=lambda fault: fault.__name__)
def test_a_fault_breaks_an_event_as_its_name_says(fault: Fault) -> None:
    """All variants of a fault do, so the reason of the reject is known."""
    for variant in range(2_000):
        text = fault(FIELDS, variant)
        assert MEANINGS[fault](text), text
        assert "\n" not in text
        assert text


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_fault_of_a_framing_occurs(framing: str) -> None:
    """In lines, anything may be wrong; in other framings the next event must still be found."""
    allowed = FAULTS.get(framing, WELL_FORMED)
    broken = [break_event(FIELDS, framing, variant) for variant in range(len(allowed))]

    assert all(MEANINGS[fault](text) for fault, text in zip(allowed, broken, strict=True))
    if framing != "lines":
        assert all(map(is_json, broken))


def test_broken_lines_have_their_share_and_the_others_are_intact() -> None:
    """Exactly the events that are said to be broken are rejected by a strict reader."""
    options = Options(events=20_000, output=pathlib.Path("unused"), broken=0.05)
    made = versions(options, 0, options.events)
    rejected = 0
    for text, fate in zip(documents(options, made).texts, made.fate.tolist(), strict=True):
        good = is_event(text)
        assert good == (fate != BROKEN), text
        rejected += not good
    assert rejected == 1_000


def is_event(text: str) -> bool:
    """Tells what a strict reader thinks; written without a look at the faults."""
    try:
        event = json.loads(text.encode("utf-8", "surrogateescape"))
        return (
            event.keys() == NAMES
            and all(isinstance(event[name], str) for name in TEXTS)
            and event["event_id"] != ""
            and not is_no_time("timestamp", event["timestamp"])
            and len(event["domain"]) < 200 > len(event["event_type"])
            and depth(event["data"]) <= 500
        )
    except (ValueError, AttributeError):
        return False
