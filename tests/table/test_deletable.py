"""What settling deletes, and what it never does: links, strangers' logs, other writers' files."""

import glob
import json
import os
import shutil
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline import compact
from pipeline.storage import FileInfo
from pipeline.table import commits, datafiles, deletable, delta, settling
from pipeline.table.address import Table
from pipeline.verify import check as verify
from tests import tables
from tests.deliveries import Event
from tests.table.tables import (
    MONDAY,
    TUESDAY,
    assert_settled,
    delta_rows,
    duckdb_rows,
    parquet_files,
    publish,
    write_file,
)

WEEK = 7 * 86_400.0
OURS = "part-20210108T101112-0a1b2c-0123456789abcdef.parquet"
PARTITIONS = "domain=*/event_type=*/year=*/month=*/day=*/*.parquet"
LEVELS = ["domain=account", "event_type=created", "year=2021", "month=01", "day=08"]


def replace(root: str, run_id: str, version: int, keep_seconds: float = 0.0) -> None:
    """A run that supersedes all there is."""
    snapshot = settling.settle(Table(root), keep_seconds=keep_seconds)
    add = [write_file(root, run_id, "0", {"a": version})]
    commits.commit(Table(root), snapshot.version, run_id, add, snapshot.files)
    settling.settle(Table(root), keep_seconds=keep_seconds)


def move_away(root: str, folder: str, target: Path) -> None:
    """Puts a folder somewhere else, and a symbolic link in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(f"{root}/{folder}", target)
    os.symlink(target, f"{root}/{folder}")


def commit_as_stranger(root: str, *actions: dict[str, object]) -> None:
    """A commit that no honest tool would make."""
    version = DeltaTable(root).version() + 1
    text = "".join(json.dumps(action) + "\n" for action in actions)
    Path(f"{root}/_delta_log/{version:020}.json").write_text(text)


def rows_behind_links(root: str) -> list[tuple[str, int, str]]:
    """What a plain reader sees that follows links."""
    query = f"SELECT event_id, data::INT, domain FROM read_parquet('{root}/{PARTITIONS}')"
    return sorted(duckdb.sql(query).fetchall())


def removal(path: str) -> dict[str, object]:
    """The log's action that says that a file was removed."""
    return {"remove": {"path": path, "dataChange": True, "deletionTimestamp": 1}}


class TestLinks:
    @pytest.mark.parametrize("level", range(1, 6))
    @pytest.mark.parametrize("keep_seconds", [0.0, WEEK])
    def test_rows_behind_a_link_never_double(
        self, root: str, tmp_path: Path, level: int, keep_seconds: float
    ) -> None:
        """A partition, or a folder above it, may lie on another disk."""
        replace(root, "r1", 1, keep_seconds)
        move_away(root, "/".join(LEVELS[:level]), tmp_path / "disk" / "folder")

        for number in (2, 3, 4):
            replace(root, f"r{number}", number, keep_seconds)
            assert delta_rows(root) == rows_behind_links(root) == [("a", number, "account")]
        settling.settle(Table(root))
        assert verify.verify(root).findings == []
        assert rows_behind_links(root) == [("a", 4, "account")]
        assert len(glob.glob(f"{root}/{PARTITIONS}")) == 1
        assert os.path.islink(f"{root}/{'/'.join(LEVELS[:level])}")

    def test_other_files_behind_a_link_stay(self, root: str, tmp_path: Path) -> None:
        """Behind a link only what the log has removed is deleted: the folder is not the table's."""
        publish(root, "r1", {"a": 1})
        move_away(root, "/".join(LEVELS), tmp_path / "disk")
        names = [OURS, "part-00000-x.parquet", "thesis.docx", f".{OURS}.{'0f' * 16}.tmp"]
        for name in names:
            (tmp_path / "disk" / name).touch()
            os.utime(tmp_path / "disk" / name, (1, 1))
        commit_as_stranger(root, removal("/".join([*LEVELS, "thesis.docx"])))

        replace(root, "r2", 2)

        assert set(names) <= set(os.listdir(tmp_path / "disk"))
        assert delta_rows(root) == [("a", 2, "account")]

    def test_a_second_way_to_live_files_deletes_none(self, root: str) -> None:
        """A link inside the table shows live files under other names."""
        publish(root, "r1", {"a": 1})
        publish(root, "r2", {"b": 1}, TUESDAY)
        live = [file.path for file in delta.load(Table(root)).files]
        os.symlink(f"{root}/domain=account", f"{root}/domain=alias")
        aliases = [path.replace("domain=account", "domain=alias") for path in live]
        commit_as_stranger(root, *map(removal, aliases))

        settling.settle(Table(root))

        assert [os.path.exists(f"{root}/{path}") for path in live] == [True, True]

    def test_a_circle_ends(self, root: str) -> None:
        """A link to the folder above it is no endless partition."""
        publish(root, "r1", {"a": 1})
        os.symlink(root, f"{root}/domain=account/event_type=circle")
        os.symlink(f"{root}/domain=account", f"{root}/domain=account/event_type=again")

        settling.settle(Table(root))

        assert delta_rows(root) == [("a", 1, "account")]

    def test_a_link_to_a_strangers_folder_is_no_hidden_folder(
        self, root: str, tmp_path: Path
    ) -> None:
        """What is there stays, also as a dead run's, and however old."""
        publish(root, "r1", {"a": 1})
        victim = tmp_path / "victim"
        (victim / "r1").mkdir(parents=True)
        for path in (victim / "letter", victim / "r1" / OURS):
            path.touch()
            os.utime(path, (1, 1))
        shutil.rmtree(f"{root}/_eventsift/new", ignore_errors=True)
        os.makedirs(f"{root}/_eventsift", exist_ok=True)
        os.symlink(victim, f"{root}/_eventsift/new")

        settling.settle(Table(root))
        settling.drop_uncommitted(Table(root), "r1")

        assert (victim / "letter").exists()
        assert (victim / "r1" / OURS).exists()


