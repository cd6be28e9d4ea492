"""Contracts: which schemas are read, and what is said of events that break them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.input import contracts
from pipeline.input.contracts import Breach, Broken, Checker, Contract, ContractError, Schema
from pipeline.keys import partitions

KIND = ("account", "created")


def checker(schema: Any, mode: str = contracts.REJECT) -> Checker:
    """A checker of the events of one type."""
    return Checker(Contract(mode, (Schema(*KIND, json.dumps(schema)),)))


def said(schema: Any, *payloads: str) -> list[str]:
    """What is said of payloads that break a schema."""
    found = checker(schema).check(KIND, [payload.encode() for payload in payloads])
    return [problem.message for problem in found.values()]


def put(folder: Path, domain: str, event_type: str, schema: str = "{}") -> None:
    """Writes a schema where `read` looks for it."""
    path = folder / partitions.encode(domain) / f"{partitions.encode(event_type)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema)


class TestReading:
    """The folder of schemas."""

    @pytest.mark.parametrize("name", ["created", "Shop/EU", "..", ".hidden", "a%2Fb", "é", "null"])
    def test_names_are_those_of_partitions(self, tmp_path: Path, name: str) -> None:
        """Whatever a domain or an event_type is called, its schema has a place."""
        put(tmp_path, name, name)
        put(tmp_path, "other", name, '{"type": "object"}')
        (tmp_path / "README.md").touch()
        found = contracts.read(str(tmp_path), contracts.WARN)
        assert found == Contract(
            "warn",
            tuple(sorted([Schema(name, name, "{}"), Schema("other", name, '{"type": "object"}')])),
        )

    def test_names_need_not_be_encoded(self, tmp_path: Path) -> None:
        """What a person writes means the same; but a type has one schema."""
        (tmp_path / "Shop").mkdir()
        (tmp_path / "Shop" / "Sale.json").write_text("true")
        found = contracts.read(str(tmp_path), contracts.WARN)
        assert found.schemas == (Schema("Shop", "Sale", "true"),)
        put(tmp_path, "Shop", "Sale")
        with pytest.raises(ContractError, match="there are two schemas of Shop/Sale"):
            contracts.read(str(tmp_path), contracts.WARN)

    @pytest.mark.parametrize(
        ("path", "content", "why"),
        [
            ("d/e.json", '{"type": "nope"}', 'not a JSON Schema that can be used: "nope" is not'),
            ("d/e.json", "{", "not a JSON Schema that can be used"),
            ("d/e.json", "5", "not a JSON Schema that can be used"),
            ("d/e.json", '{"pattern": "("}', "not a JSON Schema that can be used"),
            (
                "d/e.json",
                '{"$ref": "file:///etc/hosts"}',
                "'file:///etc/hosts' is another document",
            ),
            ("d/e.json", '{"$ref": "http://localhost:1/x"}', "is another document"),
            ("e.json", "{}", "contracts are called DOMAIN/EVENT_TYPE.json"),
            ("a/b/c.json", "{}", "contracts are called DOMAIN/EVENT_TYPE.json"),
            ("%FF/c.json", "{}", "contracts are called DOMAIN/EVENT_TYPE.json"),
            ("d/e.txt", "{}", "no schema is there; they are called DOMAIN/EVENT_TYPE.json"),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path: Path, path: str, content: str, why: str) -> None:
        """The message names the file, or the folder; no other document is ever fetched."""
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
        with pytest.raises(ContractError) as error:
            contracts.read(str(tmp_path), contracts.WARN)
        assert why in str(error.value)
        assert str(tmp_path) in str(error.value)

    def test_definitions_within_the_schema(self) -> None:
        """They may be referred to."""
        schema = {"$ref": "#/$defs/id", "$defs": {"id": {"type": "integer"}}}
        assert said(schema, "1") == []
        assert len(said(schema, '"1"')) == 1


class TestChecking:
    """What is said of payloads."""

    def test_path_and_rule(self) -> None:
        """The message shows the place, the rule, the type and the value."""
        items = {"type": "array", "items": {"properties": {"a b": {"maximum": 10}}}}
        assert said({"properties": {"items": items}}, '{"items": [{}, {"a b": 11}]}') == [
            "data at $.items[1][\"a b\"] breaks 'maximum' of account/created: 11 is greater than"
            " the maximum of 10"
        ]

    def test_many_rules(self) -> None:
        """The first is shown, and how many there are besides."""
        schema = {"properties": {name: {"type": "integer"} for name in "abcdefghijklm"}}
        (three,) = said(schema, json.dumps(dict.fromkeys("abc", "x")))
        assert three.endswith('is not of type "integer"; and 2 more')
        (all_,) = said(schema, json.dumps(dict.fromkeys("abcdefghijklm", "x")))
        assert all_.endswith("; and 9 or more others")

    def test_long_values_are_cut(self) -> None:
        """A payload of megabytes makes no message of megabytes."""
        (message,) = said({"type": "integer"}, json.dumps("x" * 1_000_000))
        assert len(message) < 300

    def test_elements_of_arrays_are_counted_together(self) -> None:
        """And an event once for each rule, however many of its elements break it."""
        found = checker({"items": {"type": "integer"}})
        found.check(KIND, [b'["a", "b"]', b'[1, "c"]', b"[1]"])
        assert found.breaches == {
            Breach(*KIND, "$[*]", "type"): Broken(2, '"a" is not of type "integer"')
        }
        assert (found.checked, found.broken) == (3, 2)

    def test_invented_names_stay_bounded(self) -> None:
        """A thousand places are told apart, all others are counted together."""
        found = checker({"additionalProperties": {"type": "integer"}})
        found.check(KIND, [json.dumps({f"k{n}": "x"}).encode() for n in range(1500)])
        assert len(found.breaches) == 1001
        assert found.breaches[Breach(*KIND, "…", "type")].events == 500
        assert found.broken == 1500

    @pytest.mark.parametrize(
        "number", ["9" * 5000, "1e999", "-1e999", "123456789012345678901234567890", "1e-999"]
    )
    def test_numbers_beyond_all_limits(self, number: str) -> None:
        """They are numbers, as large as numbers get."""
        assert said({"type": "number"}, number, f"{number} ") == []
        assert len(said({"type": "string"}, number)) == 1

    def test_deep_values(self) -> None:
        """As deep as events may be."""
        deep = "[" * 499 + "]" * 499
        assert said({"type": "array"}, deep) == []
        assert len(said({"type": "object"}, deep)) == 1

    def test_other_types_are_not_known(self) -> None:
        """They have no contract."""
        assert checker({}).knows(KIND)
        assert not checker({}).knows(("account", "closed"))


BREACHES = st.dictionaries(
    st.builds(Breach, *[st.sampled_from("ab")] * 4),
    st.builds(Broken, st.integers(1, 9), st.text(max_size=2)),
)


@given(st.lists(BREACHES, max_size=5), st.randoms())
def test_the_order_of_blocks_does_not_matter(blocks: list[Any], random: Any) -> None:
    """Breaches of blocks add up to the same, examples included, on every engine."""
    shuffled = list(blocks)
    random.shuffle(shuffled)
    found: list[contracts.Breaches] = [{}, {}]
    for order, own in zip((blocks, shuffled), found, strict=True):
        for block in order:
            contracts.add(own, block)
    assert found[0] == found[1]
