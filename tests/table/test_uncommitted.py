"""What a dead run has not committed goes; what the log names stays, whatever else it forgot."""

import os
import time
from pathlib import Path

import pytest

from pipeline.table import commits, datafiles, delta, settling
from pipeline.table.address import Table
from tests.table.tables import DAY_SECONDS, assert_settled, delta_rows, publish, write_file

WEEK = 7 * DAY_SECONDS


def hidden(root: str) -> list[str]:
    """The paths of the files under the hidden folder."""
    folder = Path(root) / datafiles.NEW_FOLDER
    return sorted(str(path.relative_to(root)) for path in folder.rglob("*") if path.is_file())


def test_what_was_not_committed_goes(root: str) -> None:
    """With its folder; the table and other runs' files stay."""
    publish(root, "r1", {"a": 1})
    write_file(root, "dead", "0", {"b": 1})
    other = write_file(root, "other", "0", {"c": 1})

    settling.drop_uncommitted(Table(root), "dead")

    assert hidden(root) == [other.path]
    assert not os.path.exists(f"{root}/{datafiles.NEW_FOLDER}/dead")
    assert delta_rows(root) == [("a", 1, "account")]


def test_a_run_that_died_making_the_table_leaves_nothing(root: str) -> None:
    """There is no log to ask then."""
    write_file(root, "dead", "0", {"b": 1})

    settling.drop_uncommitted(Table(root), "dead")

    assert hidden(root) == []


def test_live_files_stay_when_the_log_has_forgotten_their_run(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With history live files lie in their run's folder; its transaction is forgotten in a week."""
    long_ago = int((time.time() - WEEK - DAY_SECONDS) * 1000)
    with monkeypatch.context() as patch:
        patch.setattr(commits, "_now_millis", lambda: long_ago)
        add = write_file(root, "r1", "0", {"a": 1})
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
        settling.settle(Table(root), keep_seconds=WEEK)
    write_file(root, "r1", "1", {"a": 1})  # of a step that ran twice
    assert delta.open_newest(Table(root)).published("r1") is None

    settling.drop_uncommitted(Table(root), "r1")

    assert hidden(root) == [add.path]
    settling.settle(Table(root))
    assert_settled(root, [("a", 1, "account")])


def test_history_stays(root: str) -> None:
    """What was removed lately may be wanted by readers of older versions."""
    add = write_file(root, "r1", "0", {"a": 1})
    commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
    snapshot = settling.settle(Table(root), keep_seconds=WEEK)
    commits.commit(
        Table(root),
        snapshot.version,
        "r2",
        [write_file(root, "r2", "0", {"a": 2})],
        list(snapshot.files),
    )

    settling.drop_uncommitted(Table(root), "r1")
    assert add.path in hidden(root)

    settling.drop_uncommitted(Table(root), "r1", keep_seconds=0)
    assert add.path not in hidden(root)
    assert delta_rows(root) == [("a", 2, "account")]


@pytest.mark.parametrize("run_id", ["", "..", "../..", "a/b", "/etc", ".hidden"])
def test_only_a_run_can_be_named(root: str, run_id: str) -> None:
    """A run's id comes from a file's name, so it may be anything."""
    with pytest.raises(ValueError, match="cannot name"):
        settling.drop_uncommitted(Table(root), run_id)


def test_a_table_is_told_by_its_id(root: str, tmp_path: Path) -> None:
    """It stays the same, and no two tables have the same one."""
    assert delta.load(Table(root)).lineage.identity == ""
    publish(root, "r1", {"a": 1})
    own = delta.load(Table(root)).lineage.identity
    publish(root, "r2", {"b": 1})
    publish(str(tmp_path / "other"), "r1", {"a": 1})

    assert own == delta.load(Table(root)).lineage.identity != ""
    assert delta.load(Table(str(tmp_path / "other"))).lineage.identity != own
