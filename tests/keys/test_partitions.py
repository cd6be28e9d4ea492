import datetime
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.keys.partitions import (
    PARTITION_COLUMNS,
    PARTITION_SCHEMA,
    Destination,
    check,
    decode,
    directory,
    encode,
    group,
    partition_values,
)

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"

# What producers have been seen or are feared to send. `é` stands there composed and decomposed.
HOSTILE = [
    *("account", "status-change", "a b", " ", " a", "a ", "a", "A", "ß", "ss", "SS", "ı", "i"),
    *("a/b", "/", "a\\b", "..", ".", "a.", "a..", ".a", "../..", "a=b", "=", "domain=a", "a:b"),
    *("caf\u00e9", "cafe\u0301", "\ufb01", "fi", "K", "\u212a", "日本", "😀", "\u200b", "\ufeff"),
    *("\0", "a\0b", "a\nb", "\r\n", "\t", "\x7f", "\x85", "*", "a*", "?", "[a]", "{a,b}", "{{"),
    *("%", "%%", "%2F", "%2f", "%252F", "%zz", "+", "a+b", "&", "#", "'", '"', "<>|", "~", "$x"),
    *("null", "NULL", "Null", "none", "None", "nan", "NaN", "inf", "true", "False"),
    *("7", "007", "-1", "1.5", "1e3", "2021-01-08", "10:00:00", "18446744073709551616"),
    *("_", "__", "_a", "__a", "_delta_log", HIVE_NULL, HIVE_NULL.lower(), f"_{HIVE_NULL}"),
    *("con", "nul", "part-0.parquet", ".hidden", "x" * 244, "é" * 40),
]
VALUES = st.one_of(
    st.sampled_from([*HOSTILE, "", "x" * 10_000]),
    st.text(),
    st.text("aAbB%_./2fF=\u00e9\u0301"),
)
# What turns a value into a near twin of it.
TWINS: list[Callable[[str], str]] = [
    str.lower,
    str.upper,
    str.casefold,
    str.strip,
    lambda value: unicodedata.normalize("NFC", value),
    lambda value: unicodedata.normalize("NFD", value),
    lambda value: unicodedata.normalize("NFKC", value),
    lambda value: value.rstrip(". "),
    lambda value: f"{value}.",
    lambda value: encode(value),
    lambda value: decode(encode(value).lower()),
]
# What a file system does to a name before it compares it with another.
FOLDS: list[Callable[[str], str]] = [
    str,
    str.casefold,
    str.upper,
    lambda name: unicodedata.normalize("NFC", name).casefold(),
    lambda name: unicodedata.normalize("NFD", name).casefold(),
    lambda name: name.rstrip(". ").casefold(),
]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("status-change", "status-change"),
        ("v1.2_x", "v1.2_x"),
        ("Status Change", "%53tatus%20%43hange"),
        ("a/b=c", "a%2Fb%3Dc"),
        ("é", "%C3%A9"),
        ("%2F", "%252%46"),
        ("..", ".%2E"),
        ("null", "%6Eull"),
        ("__a", "%5F_a"),
        ("_a", "_a"),
        ("", ""),
    ],
)
def test_encoding_written_out(value, name):
    """Names are part of the table's format: a new version must find what an old one wrote."""
    assert encode(value) == name
    assert decode(name) == value


@given(VALUES)
def test_decoding_gives_the_value_back(value):
    """Whatever a producer sends, the name of its directory tells it exactly."""
    assert decode(encode(value)) == value


@given(VALUES)
def test_names_are_harmless(value):
    """No value can leave its directory, look like a pattern, or need quoting anywhere."""
    name = encode(value)

    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.%")
    assert not name.endswith(".")
    parts = directory(Destination(value, value, 2021, 1, 8)).split("/")
    assert [part.partition("=")[0] for part in parts] == list(PARTITION_COLUMNS)
    assert ".." not in parts


@given(VALUES, VALUES, st.sampled_from(TWINS))
def test_different_values_never_share_a_directory(value, other, twin):
    """Also where the file system ignores case, normalises Unicode or drops dots and spaces."""
    for second in (other, twin(value)):
        for fold in FOLDS:
            same = fold(encode(value)) == fold(encode(second))
            assert same == (value == second), (value, second)


def test_decode_refuses_names_that_encode_has_not_made():
    """A foreign directory is noticed instead of read as some similar value."""
    with pytest.raises(UnicodeDecodeError):
        decode("%FF")


