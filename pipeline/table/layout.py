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
from pipeline.table.datafiles import PROVENANCE_SCHEMA, TableError, file_schema

# The metadata of a column: where in the input its values come from, as `fields` writes a path.
_FROM = "eventsift.field"

# How a person writes that the fields have the names of the contract.
OWN_TEXT = "event_id=event_id"


class Layout(NamedTuple):
    """What a table keeps of how it was made.

    Attributes:
        fields: Where the fields of an event are in the input.
        provenance: Whether each row says which file and run brought it.
    """

    fields: FieldMap = OWN_NAMES
    provenance: bool = False


class OtherLayoutError(TableError):
    """A run asks for another layout than the table has."""


def schema(layout: Layout) -> pa.Schema:
    """Returns the columns of a table, with what is kept."""
    paths = layout.fields._asdict()
    columns = (*file_schema(layout.provenance), *PARTITION_SCHEMA)
    return pa.schema(_from(field, paths.get(field.name)) for field in columns)


def _from(field: pa.Field, path: Path | None) -> pa.Field:
    if path is None or path == (field.name,):
        return field
    return field.with_metadata({_FROM: shown_path(path)})


def of(fields: Iterable[Field]) -> Layout:
    """Returns what is kept in the columns of a table.

    Raises:
        ValueError: It cannot be understood.
    """
    columns = {field.name: field.metadata.get(_FROM) for field in fields}
    mapped = [f"{name}={path}" for name, path in columns.items() if path is not None]
    return Layout(parsed(",".join(mapped)), PROVENANCE_SCHEMA.names[0] in columns)


def same_columns(found: Schema) -> bool:
    """Tells whether a table has our columns, in one of its two forms, and no others."""
    ours = (Schema.from_arrow(schema(Layout(provenance=either))) for either in (False, True))
    return any(_columns(found) == _columns(one) for one in ours)


def _columns(found: Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in found.fields]


class Asked(NamedTuple):
    """What a run asks for; None for what the table keeps."""

    fields: FieldMap | None = None
    provenance: bool | None = None


def decided(root: str, kept: Layout, asked: Asked, *, may_change: bool) -> Layout:
    """Returns the layout by which a run reads and writes.

    Args:
        root: The table.
        kept: What it keeps.
        asked: What the run asks for.
        may_change: Whether there is no table yet, or the run makes it again.

    Raises:
        OtherLayoutError: The run asks for something else than what is kept.
    """
    wanted = {name: value for name, value in asked._asdict().items() if value is not None}
    found = kept._replace(**wanted)
    if found == kept or may_change:
        return found
    if found.fields != kept.fields:
        was, now = _told(kept.fields), f"has --fields {shown(found.fields) or OWN_TEXT}"
    else:
        was = "with --provenance" if kept.provenance else "without --provenance"
        now = f"has --provenance{'' if found.provenance else ' false'}"
    raise OtherLayoutError(
        f"{root} was made {was}, this run {now}: leave it out to go on as before, or make the table"
        " again with --rebuild from all files"
    )


def _told(fields: FieldMap) -> str:
    return f"with --fields {shown(fields)}" if fields != OWN_NAMES else "without --fields"
