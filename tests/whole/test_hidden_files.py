"""Files that lie hidden are read by all Delta readers, and by later versions of eventsift."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipeline import storage
from pipeline.table import commits, settling
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile
from tests import deliveries, readers
from tests.by_hand import new_run, run_graph, write_live
from tests.deliveries import AWKWARD, HIVE_NULL, Event, deliver
from tests.oracle import Rows
from tests.readers import Reader
from tests.tables import data_files, rows_of


@pytest.fixture(scope="module", params=[True, False], ids=["history", "no history"])
def between(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Rows]:
    """A table between its two commits: all of its files are live, and lie hidden."""
    folder = tmp_path_factory.mktemp("between")
    # Polars takes the name of Hive's null for null, wherever it lies.
    values = [value for value in AWKWARD if value != HIVE_NULL]
    events = [
        Event(f"{n:03}", "2021-01-08T10:00:00Z", domain=value, event_type=values[-n])
        for n, value in enumerate(values)
    ]
    files = [write_live(folder, [one], keeps_history=request.param) for one in events]
    commits.commit(Table(f"{folder}/out"), -1, "r0", files, [])
    return folder / "out", deliveries.as_rows(events)


@pytest.mark.parametrize("reader", readers.OF_THE_LOG, ids=lambda reader: reader.__name__)
def test_delta_readers_read_hidden_files(between: tuple[Path, Rows], reader: Reader) -> None:
    """From the first commit on, wherever files lie and whatever their names end in.

    Polars takes partition values from the path. So files that stay hidden lie in folders that say
    them; without history Polars has to wait for the second commit, some milliseconds later.
    """
    root, rows = between
    by_path = (readers.by_delta_polars, readers.by_delta_polars_filtered)
    if "/domain=" not in DeltaTable(root).file_uris()[0] and reader in by_path:
        pytest.skip("without history a file lies in its partition a moment later")
    assert rows_of(reader(root)) == rows


def earlier_name(root: str, file: DataFile) -> DataFile:
    """A hidden file as versions of eventsift up to November 2026 have called it."""
    name = file.path.rpartition("/")[2]
    old = file._replace(path=f"_eventsift/new/r0/{name}.parquet")
    storage.copy(storage.join(root, file.path), storage.join(root, old.path))
    storage.delete([storage.join(root, file.path)])
    return old


@pytest.fixture
def of_earlier_version(tmp_path: Path) -> str:
    """A table of an earlier version, with history."""
    root = f"{tmp_path}/out"
    files = [earlier_name(root, write_live(tmp_path, [Event(name, domain=name)])) for name in "ab"]
    commits.commit(Table(root), -1, "r0", files, [])
    settling.settle(Table(root), keep_seconds=3600.0)
    return root


def test_hidden_files_of_earlier_versions_go_on(of_earlier_version: str, tmp_path: Path) -> None:
    """They are merged into, with and without history, and get one ending in their partition."""
    names = [path.name for path in data_files(of_earlier_version)]
    assert len(names) == 2
    assert not [name for name in names if name.count(".parquet") != 1]
    deliver(tmp_path / "in" / "1", [Event("a", "2021-01-08T11:00:00Z", 2, domain="a")])
    for run_id, seconds in (("r1", 3600.0), ("r2", 0.0)):
        run = new_run(tmp_path, run_id, keep_seconds=seconds)
        assert run_graph(run)["table"]["rows"] == 2
    visible = data_files(of_earlier_version)
    assert {path.name.count(".parquet") for path in visible} == {1}
    assert len(visible) == len(DeltaTable(of_earlier_version).file_uris()) == 2
    assert not list((Path(of_earlier_version) / "_eventsift" / "new").rglob("part-*"))
