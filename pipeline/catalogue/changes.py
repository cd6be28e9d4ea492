"""What a run's events have that those before had not, and the other way round."""

import msgspec

from pipeline.amounts import counted
from pipeline.catalogue import nodes
from pipeline.catalogue.nodes import Catalogue, Field, Type

# Paths of a type that are named; an event of a new make may have hundreds.
NAMED_LIMIT = 20
# Those that a sentence names.
_TOLD_LIMIT = 3
# A field is gone if so many events would have had it by the share that had it before: that none
# does is then less likely than one in 20,000.
_EXPECTED = 10


class TypeChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the fields of a type have changed.

    Attributes:
        domain: The type's.
        event_type: The type's.
        new: How many paths no event had before.
        gone: How many paths no event has any more.
        changed: How many paths have values of a JSON type that they had not before.
        new_paths: The first of them, as are the next two.
        gone_paths: See `new_paths`.
        changed_paths: See `new_paths`; with the types, as in "$.id: string beside integer".
    """

    domain: str
    event_type: str
    new: int = 0
    gone: int = 0
    changed: int = 0
    new_paths: list[str] = []
    gone_paths: list[str] = []
    changed_paths: list[str] = []


def changes(before: Catalogue, now: Catalogue) -> list[TypeChange]:
    """Returns how types have changed, of which there were events before.

    Args:
        before: Of all runs before.
        now: Of a run's sample.
    """
    known = {entry.name: entry for entry in before.types}
    found = [
        _change(known[entry.name], entry)
        for entry in now.types
        if entry.name in known and known[entry.name].root.count and entry.root.count
    ]
    return [one for one in found if one.new or one.gone or one.changed]


def told(change: TypeChange) -> str:
    """Returns a change in words: "card/issued: 2 new fields (tags, to)"."""
    parts = []
    if change.new:
        parts.append(_told(change.new, "new field", change.new_paths))
    if change.gone:
        parts.append(_told(change.gone, "field", change.gone_paths, " gone"))
    if change.changed:
        parts.append(_told(change.changed, "field", change.changed_paths, " of another type"))
    return f"{change.domain}/{change.event_type}: {', '.join(parts)}"


def _told(count: int, noun: str, paths: list[str], what: str = "") -> str:
    more = ["…"] if count > _TOLD_LIMIT else []
    named = ", ".join([*(path.removeprefix("$.") for path in paths[:_TOLD_LIMIT]), *more])
    return f"{counted(count, noun)}{what} ({named})"


def _change(before: Type, now: Type) -> TypeChange:
    old = {field.steps: field for field in nodes.fields(before.root)}
    own = {field.steps: field for field in nodes.fields(now.root)}
    # Where paths were left out, one that is not there may have been there all the same.
    new = [
        field
        for steps, field in own.items()
        # Of a new object only the object itself.
        if steps not in old and steps[:-1] in old and not old[steps[:-1]].node.more
    ]
    gone = [
        field
        for steps, field in old.items()
        if steps not in own and steps[:-1] in own and _is_gone(field, own[steps[:-1]], before)
    ]
    changed = [
        _change_of_kind(old[steps], field)
        for steps, field in own.items()
        if steps in old and _kinds(field) - _kinds(old[steps])
    ]
    return TypeChange(
        *now.name,
        new=len(new),
        gone=len(gone),
        changed=len(changed),
        new_paths=[field.path for field in new[:NAMED_LIMIT]],
        gone_paths=[field.path for field in gone[:NAMED_LIMIT]],
        changed_paths=changed[:NAMED_LIMIT],
    )


def _is_gone(field: Field, parent: Field, before: Type) -> bool:
    """Tells whether a field that is missing in a sample was there until now, and often enough."""
    if parent.node.more or field.node.last_run != before.root.last_run or not field.parents:
        return False
    around = parent.node.kinds.get("array" if field.steps[-1] is None else "object", 0)
    return field.node.count * around >= _EXPECTED * field.parents


def _kinds(field: Field) -> set[str]:
    """Returns the JSON types of a field's values; `null` and a larger number are no change."""
    return {kind.removeprefix("big-") for kind in field.node.kinds} - {"null"}


def _change_of_kind(old: Field, field: Field) -> str:
    new = " and ".join(sorted(_kinds(field) - _kinds(old)))
    known = " and ".join(sorted(_kinds(old))) or "null"
    return f"{field.path}: {new} beside {known}"
