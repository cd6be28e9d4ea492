"""`schema`: JSON Schemas that accept what was observed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import observe
from pipeline.catalogue.observe import Payload
from pipeline.catalogue.schema import schema
from tests.catalogue.payloads import PAYLOADS

jsonschema = pytest.importorskip("jsonschema")


@given(st.lists(PAYLOADS, min_size=1))
def test_every_payload_fulfils_its_schema(payloads: list[Payload]) -> None:
    """Mixed types, missing members, empty arrays, any name; the schema itself is one.

    Seen to fail with members required that every payload has, instead of every such object.
    """
    schemas = {entry.name: schema(entry) for entry in observe.observe(payloads).types}
    for found in schemas.values():
        jsonschema.Draft202012Validator.check_schema(found)
    for payload in payloads:
        validator = jsonschema.Draft202012Validator(schemas[payload[:2]])
        validator.validate(json.loads(payload.data))


@given(st.lists(PAYLOADS, min_size=1, max_size=30))
def test_also_where_paths_are_left_out(payloads: list[Payload]) -> None:
    """A member that is not described may be anything."""
    entries = observe.observe(payloads, paths=3).types
    schemas = {entry.name: schema(entry) for entry in entries}
    for payload in payloads:
        jsonschema.validate(json.loads(payload.data), schemas[payload[:2]])


def test_what_a_schema_says() -> None:
    """As people read it."""
    texts = ['{"id": 1, "state": "ON", "to": null}', '{"id": 2, "state": "OFF", "at": 0.5}']
    texts += ['{"id": 3, "to": {"zip": 1, "n": "x"}, "at": 2}', '{"id": 9, "tags": ["a"]}']
    (entry,) = observe.observe(Payload("d", "t", 0, text) for text in texts).types
    assert schema(entry) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "d/t",
        "type": "object",
        "required": ["id"],
        "properties": {
            "at": {"type": "number", "examples": [2, 0.5]},
            "id": {"type": "integer", "examples": [1, 9]},
            "state": {"type": "string", "examples": ["OFF", "ON"]},
            "tags": {"type": "array", "items": {"type": "string", "examples": ["a"]}},
            "to": {
                "type": ["null", "object"],
                "required": ["n", "zip"],
                "properties": {
                    "n": {"type": "string", "examples": ["x"]},
                    "zip": {"type": "integer", "examples": [1]},
                },
            },
        },
    }
    assert "examples" not in json.dumps(schema(entry, examples=False))
