"""A catalogue as it is shown: a list of fields for each type; what ``--json`` prints."""

import msgspec

from pipeline.catalogue import nodes
from pipeline.catalogue.nodes import Catalogue, Field, Type
from pipeline.catalogue.schema import example_values


class Seen(msgspec.Struct, frozen=True):
    """When something was seen.

    Attributes:
        first: The earliest event that has it, by its timestamp.
        last: The latest event.
        first_run: The first run that has met it in its sample; None if that is not known.
        last_run: The last run.
    """

    first: str
    last: str
    first_run: str | None
    last_run: str | None


class ShownField(msgspec.Struct, frozen=True):
    """A field of `data`.

    Attributes:
        path: JSONPath; ``$`` is `data` itself.
        types: How many values there are of each JSON type; ``big-integer`` does not fit 64 bits.
        presence: The share of the objects around it that have it; of elements of an array, how many
            an array has on average.
        values: The least and greatest numbers, and some texts; None if values are not shown.
        all_values: Whether these are all different texts.
        seen: When it was seen.
        more: Whether it has members or elements that are not listed.
    """

    path: str
    types: dict[str, int]
    presence: float
    values: list[int | float | str] | None
    all_values: bool
    seen: Seen
    more: bool


class ShownType(msgspec.Struct, frozen=True):
    """The fields of a type.

    Attributes:
        domain: The domain.
        event_type: The event_type.
        events: How many events were looked at.
        unreadable: How many of them have no JSON in `data`.
        fields: The fields; the first one is `data` itself.
    """

    domain: str
    event_type: str
    events: int
    unreadable: int
    fields: list[ShownField]


def shown(catalogue: Catalogue, *, examples: bool) -> list[ShownType]:
    """Returns the fields of all types.

    Args:
        catalogue: What is known.
        examples: Whether values of the data are shown.
    """
    return [_type(entry, examples) for entry in catalogue.types]


def _type(entry: Type, examples: bool) -> ShownType:
    fields = [_field(field, examples) for field in nodes.fields(entry.root) if field.node.kinds]
    return ShownType(entry.domain, entry.event_type, entry.payloads, entry.unreadable, fields)


def _share(count: int, total: int) -> float:
    """Returns a share with six digits; 1 only for all of them."""
    if count == total:
        return 1.0 if total else 0.0
    return min(round(count / total, 6), 0.999999) if total else 0.0


def _field(field: Field, examples: bool) -> ShownField:
    node = field.node
    return ShownField(
        path=field.path,
        types={kind: node.kinds[kind] for kind in nodes.KINDS if kind in node.kinds},
        presence=_share(node.count, field.parents),
        values=example_values(node) if examples else None,
        all_values=bool(node.examples) and not node.more_examples,
        seen=Seen(
            nodes.instant(node.first),
            nodes.instant(node.last),
            node.first_run or None,
            node.last_run or None,
        ),
        more=node.more,
    )