def test_directory_is_padded_and_partition_values_are_not():
    """The directory sorts as text; the Delta log holds plain values, encoded by nobody."""
    destination = Destination("Shop/EU", "sale", 812, 1, 8)

    assert (
        directory(destination) == "domain=%53hop%2F%45%55/event_type=sale/year=0812/month=01/day=08"
    )
    assert partition_values(destination) == {
        "domain": "Shop/EU",
        "event_type": "sale",
        "year": "812",
        "month": "1",
        "day": "8",
    }
    assert tuple(PARTITION_SCHEMA.names) == PARTITION_COLUMNS == Destination._fields


@pytest.mark.parametrize(("name", "limit"), [("domain", 248), ("event_type", 244)])
def test_the_longest_name_is_the_longest_that_the_file_system_takes(tmp_path, name, limit):
    """Too long values are refused when they are read, not when their file cannot be written."""
    assert check(name, "x" * limit) is None
    (tmp_path / f"{name}={encode('x' * limit)}").mkdir()

    assert check(name, "x" * (limit + 1)) is not None
    with pytest.raises(OSError, match="too long"):
        (tmp_path / f"{name}={encode('x' * (limit + 1))}").mkdir()


def test_too_long_values_are_explained():
    """The dead letter shows the value and the sum, so that its producer can shorten it."""
    sentence = check("event_type", "Ä" * 100)

    assert sentence is not None
    assert sentence.startswith("event_type 'ÄÄÄÄ")
    assert "600 bytes" in sentence
    assert "the limit is 244" in sentence
    assert "ÄÄ" * 30 not in sentence


