"""A catalogue as people read it."""

from collections.abc import Iterator, Sequence

import msgspec

from pipeline.amounts import counted
from pipeline.catalogue import nodes
from pipeline.command.console import one_line
from pipeline.describe.fields import ShownField, ShownType
from pipeline.describe.known import Known

_PATH_COLUMNS, _VALUE_COLUMNS = 40, 24
_VALUES = 4


def text(found: Known, types: Sequence[ShownType]) -> str:
    """Returns the catalogue of a table as text.

    Args:
        found: What is known.
        types: The types to show.
    """
    events = counted(found.catalogue.payloads, "event")
    if found.is_whole:
        lines = [f"All {events} of version {found.snapshot.version:,}."]
    else:
        lines = [f"From a sample of what was delivered: {events}. --full looks at every row."]
    for one in types:
        lines += ["", *_type(one)]
    if found.unseen:
        names = ", ".join(one_line(f"{domain}/{event_type}") for domain, event_type in found.unseen)
        lines += ["", f"Not in the sample, which --full is: {names}."]
    if found.catalogue.more_types:
        lines += ["", f"There are more than {nodes.TYPES_LIMIT:,} types; the rest is left out."]
    return "\n".join(lines)


def _type(one: ShownType) -> Iterator[str]:
    root = one.fields[0] if one.fields else None
    days = f", {_days(root)}" if root else ""
    yield f"{one_line(f'{one.domain}/{one.event_type}')}: {counted(one.events, 'event')}{days}"
    if one.unreadable:
        yield f"  {counted(one.unreadable, 'event')} with no JSON in data"
    if root is None:
        return
    # `data` itself is of interest only if it is anything but an object.
    fields = one.fields[1:] if set(root.types) == {"object"} else one.fields
    names = [one_line(_name(field)) for field in fields]
    kinds = [", ".join(field.types) for field in fields]
    name_columns = min(_PATH_COLUMNS, max(map(len, names), default=0))
    kind_columns = max(map(len, kinds), default=0)
    for name, kind, field in zip(names, kinds, fields, strict=True):
        line = f"  {name:<{name_columns}}  {kind:<{kind_columns}}  {_presence(field):>7}"
        about = [_values(field), _period(field, root)]
        yield "  ".join([line, *filter(None, about)]).rstrip()
    if any(field.more for field in one.fields):
        yield f"  … and more: {_more(one)}"


def _name(field: ShownField) -> str:
    return field.path.removeprefix("$.") if field.path != "$" else "data"


def _presence(field: ShownField) -> str:
    if field.path.endswith(nodes.ELEMENTS):
        return f"{field.presence:.1f} each"
    if field.presence == 1:
        return "always"
    share = 100 * field.presence
    return "< 0.1 %" if share < 0.1 else "> 99 %" if share > 99 else f"{share:.1f} %"


def _values(field: ShownField) -> str:
    """Returns the range of numbers, or some texts."""
    if not field.values:
        return ""
    numbers = [value for value in field.values if not isinstance(value, str)]
    texts = [value for value in field.values if isinstance(value, str)]
    parts = []
    if numbers:
        least, most = min(numbers), max(numbers)
        parts.append(str(least) if least == most else f"{least} to {most}")
    parts += [one_line(_cut(msgspec.json.encode(value).decode())) for value in texts[:_VALUES]]
    more = len(texts) > _VALUES or (texts and not field.all_values)
    return ", ".join([*parts, *(["…"] if more else [])])


def _cut(value: str) -> str:
    return value if len(value) <= _VALUE_COLUMNS else f'{value[: _VALUE_COLUMNS - 2]}…"'


def _period(field: ShownField, root: ShownField) -> str:
    """Returns since when and until when a field was seen, where that is not said of its type."""
    parts = []
    if field.seen.first[:10] != root.seen.first[:10]:
        parts.append(f"since {field.seen.first[:10]}")
    if field.seen.last[:10] != root.seen.last[:10]:
        parts.append(f"until {field.seen.last[:10]}")
    if field.seen.first_run and field.seen.first_run != root.seen.first_run:
        parts.append(f"first in run {field.seen.first_run}")
    if field.seen.last_run and field.seen.last_run != root.seen.last_run:
        parts.append(f"last in run {field.seen.last_run}")
    return f"({', '.join(parts)})" if parts else ""


def _days(field: ShownField) -> str:
    first, last = field.seen.first[:10], field.seen.last[:10]
    return first if first == last else f"{first} to {last}"


def _more(one: ShownType) -> str:
    if len(one.fields) >= nodes.PATHS_LIMIT:
        return f"of a type the first {nodes.PATHS_LIMIT:,} paths are kept"
    return "what lies very deep, or has a very long name, is not kept"
