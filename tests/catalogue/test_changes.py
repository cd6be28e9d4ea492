"""`changes`: what is new, gone, or of another type since the runs before."""

import json

from pipeline.catalogue import merging, nodes, observe
from pipeline.catalogue.changes import NAMED_LIMIT, TypeChange, changes, told
from pipeline.catalogue.nodes import Catalogue
from pipeline.catalogue.observe import Payload


def seen(*values: object, run: str = "r1", event_type: str = "t") -> Catalogue:
    """What a run has seen."""
    payloads = [Payload("d", event_type, 0, json.dumps(value)) for value in values]
    return merging.met_by(observe.observe(payloads), run)


def test_nothing_has_changed() -> None:
    """Other values are no change, nor are a null, a larger number, or types not seen before."""
    before = seen({"id": 1, "a": "x", "b": 1})
    assert changes(before, seen({"id": 2, "a": None, "b": 1 << 70})) == []
    assert changes(before, seen({"new": 1}, event_type="other")) == []
    assert changes(Catalogue(), before) == []
    assert changes(before, Catalogue()) == []


def test_new_fields() -> None:
    """Of a new object only the object itself, not each of its members."""
    now = seen({"id": 1, "to": {"zip": 1, "street": "x"}, "tags": ["a"]})
    assert changes(seen({"id": 1}), now) == [
        TypeChange("d", "t", new=2, new_paths=["$.tags", "$.to"])
    ]


def test_a_changed_type() -> None:
    """With what it was before."""
    found = changes(seen({"id": 1, "a": None}), seen({"id": "x", "a": [1]}))
    assert found == [
        TypeChange(
            "d",
            "t",
            new=1,
            new_paths=["$.a[*]"],
            changed=2,
            changed_paths=["$.a: array beside null", "$.id: string beside integer"],
        )
    ]


def test_gone_fields() -> None:
    """Only where that is no chance: a field that all events had, or enough events without it."""
    before = seen(*[{"id": 1, "always": 1}] * 9, {"id": 1, "always": 1, "rare": 1})
    assert changes(before, seen(*[{"id": 1, "always": 1}] * 99)) == []
    (found,) = changes(before, seen(*[{"id": 1}] * 100, run="r2"))
    assert found.gone_paths == ["$.always", "$.rare"]
    assert changes(before, seen(*[{"id": 1}] * 9)) == []


def test_what_is_gone_is_said_once() -> None:
    """The run after next compares with runs that had it, and with the last one, which had not."""
    first = seen(*[{"id": 1, "a": 1}] * 20, run="r1")
    second = seen(*[{"id": 1}] * 20, run="r2")
    assert len(changes(first, second)) == 1
    assert changes(merging.merge(first, second), seen(*[{"id": 1}] * 20, run="r3")) == []


def test_left_out_paths_are_no_change() -> None:
    """Where an object has more members than are kept, a name may have been there before."""
    keys = {f"k{number}": number for number in range(2 * nodes.PATHS_LIMIT)}
    assert changes(seen(keys), seen({"unknown": 1})) == []


def test_only_some_are_named() -> None:
    """A summary stays short; the numbers are right."""
    now = seen({"id": 1, **{f"f{number}": 1 for number in range(100)}})
    (found,) = changes(seen({"id": 1}), now)
    assert (found.new, len(found.new_paths)) == (100, NAMED_LIMIT)


def test_in_words() -> None:
    """As the report and the page show it."""
    change = TypeChange("card", "issued", new=1, new_paths=["$.to"])
    assert told(change) == "card/issued: 1 new field (to)"
    paths = [f"$.f{number}" for number in range(9)]
    change = TypeChange(
        *("card", "issued"),
        new=9,
        gone=2,
        changed=1,
        new_paths=paths,
        gone_paths=paths[:2],
        changed_paths=["$.id: string beside integer"],
    )
    assert told(change) == (
        "card/issued: 9 new fields (f0, f1, f2, …), 2 fields gone (f0, f1),"
        " 1 field of another type (id: string beside integer)"
    )
