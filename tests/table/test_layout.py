"""What a table keeps of how it was made."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema
from hypothesis import given
from hypothesis import strategies as st

from pipeline.input.fields import OWN_NAMES, FieldMap, parsed
from pipeline.table import commits, delta, layout
from pipeline.table.address import Table
from pipeline.table.datafiles import TableError
from pipeline.table.layout import Asked, Layout, OtherLayoutError
from tests.table.tables import delta_rows, publish, write_file

MAP = parsed(r"event_id=id,data=pay\.load.body")
NAMES = st.text('ab.,\\"é ', min_size=1, max_size=3)


@given(st.builds(FieldMap, *[NAMES.map(lambda name: (name,))] * 5), st.booleans())
def test_what_is_kept_comes_back(fields: FieldMap, provenance: bool) -> None:
    """From the columns of the table, whatever the names."""
    kept = Layout(fields, provenance)
    columns = Schema.from_arrow(layout.schema(kept))
    assert layout.of(columns.fields) == kept
    assert layout.same_columns(columns)


def test_other_columns_are_not_ours() -> None:
    """One of the two of provenance, or another type."""
    columns = layout.schema(Layout(provenance=True))
    at = columns.get_field_index("run")
    assert not layout.same_columns(Schema.from_arrow(columns.remove(at)))
    other = columns.set(at, columns.field(at).with_type(pa.int64()))
    assert not layout.same_columns(Schema.from_arrow(other))


def test_what_is_asked_for() -> None:
    """Nothing asked is what is kept; anything else only where it may change."""
    kept = Layout(MAP)
    assert layout.decided("/t", kept, Asked(), may_change=False) == kept
    assert layout.decided("/t", kept, Asked(MAP, False), may_change=False) == kept
    assert layout.decided("/t", kept, Asked(OWN_NAMES), may_change=True) == Layout()
    assert layout.decided("/t", kept, Asked(None, True), may_change=True) == Layout(MAP, True)
    for asked in (Asked(OWN_NAMES), Asked(None, True), Asked(OWN_NAMES, True)):
        with pytest.raises(OtherLayoutError, match=r"^/t was made with"):
            layout.decided("/t", kept, asked, may_change=False)


def test_a_rebuild_changes_it_in_the_same_commit(tmp_path: Path) -> None:
    """And the table stays the same table; a commit that says nothing keeps it."""
    root = str(tmp_path / "table")
    publish(root, "r1", {"a": 1})
    before = delta.load(Table(root))
    assert before.layout == Layout()
    add = [write_file(root, "r2", "0", {"b": 2})]
    commits.commit(
        Table(root), before.version, "r2", add, before.files, rebuild=True, layout=Layout(MAP)
    )
    rebuilt = delta.load(Table(root))
    assert rebuilt.layout == Layout(MAP)
    assert rebuilt.version == before.version + 1
    assert rebuilt.lineage.identity == before.lineage.identity
    assert rebuilt.lineage.rebuilt == rebuilt.version
    assert [one[0] for one in delta_rows(root)] == ["b"]

    publish(root, "r3", {"c": 3})
    assert delta.load(Table(root)).layout == Layout(MAP)


def test_what_cannot_be_understood(tmp_path: Path) -> None:
    """The error names the table and the way out."""
    root = tmp_path / "table"
    columns = layout.schema(Layout())
    at = columns.get_field_index("data")
    damaged = columns.set(at, columns.field(at).with_metadata({"eventsift.field": "a..b"}))
    DeltaTable.create(
        str(root), Schema.from_arrow(damaged), partition_by=list(delta.PARTITION_COLUMNS)
    )
    with pytest.raises(TableError, match=r"table: the metadata of its columns .*--rebuild"):
        delta.load(Table(str(root)))