class TestStrangers:
    @pytest.mark.parametrize(
        "path",
        [
            "{victim}",
            "file://{victim}",
            "../victim.parquet",
            "%2E%2E/victim.parquet",
            "domain=a/event_type=b/year=1/month=1/day=1/../../../../../../victim.parquet",
            "_eventsift/new/r1/../../../../victim.parquet",
            "_eventsift/runs/victim.parquet",
            "notes/victim.parquet",
            "domain=account/victim.parquet",
        ],
    )
    def test_a_path_in_the_log_deletes_nothing_outside_the_partitions(
        self, root: str, tmp_path: Path, path: str
    ) -> None:
        """A table received from somebody else has whatever paths its maker liked."""
        publish(root, "r1", {"a": 1})
        victims = [
            tmp_path / "victim.parquet",
            Path(root) / "_eventsift/runs/victim.parquet",
            Path(root) / "notes/victim.parquet",
            Path(root) / "domain=account/victim.parquet",
        ]
        for victim in victims:
            victim.parent.mkdir(exist_ok=True)
            victim.write_bytes(b"precious")
            os.utime(victim, (1, 1))
        commit_as_stranger(root, removal(path.format(victim=victims[0])))

        replace(root, "r2", 2)

        assert [victim.exists() for victim in victims] == [True] * 4

    @pytest.mark.parametrize("path", ["/tmp/x.parquet", "file:///tmp/x.parquet", "../x.parquet"])
    def test_live_files_elsewhere_are_refused(self, root: str, path: str) -> None:
        """A shallow clone has them; its rows would be moved out of the table they belong to."""
        publish(root, "r1", {"a": 1})
        values = {"domain": "a", "event_type": "b", "year": "1", "month": "1", "day": "1"}
        add = {"path": path, "partitionValues": values, "size": 1, "modificationTime": 1}
        commit_as_stranger(root, {"add": {**add, "dataChange": True}})

        with pytest.raises(datafiles.TableError, match=r"outside of the table.*shallow clone"):
            settling.settle(Table(root))


