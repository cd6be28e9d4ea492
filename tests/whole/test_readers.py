"""The documented example for each reader, run on tables with values that readers like to misread."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from pipeline import storage
from pipeline.table import delta
from pipeline.table.datafiles import DataFile
from tests.end_to_end import event, run_here, write_events
from tests.helpers import Event, new_run, record, run_job, write_live
from tests.project.test_readme import DOCS, README, blocks

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
AWKWARD = [
    "007", "7", "0x7", "1e3", "true", "2021-01-08", "null", "NULL", "Null", "None", "none", "nan",
    "NaN", "NA", HIVE_NULL, "__x", "é", "e\u0301", "日本", "🦆", " ", "a b", "a=b", "100%", "a%2Fb",
    "a/b", "/", "\x00", "A", "a", ".", "..", "x.", "'", '"', "*",
]  # fmt: skip
TABLES = {
    "all": AWKWARD,
    "numbers": ["007", "7"],  # nothing that tells a reader which guesses types that these are texts
    "one number": ["01"],
    "dates": ["2021-01-08"],
    "nulls": [HIVE_NULL],
    "null": ["null"],
}
COLUMNS = ["event_id", "domain", "event_type", "year", "month", "day"]
Rows = list[tuple[Any, ...]]

# The examples in Python, each under the reader that its first line names.
EXAMPLES = {
    block.partition("\n")[0].removeprefix("# "): block
    for page in (README, DOCS["readers.md"])
    for block in blocks(page, "python")
}

MODULES = {"Spark": "pyspark"}  # others are in the tests' environment


def events_of(values: Sequence[str]) -> list[dict[str, Any]]:
    """Events with each value as a domain and as a type, on several days."""
    pairs = [pair for n, value in enumerate(values) for pair in ((value, values[-n]), (value, "x"))]
    return [
        event(f"{n:03}", f"2021-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z", n,
              domain=domain, event_type=event_type)
        for n, (domain, event_type) in enumerate(pairs)
    ]  # fmt: skip


def date_of(timestamp: str) -> list[int]:
    """Year, month and day."""
    return list(map(int, timestamp[:10].split("-")))


def expected(events: Sequence[dict[str, Any]]) -> Rows:
    """The rows that must come back: `COLUMNS`, sorted."""
    return sorted(
        (
            one["event_id"],
            one["domain"],
            one["event_type"],
            *map(int, one["timestamp"][:10].split("-")),
        )
        for one in events
    )


def rows_of(events: Any) -> Rows:
    """`COLUMNS` of whatever a reader returns, sorted."""
    if isinstance(events, pd.DataFrame):
        found = events[COLUMNS].itertuples(index=False, name=None)
    elif isinstance(events, pa.Table):
        found = zip(*(events[name].to_pylist() for name in COLUMNS), strict=True)
    elif isinstance(events, pl.DataFrame):
        found = iter(events.select(COLUMNS).rows())
    elif isinstance(events, duckdb.DuckDBPyRelation):
        found = iter(events.select(*COLUMNS).fetchall())
    else:  # Spark
        found = iter([tuple(row) for row in events.select(*COLUMNS).collect()])
    return sorted(found, key=repr)


@pytest.fixture(scope="module", params=TABLES)
def awkward(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Rows]:
    """The folder of a table (called ``table``, as in the examples) and the rows it must have."""
    folder = tmp_path_factory.mktemp("awkward")
    events = events_of(TABLES[request.param])
    delivery = write_events(folder / "in.jsonl", *events)
    run_here(delivery, folder / "table")
    return folder, expected(events)


@pytest.fixture(scope="module")
def with_history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A table whose live files lie hidden, and have second names in the partitions."""
    folder = tmp_path_factory.mktemp("history")
    events = events_of(AWKWARD)
    first = write_events(folder / "1.jsonl", *events[::2])
    second = write_events(folder / "2.jsonl", *events)
    for delivery in (first, second):
        run_here(delivery, folder / "table", "--keep-history", "1h")
    return folder, expected(events)


def run_example(reader: str, folder: Path) -> Rows:
    """What the documented example gives in a folder that has the table."""
    module = MODULES.get(reader, reader.lower())
    if not importlib.util.find_spec(module):
        pytest.skip(f"{module} is not installed")
    if reader == "Spark" and not shutil.which("java"):
        pytest.skip("Spark needs Java")
    scope: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Spark works where it was started; that is the first of these folders.
        example = EXAMPLES[reader].replace('.parquet("table")', f'.parquet("{folder}/table")')
        exec(compile(example, "docs/readers.md", "exec"), scope)
        return rows_of(scope["events"])


def test_there_is_an_example_for_each_reader() -> None:
    """No reader is without one, and no example without a test."""
    assert set(EXAMPLES) == {"pandas", "pyarrow", "DuckDB", "deltalake", "Polars", "Spark"}


@pytest.mark.parametrize("reader", EXAMPLES)
def test_the_example_gives_exactly_the_rows(
    awkward: tuple[Path, Rows], reader: str
) -> None:
    """No value becomes a number, a date, null, or another value; no row is missing."""
    folder, rows = awkward
    assert run_example(reader, folder) == sorted(rows, key=repr)


@pytest.mark.parametrize("reader", EXAMPLES)
def test_examples_read_a_table_with_history(with_history: tuple[Path, Rows], reader: str) -> None:
    """Each row once, though a live file has two names there."""
    folder, rows = with_history
    assert run_example(reader, folder) == sorted(rows, key=repr)


