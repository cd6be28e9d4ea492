"""Files that lie hidden are read by all Delta readers, and by later versions of eventsift."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from pipeline import storage
from pipeline.table import delta
from pipeline.table.datafiles import DataFile
from tests.end_to_end import event, write_events
from tests.helpers import Event, new_run, record, run_job, write_live
from tests.whole.test_readme_examples import AWKWARD, HIVE_NULL, Rows, rows_of


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
