"""What is in `data`: the fields of each type, and what the last run has found to be different."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.bookkeeping.summary import RunSummary
from pipeline.catalogue import nodes
from pipeline.catalogue.changes import told
from pipeline.catalogue.nodes import Catalogue, Type
from pipeline.page import words

# More would make the page slow to open; `catalogue` has them all.
_FIELDS_LIMIT = 1_000
_CHANGES_LIMIT = 20


class FieldRow(NamedTuple):
    """A field of a type.

    Attributes:
        type: The type.
        path: Where in `data` it is.
        kinds: The JSON types of its values.
        presence: The share of the objects around it that have it.
        first: The day of the first event that has it.
        last: The day of the last one.
    """

    type: str
    path: str
    kinds: str
    presence: str
    first: str
    last: str


class Contents(NamedTuple):
    """What is in `data`.

    Attributes:
        payloads: How many events were looked at.
        types: How many types they are of.
        changes: What the last run has found to be different, in a sentence for each type.
        fields: The fields, type by type.
        more: How many fields there are besides.
    """

    payloads: int
    types: int
    changes: Sequence[str]
    fields: Sequence[FieldRow]
    more: int


def contents(catalogue: Catalogue, last: RunSummary | None) -> Contents | None:
    """Returns what is in `data`; None if nothing is known.

    Args:
        catalogue: What runs have seen.
        last: The last run that has read something.
    """
    if not catalogue.types:
        return None
    changes = [words.visible(told(one)) for one in last.fields] if last else []
    if len(changes) > _CHANGES_LIMIT:
        changes[_CHANGES_LIMIT:] = [f"and {len(changes) - _CHANGES_LIMIT:,} more types"]
    rows = list(itertools.chain.from_iterable(map(_rows, catalogue.types)))
    return Contents(
        catalogue.payloads,
        len(catalogue.types),
        changes,
        rows[:_FIELDS_LIMIT],
        max(0, len(rows) - _FIELDS_LIMIT),
    )


def _rows(entry: Type) -> list[FieldRow]:
    domain, event_type = (words.visible(value, words.NAME_LIMIT) for value in entry.name)
    return [
        FieldRow(
            f"{domain} / {event_type}",
            words.visible(field.path.removeprefix("$."), words.NAME_LIMIT),
            words.listed([kind for kind in nodes.KINDS if kind in field.node.kinds]),
            words.share(min(field.node.count, field.parents), field.parents),
            *(nodes.day(micros) for micros in (field.node.first, field.node.last)),
        )
        for field in nodes.fields(entry.root)
        if field.steps
    ]