def test_fastparquet_reads_the_files(awkward: tuple[Path, Rows]) -> None:
    """One by one, as the page says: their encodings are plain."""
    fastparquet = pytest.importorskip("fastparquet")
    folder, rows = awkward
    ids = [
        event_id
        for path in sorted((folder / "table").glob("domain=*/**/*.parquet"))
        for event_id in fastparquet.ParquetFile(str(path)).to_pandas()["event_id"]
    ]
    assert sorted(ids) == [row[0] for row in rows]


def test_nothing_hidden_looks_like_data(with_history: tuple[Path, Rows]) -> None:
    """``table/**/*.parquet`` finds each data file once, also where it has a hidden name."""
    folder, rows = with_history
    found = [path.relative_to(folder / "table") for path in (folder / "table").rglob("*.parquet")]
    outside = [path for path in found if not path.parts[0].startswith("domain=")]
    assert {path.parts[0] for path in outside} <= {"_delta_log", "_eventsift"}
    assert not [path for path in outside if "new" in path.parts]
    data = [path for path in found if path not in outside]
    counted = sum(len(pd.read_parquet(folder / "table" / path, partitioning=None)) for path in data)
    assert counted == len(rows)


def by_polars(root: str) -> Any:
    """Its own reader of Delta, which takes values of partitions from the paths in the log."""
    return pl.scan_delta(root).collect()


def by_polars_filtered(root: str) -> Any:
    """The same, skipping files by their partition."""
    return (
        pl.scan_delta(root).filter(pl.col("domain").is_not_null() & (pl.col("year") > 0)).collect()
    )


def by_arrow(root: str) -> Any:
    """delta-rs, by pyarrow's datasets."""
    return DeltaTable(root).to_pyarrow_table()


def by_pandas(root: str) -> Any:
    """The same for pandas."""
    return DeltaTable(root).to_pandas()


def by_datafusion(root: str) -> Any:
    """The engine within delta-rs."""
    query = QueryBuilder().register("t", DeltaTable(root)).execute("SELECT * FROM t")
    return pa.table(query.read_all())


def by_duckdb(root: str) -> Any:
    """DuckDB on the files that the log names."""
    with duckdb.connect() as connection:
        connection.register("events", DeltaTable(root).to_pyarrow_dataset())
        return connection.sql("FROM events").to_arrow_table()


DELTA_READERS = [by_polars, by_polars_filtered, by_arrow, by_pandas, by_datafusion, by_duckdb]


@pytest.fixture(scope="module", params=[True, False], ids=["history", "no history"])
def between(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Rows]:
    """A table between its two commits: all of its files are live, and lie hidden."""
    folder = tmp_path_factory.mktemp("between")
    # Polars takes the name of Hive's null for null, wherever it lies.
    values = [value for value in AWKWARD if value != HIVE_NULL]
    events = [
        Event(f"{n:03}", "2021-01-08T10:00:00Z", domain=value, event_type=values[-n])
        for n, value in enumerate(values)
    ]
    files = [write_live(folder, [one], keeps_history=request.param) for one in events]
    delta.commit(f"{folder}/out", delta.Snapshot(-1, ()), "r0", files, [])
    return f"{folder}/out", [(e.id, e.domain, e.event_type, 2021, 1, 8) for e in events]


@pytest.mark.parametrize("reader", DELTA_READERS, ids=lambda reader: reader.__name__)
def test_delta_readers_read_hidden_files(
    between: tuple[str, Rows], reader: Callable[[str], Any]
) -> None:
    """From the first commit on, wherever files lie and whatever their names end in.

    Polars takes partition values from the path. So files that stay hidden lie in folders that say
    them; without history Polars has to wait for the second commit, some milliseconds later.
    """
    root, rows = between
    if "/domain=" not in DeltaTable(root).file_uris()[0] and reader in (
        by_polars,
        by_polars_filtered,
    ):
        pytest.skip("without history a file lies in its partition a moment later")
    assert rows_of(reader(root)) == sorted(rows, key=repr)


def earlier_name(root: str, file: DataFile) -> DataFile:
    """A hidden file as versions of eventsift up to November 2026 have called it."""
    name = file.path.rpartition("/")[2]
    old = file._replace(path=f"_eventsift/new/r0/{name}.parquet")
    storage.copy(storage.join(root, file.path), storage.join(root, old.path))
    storage.delete([storage.join(root, file.path)])
    return old


@pytest.fixture
def of_earlier_version(tmp_path: Path) -> Iterator[str]:
    """A table of an earlier version, with history."""
    root = f"{tmp_path}/out"
    files = [earlier_name(root, write_live(tmp_path, [Event(name, domain=name)])) for name in "ab"]
    delta.commit(root, delta.Snapshot(-1, ()), "r0", files, [])
    delta.settle(root, keep_seconds=3600.0)
    yield root


def test_hidden_files_of_earlier_versions_go_on(of_earlier_version: str, tmp_path: Path) -> None:
    """They are merged into, with and without history, and get one ending in their partition."""
    names = [path.name for path in Path(of_earlier_version).glob("domain=*/**/*.parquet")]
    assert len(names) == 2
    assert not [name for name in names if name.count(".parquet") != 1]
    write_events(tmp_path / "in" / "1", event("a", "2021-01-08T11:00:00Z", 2, domain="a"))
    for run_id, seconds in (("r1", 3600.0), ("r2", 0.0)):
        run = new_run(tmp_path, run_id, keep_seconds=seconds)
        run_job(run)
        assert record(run)["table"]["rows"] == 2
    visible = list(Path(of_earlier_version).glob("domain=*/**/*.parquet"))
    assert {path.name.count(".parquet") for path in visible} == {1}
    assert len(visible) == len(DeltaTable(of_earlier_version).file_uris()) == 2
    assert not list((Path(of_earlier_version) / "_eventsift" / "new").rglob("part-*"))
