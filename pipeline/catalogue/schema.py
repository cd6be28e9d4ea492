"""A JSON Schema (draft 2020-12) for `data` of each type.

It accepts every payload that the catalogue has seen. So only a catalogue of the whole table makes
schemas for all of its rows.
"""

from typing import Any

from pipeline.catalogue.nodes import Node, Type

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema(entry: Type, *, examples: bool = True) -> dict[str, Any]:
    """Returns the schema for `data` of a type.

    Args:
        entry: What is known of the type.
        examples: Whether values of the data may stand in the schema.
    """
    found: dict[str, Any] = {"$schema": DRAFT, "title": f"{entry.domain}/{entry.event_type}"}
    if entry.unreadable:
        found["$comment"] = f"{entry.unreadable:,} payloads are no JSON; no schema accepts these"
    return found | _of(entry.root, examples)


def _of(node: Node, examples: bool) -> dict[str, Any]:
    kinds = {kind.removeprefix("big-") for kind in node.kinds}
    if "number" in kinds:
        kinds.discard("integer")  # every integer is a number
    found: dict[str, Any] = {}
    if kinds:
        found["type"] = kinds.pop() if len(kinds) == 1 else sorted(kinds)
    if node.members:
        found["properties"] = {
            name: _of(child, examples) for name, child in sorted(node.members.items())
        }
        objects = node.kinds.get("object", 0)
        required = [name for name, child in node.members.items() if child.count == objects]
        if required:
            found["required"] = sorted(required)
    if node.elements is not None:
        found["items"] = _of(node.elements, examples)
    if examples and (values := example_values(node)):
        found["examples"] = values
    return found


def example_values(node: Node) -> list[Any]:
    """Returns some values: texts, or the least and the greatest number."""
    values: list[Any] = sorted(text for text in node.examples.values())
    for bounds in (node.integers, node.numbers):
        values += sorted(set(bounds or ()))
    return values
