"""`observe` and `merging`: a catalogue says what is in payloads, in any order, and is bounded."""

import itertools
import json
import random
from functools import partial

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import merging, nodes, observe
from pipeline.catalogue.nodes import Catalogue, Node
from pipeline.catalogue.observe import Payload
from tests.catalogue.payloads import PAYLOADS, walked

# Payloads of one type: of objects with many names, and of many texts.
WIDE = st.lists(
    st.dictionaries(st.sampled_from("abcdefghij"), st.just({"x": 1, "y": 2}), min_size=2)
    | st.text("abcdef", min_size=2, max_size=2),
    max_size=20,
)


def one_type(*values: object, limit: int = nodes.PATHS_LIMIT) -> Node:
    """What is known of these values of `data`, each of one event."""
    payloads = [Payload("d", "t", at, json.dumps(value)) for at, value in enumerate(values)]
    (entry,) = observe.observe(payloads, limit).types
    return entry.root


def paths(root: Node) -> list[str]:
    """The paths that are kept."""
    return [field.path for field in nodes.fields(root)]


@given(st.lists(PAYLOADS), st.lists(PAYLOADS), st.integers(1, 12), st.integers(1, 4))
def test_merging_is_observing_both(
    some: list[Payload], others: list[Payload], limit: int, types: int
) -> None:
    """So it does not matter which worker has looked at what, also where much is left out."""
    look = partial(observe.observe, paths=limit, types=types)
    merge = partial(merging.merge, paths=limit, types=types)
    assert merge(look(some), look(others)) == look([*some, *others])
    assert merge(look(others), look(some)) == look([*some, *others])


@given(WIDE, WIDE, st.integers(2, 6))
def test_merging_of_many_names_and_texts(
    some: list[object], others: list[object], limit: int
) -> None:
    """As above, where nearly all is left out: each half knows things that the other one has not.

    Seen to fail with `more` of one half forgotten, and with the examples of one half kept first.
    """
    left, right = (
        [Payload("d", "t", at, json.dumps(value)) for at, value in enumerate(values)]
        for values in (some, others)
    )
    look = partial(observe.observe, paths=limit)
    merged = merging.merge(look(left), look(right), limit)
    assert merged == look([*left, *right])


