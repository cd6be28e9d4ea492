"""The documented example of each reader, run on values that readers like to misread."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.commands import run_here
from tests.deliveries import AWKWARD, HIVE_NULL, Event, deliver
from tests.project.test_readme import DOCS, README, blocks
from tests.tables import data_files

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


def events_of(values: Sequence[str]) -> list[Event]:
    """Events with each value as a domain and as a type, on several days."""
    pairs = [pair for n, value in enumerate(values) for pair in ((value, values[-n]), (value, "x"))]
    return [
        Event(f"{n:03}", f"2021-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z", n,
              domain=domain, event_type=event_type)
        for n, (domain, event_type) in enumerate(pairs)
    ]  # fmt: skip


def expected(events: Sequence[Event]) -> Rows:
    """The rows that must come back: `COLUMNS`, sorted."""
    rows = [event.row()._asdict() for event in events]
    return sorted((tuple(row[name] for name in COLUMNS) for row in rows), key=repr)


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
    run_here(deliver(folder / "in.jsonl", events), folder / "table")
    assert {path.name for path in folder.iterdir()} == {"in.jsonl", "table"}
    return folder, expected(events)


@pytest.fixture(scope="module")
def with_history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A table whose live files lie hidden, and have second names in the partitions."""
    folder = tmp_path_factory.mktemp("history")
    events = events_of(AWKWARD)
    first = deliver(folder / "1.jsonl", events[::2])
    second = deliver(folder / "2.jsonl", events)
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
def test_the_readmes_example_gives_exactly_the_rows(
    awkward: tuple[Path, Rows], reader: str
) -> None:
    """No value becomes a number, a date, null, or another value; no row is missing."""
    folder, rows = awkward
    assert run_example(reader, folder) == rows


@pytest.mark.parametrize("reader", EXAMPLES)
def test_examples_read_a_table_with_history(with_history: tuple[Path, Rows], reader: str) -> None:
    """Each row once, though a live file has two names there."""
    folder, rows = with_history
    assert run_example(reader, folder) == rows


def test_fastparquet_reads_the_files(awkward: tuple[Path, Rows]) -> None:
    """One by one, as the page says: their encodings are plain."""
    fastparquet = pytest.importorskip("fastparquet")
    folder, rows = awkward
    ids = [
        event_id
        for path in data_files(folder / "table")
        for event_id in fastparquet.ParquetFile(str(path)).to_pandas()["event_id"]
    ]
    assert sorted(ids) == sorted(row[0] for row in rows)


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
