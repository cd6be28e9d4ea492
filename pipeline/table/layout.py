"""Layout: what a table keeps of how it was made, so that no later run differs by mistake.

It is kept in the schema of the Delta log, as metadata of the columns: a commit can change a schema
together with its files, and nothing else of what Delta knows (deltalake 1.6 takes no properties of
ours when it makes a table, and changes them in commits of their own only).
"""

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
from deltalake import Field, Schema

from pipeline.input.fields import OWN_NAMES, FieldMap, Path, parsed, shown, shown_path
from pipeline.keys.partitions import PARTITION_SCHEMA
from pipeline.table.datafiles import FILE_SCHEMA, TableError

# The metadata of a column: where in the input its values come from, as `fields` writes a path.
_FROM = "eventsift.field"

# How a person writes that the fields have the names of the contract.
OWN_TEXT = "event_id=event_id"


class Layout(NamedTuple):
    """What a table keeps of how it was made.

    Attributes:
        fields: Where the fields of an event are in the input.
    """

    fields: FieldMap = OWN_NAMES


class OtherLayoutError(TableError):
    """A run asks for another layout than the table has."""


def schema(layout: Layout) -> pa.Schema:
    """Returns the columns of a table, with what is kept."""
    paths = layout.fields._asdict()
    return pa.schema(
        _from(field, paths.get(field.name)) for field in (*FILE_SCHEMA, *PARTITION_SCHEMA)
    )


def _from(field: pa.Field, path: Path | None) -> pa.Field:
    if path is None or path == (field.name,):
        return field
    return field.with_metadata({_FROM: shown_path(path)})


def of(fields: Iterable[Field]) -> Layout:
    """Returns what is kept in the columns of a table.

    Raises:
        ValueError: It cannot be understood.
    """
    found = {field.name: field.metadata[_FROM] for field in fields if _FROM in field.metadata}
    return Layout(parsed(",".join(f"{name}={path}" for name, path in found.items())))


def same_columns(found: Schema) -> bool:
    """Tells whether a table has our columns, and no others."""
    ours = Schema.from_arrow(schema(Layout()))
    return _columns(found) == _columns(ours)


def _columns(found: Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in found.fields]


def decided(root: str, kept: Layout, fields: FieldMap | None, *, may_change: bool) -> Layout:
    """Returns the layout by which a run reads and writes.

    Args:
        root: The table.
        kept: What it keeps.
        fields: What the run asks for; None for what is kept.
        may_change: Whether there is no table yet, or the run makes it again.

    Raises:
        OtherLayoutError: The run asks for something else than what is kept.
    """
    if fields is None or fields == kept.fields:
        return kept
    if may_change:
        return kept._replace(fields=fields)
    was = f"with --fields {shown(kept.fields)}" if kept.fields != OWN_NAMES else "without --fields"
    raise OtherLayoutError(
        f"{root} was made {was}, this run has --fields {shown(fields) or OWN_TEXT}:"
        " leave it out to read as before, or make the table again from other files with --rebuild"
    )
