"""The contract of the exercise: every payload names an entity, and entities have lives."""

import json
import pathlib
import re
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from generator import lives
from generator.documents import documents, micros
from generator.options import Options
from generator.versions import NEW, OTHER_DAY, OTHER_TYPE, versions

# All stories of a week are whole: 7 days of 4 steps.
OPTIONS = Options(events=28 * 200, output=pathlib.Path("unused"), seed=6, duplicates=0.0)


def events(**changes: Any) -> list[dict[str, Any]]:
    """Returns the events of a delivery, each with its instant as "at"."""
    options = OPTIONS._replace(**changes)
    made = versions(options, 0, options.events)
    texts = documents(options, made).texts
    return [
        {**json.loads(text), "at": at, "fate": fate, "number": number}
        for text, at, fate, number in zip(
            texts,
            micros(options, made).tolist(),
            made.fate.tolist(),
            made.id_number.tolist(),
            strict=True,
        )
    ]


def test_every_payload_has_an_id_that_fits_its_domain() -> None:
    """Accounts and merchants have numbers, as in the exercise; others have names."""
    forms = {
        "account": r"[1-9]\d{5}",
        "merchant": r"[1-9]\d{5}",
        "transaction": r'"tx-[1-9]\d{5}"',
        "card": r'"card-[1-9]\d{5}"',
        "customer": r'"C[1-9]\d{5}"',
    }
    for event in events(awkward=0.2):
        assert re.fullmatch(forms[event["domain"]], json.dumps(event["data"]["id"]))


def test_the_first_kind_is_the_one_of_the_exercise() -> None:
    """An account's change of status, with these four members in this order, and no others."""
    for event in events(types=1, days=3):
        assert (event["domain"], event["event_type"]) == ("account", "status-change")
        data = event["data"]
        assert list(data) == ["id", "old_status", "new_status", "reason"]
        assert {data["old_status"], data["new_status"]} < {"ACTIVE", "SUSPENDED", "FROZEN"}
        assert re.fullmatch(r"[A-Z][a-z]*( [A-Za-z]+)+\.", data["reason"])
    assert lives.public_numbers(np.array([0])).tolist() == [948874]


def changes_of(found: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    """Returns the changes of status of each account and card, in the order of time."""
    lines: dict[tuple[str, Any], list[tuple[int, str, str]]] = defaultdict(list)
    for event in found:
        data = event["data"]
        states = data.get("old_status", data.get("from")), data.get("new_status", data.get("to"))
        if event["event_type"].startswith("status-change"):
            key = event["domain"] + event["event_type"], data["id"]
            lines[key].append((event["at"], *states))
    return [[change[1:] for change in sorted(changes)] for changes in lines.values()]


def breaks(changes: list[tuple[str, str]]) -> int:
    """Counts where the next old status is not the last new one."""
    return sum(before[1] != after[0] for before, after in pairwise(changes))


@pytest.mark.parametrize("shape", [{}, {"types": 1}, {"types": 40}, {"days": 14}, {"days": 1}])
def test_the_next_old_status_is_the_last_new_one(shape: dict[str, Any]) -> None:
    """By event time, in every life, over days and types; each has several changes.

    Seen to fail with the state drawn by the step alone, not by the pair of steps.
    """
    found = changes_of(events(**shape))

    assert sum(map(breaks, found)) == 0
    assert all(old != new for changes in found for old, new in changes)
    assert {len(changes) for changes in found} == {4 if shape.get("days") == 1 else 28}


def test_lives_stay_whole_where_a_correction_does_not_move_an_event() -> None:
    """A version that is a little older or newer, or a tie, does not change the order of a life.

    The deliveries are the usual ones; versions that move events to another day or type break lives.
    """
    usual = {"duplicates": 0.3, "events": 28 * 300}
    latest: dict[int, dict[str, Any]] = {}
    for event in sorted(events(**usual, other_day=0, other_type=0), key=lambda one: one["at"]):
        latest[event["number"]] = event
    complete = [life for life in changes_of([*latest.values()]) if len(life) == 28]

    assert len(complete) > 10
    assert sum(map(breaks, complete)) == 0


@pytest.mark.parametrize("count", [1_000, 30_000])
def test_entities_come_up_again_and_again(count: int) -> None:
    """In a small delivery as in a large one."""
    found = events(events=count)
    entities = {(event["domain"], event["data"]["id"]) for event in found}
    assert len(entities) < count / 3


def test_what_does_not_change_is_the_same_in_all_events_of_an_entity() -> None:
    """An account keeps its IBAN and currency, a settlement has the amount that was authorized."""
    kept = {
        "account": ("account", "currency"),
        "transaction": ("currency",),
        "card": ("card", "scheme"),
    }
    known: dict[tuple[Any, ...], Any] = {}
    again = 0
    for event in events():
        data = event["data"]
        for name in kept.get(event["domain"], ()):
            if name in data:
                key = event["domain"], data["id"], name
                again += key in known
                assert known.setdefault(key, data[name]) == data[name]
        if event["event_type"] in ("authorized", "settled"):
            key = "amount", data["id"]
            assert known.setdefault(key, data["amount"]) == data["amount"]
    assert again > 1_000


def test_all_versions_of_an_event_are_about_one_entity() -> None:
    """A correction does not change whom an event is about, unless it changes the domain."""
    found = events(duplicates=0.5)
    first = {event["number"]: event for event in found if event["fate"] == NEW}
    others = 0
    for event in found:
        original = first[event["number"]]
        if event["fate"] != OTHER_TYPE or event["domain"] == original["domain"]:
            assert event["data"]["id"] == original["data"]["id"]
            others += event["data"] != original["data"]
    assert others > 500
    assert {OTHER_DAY, OTHER_TYPE} < {event["fate"] for event in found}


def test_public_numbers_are_different() -> None:
    """Two entities never share one, also beyond the first 900,000."""
    numbers = lives.public_numbers(np.arange(2_000_000))
    assert len(np.unique(numbers)) == 2_000_000
    assert numbers[:900_000].min() == 100_000
    assert numbers[:900_000].max() == 999_999


def test_changes_keep_to_their_quarter_of_the_day() -> None:
    """So the order of a life is known without looking at the other events of the day."""
    quarters: dict[tuple[int, int], set[int]] = defaultdict(set)
    for event in events(types=1):
        day, quarter = divmod(event["at"] // (6 * 3_600_000_000), 4)
        quarters[event["data"]["id"], day].add(quarter)
    assert all(found == {0, 1, 2, 3} for found in quarters.values())