class TestOtherWriters:
    def test_whatever_they_call_their_files(self, root: str) -> None:
        """The Delta protocol gives no rule for names; but only data files are data."""
        publish(root, "r1", {"a": 1})
        (file,) = delta.load(Table(root)).files
        folder = os.path.dirname(file.path)
        paths = [f"{folder}/{name}" for name in ("data.parquet", "data.txt", ".data.parquet.crc")]
        for path in paths:
            Path(f"{root}/{path}").touch()
        settling.settle(Table(root))
        assert [os.path.exists(f"{root}/{path}") for path in paths] == [True, True, True]

        commit_as_stranger(root, *map(removal, paths))
        settling.settle(Table(root))

        assert [os.path.exists(f"{root}/{path}") for path in paths] == [False, True, True]

    @pytest.mark.parametrize("keep_seconds", [0.0, WEEK])
    def test_a_file_that_our_commit_removes_goes_at_once(
        self, root: str, keep_seconds: float
    ) -> None:
        """Whoever made it, with history as well: a plain reader would go on seeing its rows."""
        replace(root, "r1", 1, keep_seconds)
        write_deltalake(root, tables.content([Event("x", 1)]), mode="append")
        theirs = [path for path in parquet_files(root) if "-r1-" not in path]
        assert len(theirs) == 1

        replace(root, "r2", 2, keep_seconds)

        assert theirs[0] not in parquet_files(root)
        assert delta_rows(root) == duckdb_rows(root) == [("a", 2, "account")]

    def test_rows_without_all_values_keep_their_tables_statistics_true(self, root: str) -> None:
        """A reader that skips files by the log finds null where null is."""
        publish(root, "r1", {"a": 1})
        less = tables.content([Event("x", 1)]).drop_columns(["data"])
        write_deltalake(root, less, mode="append", schema_mode="merge")
        compact.compact(Table(root), "20210108T000000-0a1b2c", 1 << 20)

        found = DeltaTable(root).to_pyarrow_dataset().to_table()
        assert found["data"].null_count == 1
        (file,) = delta.load(Table(root)).files
        assert (file.rows, file.min_timestamp) == (2, None)

    def test_a_partition_value_that_is_null_is_refused(self, root: str) -> None:
        """It has no place in our folders; the message says how to get rid of it."""
        publish(root, "r1", {"a": 1})
        rows = tables.content([Event("x", 1)])
        nothing = rows.set_column(rows.column_names.index("domain"), "domain", [[None]]).cast(
            rows.schema
        )
        write_deltalake(root, nothing, mode="append")
        with pytest.raises(datafiles.TableError, match=r"without a value for domain.*IS NULL"):
            delta.load(Table(root))

        DeltaTable(root).delete("domain IS NULL")
        settling.settle(Table(root))
        assert_settled(root, [("a", 1, "account")])

    def test_a_row_count_that_the_log_lacks_is_read_from_the_file(self, root: str) -> None:
        """Statistics are optional in a log."""
        publish(root, "r1", {"a": 1, "b": 2})
        (file,) = delta.load(Table(root)).files
        values = {"domain": "account", "event_type": "created"}
        values |= {"year": "2021", "month": "1", "day": "8"}
        path = file.path.replace("-r1-", "-r2-")
        shutil.copy(f"{root}/{file.path}", f"{root}/{path}")
        add = {"path": path, "partitionValues": values, "size": file.bytes}
        add |= {"modificationTime": 1, "dataChange": True}
        commit_as_stranger(root, {"add": add}, removal(file.path))

        assert [found.rows for found in settling.settle(Table(root)).files] == [2]
        assert parquet_files(root) == [path]


def test_a_missing_live_file_does_not_stop_a_rebuild(root: str) -> None:
    """A rebuild is the way out, so it must not fail for what it is to mend."""
    add = write_file(root, "r1", "0", {"a": 1})
    commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
    os.unlink(f"{root}/{add.path}")
    with pytest.raises(datafiles.TableError, match=r"missing.*--rebuild"):
        settling.settle(Table(root))

    snapshot = settling.settle(Table(root), rebuild=True)
    news = [write_file(root, "r2", "0", {"a": 2}, MONDAY)]
    commits.commit(Table(root), snapshot.version, "r2", news, snapshot.files, rebuild=True)
    settling.settle(Table(root))

    assert_settled(root, [("a", 2, "account")])


def test_the_newest_file_tells_the_time_if_the_clock_is_ahead() -> None:
    """And the clock does if a file is."""
    assert deletable.now([FileInfo("x", 1, 5.0), FileInfo("y", 1, 7.0)]) == 7.0
    assert deletable.now([FileInfo("x", 1, 1e12)]) < 1e11
    assert deletable.now([]) == 0