@given(st.lists(PAYLOADS, max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_grouping(payloads: list[Payload], chance: random.Random) -> None:
    """Of single payloads too, merged as a tree of workers would."""
    expected = observe.observe(payloads, 6, 2)
    parts = [observe.observe([payload], 6, 2) for payload in payloads]
    while len(parts) > 1:
        one = parts.pop(chance.randrange(len(parts)))
        other = parts.pop(chance.randrange(len(parts)))
        parts.append(merging.merge(one, other, 6, 2))
    assert (parts or [Catalogue()]) == [expected]


@given(st.lists(PAYLOADS))
def test_counts_are_those_of_a_simple_walk(payloads: list[Payload]) -> None:
    """Every path and every JSON type, compared with a walk that shares no code."""
    catalogue = observe.observe(payloads)
    found = {
        entry.name: {field.steps: field.node.kinds for field in nodes.fields(entry.root)}
        for entry in catalogue.types
    }
    assert found == walked(payloads)
    assert catalogue.payloads == len(payloads)


@given(st.lists(PAYLOADS))
def test_a_catalogue_survives_its_encoding(payloads: list[Payload]) -> None:
    """It is kept as JSON; the same content has the same bytes."""
    catalogue = observe.observe(payloads)
    content = nodes.encode(catalogue)
    assert nodes.decode(content) == catalogue
    assert nodes.encode(observe.observe(reversed(payloads))) == content


def test_values() -> None:
    """Ranges of integers and of other numbers, different texts, and times."""
    root = one_type({"a": 5}, {"a": -2}, {"a": 0.5}, {"a": "x"}, {"a": "x"}, {"a": "y"}, {})
    field = root.members["a"]
    assert field.kinds == {"integer": 2, "number": 1, "string": 3}
    assert (field.integers, field.numbers) == ((-2, 5), (0.5, 0.5))
    assert (sorted(field.examples.values()), field.more_examples) == (["x", "y"], False)
    assert (field.first, field.last) == (0, 5)
    assert [one.parents for one in nodes.fields(root)] == [7, 7]


def test_many_names_are_bounded() -> None:
    """50,000 different keys in one object, as when it is a dictionary: the rest stays known."""
    keys = {f"key-{number}": {"amount": number} for number in range(50_000)}
    payload = {"id": 7, "status": "ACTIVE", "prices": keys, "to": {"street": "x"}, **keys}
    root = one_type(payload, payload)
    assert len(paths(root)) == nodes.PATHS_LIMIT
    assert root.more
    assert {"$.id", "$.status", "$.prices", "$.to"} <= set(paths(root))
    assert root.members["id"].kinds == {"integer": 2}


def test_names_come_before_keys() -> None:
    """At each depth: so that a dictionary does not hide the fields beside it."""
    root = one_type({"prices": {f"a{n}": 1 for n in range(100)}, "to": {"zip": "x"}}, limit=10)
    assert "$.to.zip" in paths(root)
    assert root.members["prices"].more
    assert not root.more


def test_strange_names() -> None:
    """Dots, quotes and backslashes: no two paths have the same text."""
    names = ["a.b", 'a"b', "a\\b", "a'b", "[*]", "", " ", "é", "0", "$"]
    root = one_type({"a": {"b": 1}, **dict.fromkeys(names, 1), "list": [[1], {"[*]": 1}]})
    found = paths(root)
    assert len(found) == len(set(found)) == 1 + 2 + len(names) + 4
    assert {'$["a.b"]', '$["a\\"b"]', "$.a.b", "$.list[*][*]", '$.list[*]["[*]"]'} <= set(found)


def test_strange_numbers() -> None:
    """Beyond 64 bits, beyond a double, and two zeros."""
    texts = ["9223372036854775808", "-9223372036854775809", "1" * 5000, "1e400", "-1e400", "-0.0"]
    texts += ["0.0", "1E2", "9223372036854775807"]
    root = observe.observe(Payload("d", "t", 0, text) for text in texts).types[0].root
    assert root.kinds == {"big-integer": 3, "number": 5, "integer": 1}
    assert root.integers == (2**63 - 1, 2**63 - 1)
    assert repr(root.numbers) == "(0.0, 100.0)"


def test_deep_and_long() -> None:
    """Deep nesting ends somewhere, and so do names."""
    deep = "[" * 400 + "]" * 400
    root = observe.observe([Payload("d", "t", 0, deep)]).types[0].root
    assert len(paths(root)) == nodes.DEPTH_LIMIT + 1
    assert [*nodes.fields(root)][-1].node.more

    root = one_type({"n" * nodes.NAME_LIMIT: "t" * 10_000, "m" * (nodes.NAME_LIMIT + 1): 1})
    assert root.more
    (field,) = root.members.values()
    assert [len(text) for text in field.examples.values()] == [nodes.EXAMPLE_CHARACTERS]


def test_what_is_no_json_is_counted() -> None:
    """Other tools may have written it; nothing of such a payload is kept."""
    texts = ["", "{", "NaN", '{"a": 1e400, "b": "\\ud800"}', "[" * 100_000, '{"a": 1}']
    (entry,) = observe.observe(Payload("d", "t", 0, text) for text in texts).types
    assert (entry.unreadable, entry.payloads) == (5, 6)
    assert entry.root.kinds == {"object": 1}


def test_many_types_are_bounded() -> None:
    """The first by their names, with all that they have; that there are more is said."""
    names = [f"{number:05}" for number in range(2 * nodes.TYPES_LIMIT + 1)]
    random.Random(1).shuffle(names)
    found = observe.observe(Payload("d", name, 0, "1") for name in [*names, *names])
    assert [entry.event_type for entry in found.types] == sorted(names)[: nodes.TYPES_LIMIT]
    assert {entry.payloads for entry in found.types} == {2}
    assert (found.more_types, found.payloads) == (True, 2 * len(names))


def test_runs_that_met_a_field() -> None:
    """By run as by event time: since when is it there, and until when was it?"""
    runs = [
        merging.met_by(observe.observe([Payload("d", "t", at, json.dumps(value))]), f"run-{at}")
        for at, value in enumerate([{"a": 1, "b": [1]}, {"a": 1}, {"a": 1, "c": 1}])
    ]
    for order in itertools.permutations(runs):
        (entry,) = merging.merge_all(order).types
        met = {
            field.path: (field.node.first_run, field.node.last_run)
            for field in nodes.fields(entry.root)
        }
        both = ("run-0", "run-0")
        assert met == {
            "$": ("run-0", "run-2"),
            "$.a": ("run-0", "run-2"),
            "$.b": both,
            "$.b[*]": both,
            "$.c": ("run-2", "run-2"),
        }


def test_merging_leaves_its_arguments_alone() -> None:
    """Runners may give the same element to a call twice."""
    one, other = (
        observe.observe([Payload("d", "t", 0, data)]) for data in ('{"a": 1}', '{"b": 1}')
    )
    before = msgspec.json.encode([one, other])
    merging.merge(one, other, 2)
    assert msgspec.json.encode([one, other]) == before
