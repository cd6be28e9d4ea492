"""SQL: a view for each type, with a typed column for each field of `data`."""

import re
from collections.abc import Iterator

from pipeline import storage
from pipeline.catalogue.nodes import Catalogue, Type
from pipeline.describe.columns import ENVELOPE, PARTITION, columns
from pipeline.describe.dialects import DIALECTS, Dialect
from pipeline.keys.partitions import directory, encode
from pipeline.table.datafiles import NEW_FOLDER, is_ours
from pipeline.table.delta import Snapshot

# What DuckDB takes for a pattern; other characters of that kind no table has in its name.
_GLOB = re.compile(r"[*?]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What DuckDB takes the values of the partitions in the paths for.
_HIVE_TYPES = (
    "{'domain': VARCHAR, 'event_type': VARCHAR, 'year': INTEGER, 'month': INTEGER, 'day': INTEGER}"
)


def views(
    root: str,
    snapshot: Snapshot,
    catalogue: Catalogue,
    dialect_name: str,
    schema: str = "",
    table: str = "",
) -> Iterator[str]:
    """Yields the statements that make the views, each without a semicolon at its end.

    Every view returns every row of its type. A value that cannot be cast to the type of its column
    is NULL there; `data` stands beside it.

    Args:
        root: The table.
        snapshot: Its newest version.
        catalogue: What is in `data`.
        dialect_name: One of `DIALECTS`.
        schema: Where the views are made; "" for where the engine is.
        table: What the engine calls the table; "" for its files (DuckDB and Spark), or "events".
    """
    dialect = DIALECTS[dialect_name]
    if schema and dialect.name == "duckdb":
        yield f"CREATE SCHEMA IF NOT EXISTS {dialect.quoted(schema)}"
    types = {entry.name: entry for entry in catalogue.types}
    taken: set[str] = set()
    for name in sorted({file.destination[:2] for file in snapshot.files}):
        entry = types.get(name) or Type(*name)
        view = dialect.quoted(*filter(None, [schema]), _view_name(entry, dialect, taken))
        source = _source(root, snapshot, entry, dialect, schema, table)
        yield "\n".join([f"CREATE OR REPLACE VIEW {view} AS", *_select(entry, dialect), source])


def _view_name(entry: Type, dialect: Dialect, taken: set[str]) -> str:
    """Returns what a view is called, which no other view is, whatever the case of letters."""
    name = _CONTROL.sub("_", f"{entry.domain}.{entry.event_type}")
    if not dialect.dotted:
        name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "type"
        name = f"_{name}" if name[0].isdigit() else name
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found.lower())
    return found


def _select(entry: Type, dialect: Dialect) -> Iterator[str]:
    """Yields the lines of the columns."""
    first = [dialect.quoted(name) for name in ENVELOPE[:3]]
    own, left_out = [], []
    for name, steps, kind in columns(entry):
        value = dialect.value(steps, kind)
        if value is None:
            left_out.append(name)
        else:
            own.append(f"{value} AS {dialect.quoted(name)}")
    last = [dialect.quoted(name) for name in (*ENVELOPE[3:], *PARTITION)]
    if left_out:
        yield f"-- only in data, for {dialect.name} has no path to them: {', '.join(left_out)}"
    yield "SELECT"
    yield ",\n".join(f"  {column}" for column in [*first, *own, *last])


def _source(
    root: str, snapshot: Snapshot, entry: Type, dialect: Dialect, schema: str, table: str
) -> str:
    """Returns where the rows come from, and which of them."""
    own = [file for file in snapshot.files if file.destination[:2] == entry.name]
    if dialect.name == "duckdb" and not table:
        # Files of ours that lie in NEW_FOLDER have second names in the partitions.
        settled = all(
            file.path.startswith((f"{directory(file.destination)}/", f"{NEW_FOLDER}/"))
            for file in own
        )
        if settled:
            folders = f"domain={encode(entry.domain)}/event_type={encode(entry.event_type)}"
            pattern = storage.join(_GLOB.sub(r"[\g<0>]", root), folders, "*/*/*/*.parquet")
            # Other Delta tools may leave out columns.
            ours = all(is_ours(file.path.rpartition("/")[2]) for file in own)
            more = "" if ours else ", union_by_name = true"
            at = dialect.literal(pattern)
            return (
                f"FROM read_parquet({at}, hive_partitioning = true,\n"
                f"  hive_types = {_HIVE_TYPES}{more})"
            )
        table_name = f"delta_scan({dialect.literal(root)})"
    elif table:
        table_name = dialect.quoted(*table.split("."))
    elif dialect.name == "spark":
        table_name = f"delta.{dialect.quoted(root)}"
    else:
        table_name = dialect.quoted(*filter(None, [schema]), "events")
    domain, event_type = map(dialect.literal, entry.name)
    names = [dialect.quoted(name) for name in PARTITION[:2]]
    return f"FROM {table_name}\nWHERE {names[0]} = {domain} AND {names[1]} = {event_type}"
