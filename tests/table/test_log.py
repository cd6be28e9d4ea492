"""The log's files, read by themselves."""

import datetime
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipeline.keys.partitions import Destination
from pipeline.table import delta, log
from pipeline.table.address import Table
from tests.table.tables import publish


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A table with an event, and one more in a partition with an odd name."""
    root = str(tmp_path / "table")
    publish(root, "r1", {"a": 1, "b": 2})
    publish(root, "r2", {"c": 1}, Destination("A b/ü", "%2F", 2021, 1, 8))
    return root


def replace_all(root: str) -> list[str]:
    """Removes all files with delta-rs; their paths."""
    old = [file.path for file in delta.load(Table(root)).files]
    DeltaTable(root).delete()
    return old


@pytest.mark.parametrize("checkpoint", [False, True])
def test_removed_files_are_known_by_their_paths_on_disk(root: str, checkpoint: bool) -> None:
    """Whoever removed them, however their partition is called, with and without a checkpoint."""
    old = replace_all(root)
    if checkpoint:
        DeltaTable(root).create_checkpoint()

    found = log.removed(root)

    assert {path for path in found if path.startswith("domain=")} == set(old)
    assert {log.is_live(root, path) for path in old} == {False}


def test_files_that_came_back_are_not_removed(root: str) -> None:
    """A restored version has files that an older commit has removed."""
    version = delta.load(Table(root)).version
    old = replace_all(root)
    assert set(old) <= log.removed(root)

    DeltaTable(root).restore(version)

    assert not set(old) & log.removed(root)
    assert {log.is_live(root, path) for path in old} == {True}


def test_a_checkpoint_that_forgets_at_once_hides_nothing(root: str) -> None:
    """Another tool may set the time that removed files are remembered to nothing."""
    DeltaTable(root).alter.set_table_properties(
        {"delta.deletedFileRetentionDuration": "interval 0 days"}
    )
    old = replace_all(root)
    time.sleep(0.002)  # a checkpoint leaves out what is older than the millisecond it is made in
    DeltaTable(root).create_checkpoint()

    assert set(old) <= log.removed(root)


@pytest.mark.parametrize("how", ["version", "datetime"])
def test_restores_are_found(root: str, how: str) -> None:
    """With the version they went back to, however that was given."""
    version = delta.load(Table(root)).version
    time.sleep(0.01)  # commits know their times to the millisecond
    when = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(0.01)
    replace_all(root)

    DeltaTable(root).restore(version if how == "version" else when)

    made = delta.load(Table(root)).version
    assert log.restores(root, version) == [(made, version)]
    assert log.restores(root, -1) == [(made, version)]
    assert log.restores(root, made) == []


def test_without_a_log_there_is_nothing(tmp_path: Path) -> None:
    """A table that is not there was never restored, and has no removed files."""
    assert log.restores(str(tmp_path / "table"), -1) == []
    assert log.removed(str(tmp_path / "table")) == set()
