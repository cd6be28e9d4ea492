import pyarrow as pa
import pytest
from apache_beam import coders
from apache_beam.typehints import native_type_compatibility

from pipeline.coder import ArrowCoder
from pipeline.dofns import Keyed
from pipeline.staging import VERSION_SCHEMA

TABLE = pa.table({"id": ["a", None, "ü"], "n": [1, 2, None]})


def shipped(table: pa.Table) -> pa.Table:
    """What arrives."""
    coder = ArrowCoder()
    return coder.decode(coder.encode(table))


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(TABLE, id="nulls"),
        pytest.param(VERSION_SCHEMA.empty_table(), id="no rows"),
        pytest.param(TABLE.slice(1, 1), id="a slice"),
        pytest.param(pa.concat_tables([TABLE, TABLE]), id="chunks"),
        pytest.param(TABLE.replace_schema_metadata({"versions": "3"}), id="metadata"),
    ],
)
def test_what_is_sent_arrives(table: pa.Table) -> None:
    """Rows, types and the metadata, in which counts travel, come out as they went in."""
    assert shipped(table).equals(table, check_metadata=True)


def test_a_slice_travels_without_the_table_it_was_cut_from() -> None:
    """Pickled, a slice would bring along its whole parent."""
    large = pa.table({"n": range(100_000)})
    assert len(ArrowCoder().encode(large.slice(5, 10))) < 1000


def test_beam_finds_it_by_type() -> None:
    """DoFns that say they give tables need not name the coder."""
    assert isinstance(coders.registry.get_coder(pa.Table), ArrowCoder)
    keyed = coders.registry.get_coder(native_type_compatibility.convert_to_beam_type(Keyed))
    assert isinstance(keyed.value_coder(), ArrowCoder)
    _, arrived = keyed.decode(keyed.encode((7, TABLE)))
    assert arrived.equals(TABLE)


def test_tables_are_no_keys() -> None:
    """Equal tables may have different bytes, so Beam must not group by them."""
    assert not ArrowCoder().is_deterministic()