def destinations() -> list[Destination]:
    """Every hostile value once as a domain and once as an event type, on various days."""
    partners = [*HOSTILE[7:], *HOSTILE[:7]]
    return [
        Destination(domain, event_type, 1 + 357 * i % 9999, 1 + i % 12, 1 + i % 28)
        for i, (domain, event_type) in enumerate(zip(HOSTILE, partners, strict=True))
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """A Delta table with one row in each of the hostile destinations: its number."""
    root = tmp_path_factory.mktemp("table")
    adds = []
    for i, destination in enumerate(destinations()):
        path = f"{directory(destination)}/part-{i}.parquet"
        (root / path).parent.mkdir(parents=True)
        pq.write_table(pa.table({"event_id": [str(i)]}), root / path)
        adds.append(
            AddAction(
                path=path,
                size=(root / path).stat().st_size,
                partition_values=partition_values(destination),
                modification_time=0,
                data_change=True,
                stats=json.dumps({"numRecords": 1}),
            )
        )
    schema = Schema.from_arrow(pa.schema([("event_id", pa.string()), *PARTITION_SCHEMA]))
    columns = list(PARTITION_COLUMNS)
    create_table_with_add_actions(str(root), schema, adds[::2], partition_by=columns)
    DeltaTable(root).create_write_transaction(adds[1::2], "append", schema, columns)
    return root


def with_delta(root: Path) -> list[dict[str, Any]]:
    """Rows as Delta's own reader gives them."""
    return DeltaTable(root).to_pyarrow_table().to_pylist()


def with_delta_log(root: Path) -> list[dict[str, Any]]:
    """What the log says of each file; file part-<i> holds row i."""
    actions = pa.table(DeltaTable(root).get_add_actions()).to_pylist()
    return [
        {"event_id": Path(action["path"]).stem.removeprefix("part-"), **action["partition"]}
        for action in actions
    ]


def with_duckdb(root: Path) -> list[dict[str, Any]]:
    """DuckDB needs all types: it guesses a text for 01 and a number for 007."""
    types = "{domain: VARCHAR, event_type: VARCHAR, year: INT, month: INT, day: INT}"
    files = f"{root}/domain=*/**/*.parquet"
    query = f"FROM read_parquet('{files}', hive_partitioning = true, hive_types = {types})"
    return duckdb.connect().sql(query).to_arrow_table().to_pylist()


def with_pyarrow(root: Path) -> list[dict[str, Any]]:
    """Arrow's dataset, given the types."""
    hive = ds.partitioning(PARTITION_SCHEMA, flavor="hive")
    return ds.dataset(root, format="parquet", partitioning=hive).to_table().to_pylist()


def with_pyarrow_and_no_null(root: Path) -> list[dict[str, Any]]:
    """Arrow's dataset, with a word for null that is nobody's value."""
    hive = ds.HivePartitioning(PARTITION_SCHEMA, null_fallback="there are no nulls")
    return ds.dataset(root, format="parquet", partitioning=hive).to_table().to_pylist()


def with_pandas(root: Path) -> list[dict[str, Any]]:
    """Pandas, given the types."""
    hive = ds.partitioning(PARTITION_SCHEMA, flavor="hive")
    frame = pd.read_parquet(root, partitioning=hive)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def with_polars(root: Path) -> list[dict[str, Any]]:
    """Polars on the Parquet files, given the types."""
    types = [pl.String, pl.String, pl.Int32, pl.Int32, pl.Int32]
    hive = dict(zip(PARTITION_COLUMNS, types, strict=True))
    files = f"{root}/domain=*/**/*.parquet"
    return pl.scan_parquet(files, hive_partitioning=True, hive_schema=hive).collect().to_dicts()


def with_polars_delta(root: Path) -> list[dict[str, Any]]:
    """Polars on the Delta table; it takes the values from the paths here, too."""
    return pl.read_delta(str(root)).to_dicts()


@pytest.mark.parametrize(
    ("read", "read_as_null"),
    [
        (with_delta, []),
        (with_delta_log, []),
        (with_duckdb, []),
        # Arrow and Polars first decode a name and then compare it with Hive's word for null, so
        # no encoding can tell the value from it. Arrow can be given another word.
        (with_pyarrow, [HIVE_NULL]),
        (with_pyarrow_and_no_null, []),
        (with_pandas, [HIVE_NULL]),
        (with_polars, [HIVE_NULL]),
        (with_polars_delta, [HIVE_NULL]),
    ],
)
def test_real_readers_see_the_exact_values(table, read, read_as_null):
    """The table is plain Parquet: people find every value in it, whatever they read it with."""
    rows = {row["event_id"]: tuple(row[name] for name in PARTITION_COLUMNS) for row in read(table)}

    assert rows == {
        str(i): tuple(None if value in read_as_null else value for value in destination)
        for i, destination in enumerate(destinations())
    }


def instants(destination: Destination) -> st.SearchStrategy[int]:
    """Instants of one day, in microseconds."""
    midnight = datetime.date(*destination[2:]).toordinal() - 719_163
    return st.integers(0, 86_399_999_999).map(lambda micros: midnight * 86_400_000_000 + micros)


DATES = st.one_of(st.dates(), st.dates(datetime.date(1969, 12, 30), datetime.date(1970, 1, 2)))
NAMES = st.one_of(st.sampled_from(["a", "b", "B", "é"]), st.text(max_size=3))
EVENTS = st.lists(
    st.builds(
        lambda domain, event_type, date: Destination(domain, event_type, *date.timetuple()[:3]),
        *(NAMES, NAMES, DATES),
    ).flatmap(lambda destination: st.tuples(st.just(destination), instants(destination))),
    max_size=30,
)


@given(EVENTS, st.booleans(), st.booleans())
@example(
    [(Destination("a", "b", 1969, 12, 31), -1), (Destination("a", "b", 1970, 1, 1), 0)], True, False
)
def test_group_agrees_with_a_naive_grouping(events, domain_encoded, event_type_encoded):
    """Every event goes to its own destination, in an order that does not depend on the input's."""
    domain = pa.array([destination.domain for destination, _ in events], pa.string())
    event_type = pa.array([destination.event_type for destination, _ in events], pa.string())
    micros = np.array([micros for _, micros in events], np.int64)

    found, codes = group(
        domain.dictionary_encode() if domain_encoded else domain,
        event_type.dictionary_encode() if event_type_encoded else event_type,
        micros,
    )

    assert found == sorted({destination for destination, _ in events})
    assert [found[code] for code in codes] == [destination for destination, _ in events]
    assert codes.dtype == np.int32


def test_group_takes_slices_and_untidy_dictionaries():
    """Arrays cut from a block keep its dictionary, with values that do not occur or occur twice."""
    indices = pa.array([3, 0, 2, 1, 0], pa.int8())
    domain = pa.DictionaryArray.from_arrays(indices, pa.array(["b", "unused", "a", "b"])).slice(1)
    domain = domain.filter(pa.array([True, True, False, True]))
    event_type = pa.array(["-", "-", "x", "x", "x"]).slice(2)

    found, codes = group(domain, event_type, np.array([0, -1, 86_400_000_000]))

    assert found == [
        Destination("a", "x", 1969, 12, 31),
        Destination("b", "x", 1970, 1, 1),
        Destination("b", "x", 1970, 1, 2),
    ]
    assert codes.tolist() == [1, 0, 2]


def test_group_of_the_first_and_the_last_day():
    """The widest range of days there is: the numbers made of them must not overflow or wrap."""
    ends = np.array([-62_135_596_800_000_000, 253_402_300_799_999_999])

    found, codes = group(pa.array(["a", "a"]), pa.array(["x", "x"]), ends)

    assert found == [Destination("a", "x", 1, 1, 1), Destination("a", "x", 9999, 12, 31)]
    assert codes.tolist() == [0, 1]
