from pathlib import Path

import pytest

from pipeline.keys.partitions import Destination
from pipeline.table import datafiles
from pipeline.table.datafiles import ConflictError, DataFile

HERE = Destination("A", "b", 2021, 1, 8)
FOLDER = "domain=%41/event_type=b/year=2021/month=01/day=08"
FILE = DataFile(f"_eventsift/new/r1/{FOLDER}/part-r1-0", HERE, 1, 7, 0, 0)


@pytest.mark.parametrize(("run_id", "name"), [("", "0"), ("a/b", "0"), ("r", ""), ("r", "a-b")])
def test_names_that_could_be_misread_are_refused(run_id: str, name: str) -> None:
    """A run's folder and files must be recognised as its own later."""
    with pytest.raises(ValueError, match="cannot name"):
        datafiles.new_path(run_id, name)


def test_a_new_file_lies_in_the_folder_of_its_run() -> None:
    """Hidden from readers of plain Parquet, and found if the run dies.

    In the folders of its partition there, since Polars reads the partition's values from them.
    """
    assert datafiles.new_path("r1", "0", HERE) == FILE.path
    assert datafiles.new_path("r1", "0") == "_eventsift/new/r1/part-r1-0"


def test_a_hidden_file_does_not_look_like_parquet() -> None:
    """Who reads ``table/**/*.parquet`` must not count its rows, nor count them twice."""
    assert "." not in datafiles.new_path("r1", "0").rpartition("/")[2]


@pytest.mark.parametrize("ending", ["", ".parquet"])
def test_a_settled_file_keeps_its_name(ending: str) -> None:
    """In the folder of its partition, with one ending, also if an earlier version gave it that."""
    for path in (FILE.path, "_eventsift/new/r1/part-r1-0"):
        file = FILE._replace(path=f"{path}{ending}")
        assert datafiles.settled_path(file) == f"{FOLDER}/part-r1-0.parquet"


def test_a_live_file_is_opened(tmp_path: Path) -> None:
    """Wherever it lies in the table; and closed again."""
    path = tmp_path / FILE.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    with datafiles.open_live(str(tmp_path), FILE) as stream:
        assert stream.read() == b"content"
    assert stream.closed


def test_a_live_file_that_has_gone_is_a_conflict(tmp_path: Path) -> None:
    """Another run has superseded it, so this one starts again; that is no damage."""
    with (
        pytest.raises(ConflictError, match=f"another run has superseded {FILE.path}.*run again"),
        datafiles.open_live(str(tmp_path), FILE),
    ):
        pass
