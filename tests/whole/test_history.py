"""History on request: Delta readers see older versions, plain readers only the newest."""

import itertools
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipeline import compact
from pipeline.bookkeeping import ledger
from pipeline.command import options
from pipeline.table.address import Table
from tests import commands, deliveries, tables
from tests.crashes import killed_at
from tests.deliveries import Event
from tests.oracle import Rows

MEBIBYTE = 1 << 20
DELIVERIES = [
    [Event("a", 0, 1), Event("b", 0, 1), Event("c", 1440, 1)],
    [Event("a", 5, 2), Event("d", 0, 2)],
    [Event("b", 5, 3, "closed"), Event("c", 1500, 3)],
]


def run_all(root: Path, inputs: Path, *given: str) -> dict[int, Rows]:
    """Runs each delivery; the table's rows by version."""
    versions = {}
    for number, delivered in enumerate(DELIVERIES):
        deliveries.deliver(inputs / f"{number}.jsonl", delivered)
        assert commands.run(root, inputs, *given) == 0
        expected = deliveries.latest(itertools.chain(*DELIVERIES[: number + 1]))
        assert tables.plain_rows(root) == tables.delta_rows(root) == expected
        versions[DeltaTable(str(root)).version()] = expected
    return versions


def test_older_versions_can_be_read(tmp_path: Path) -> None:
    """Every version since the option was given; plain readers see the newest table all the time."""
    versions = run_all(tmp_path / "table", tmp_path / "in", "--keep-history", "7d")

    found = {version: tables.delta_rows(tmp_path / "table", version) for version in versions}
    assert len(versions) == 3
    assert found == versions


def test_compaction_keeps_it(tmp_path: Path) -> None:
    """A compaction is a version like any other, with the rows of the one before."""
    root = tmp_path / "table"
    versions = run_all(root, tmp_path / "in", "--keep-history", "7d")

    compact.compact(Table(str(root)), "compaction", MEBIBYTE, keep_seconds=7 * 86_400)

    newest = list(versions.values())[-1]
    assert tables.delta_rows(root) == tables.plain_rows(root) == newest
    assert {v: tables.delta_rows(root, v) for v in versions} == versions


def test_a_run_without_the_option_ends_it(tmp_path: Path) -> None:
    """Then there is nothing left of it, and the table is as if there had never been any."""
    root = tmp_path / "table"
    run_all(root, tmp_path / "in", "--keep-history", "7d")
    deliveries.deliver(tmp_path / "in" / "more.jsonl", [Event("e", 9)])

    assert commands.run(root, tmp_path / "in") == 0

    assert tables.strays(root) == []
    expected = deliveries.latest([*itertools.chain(*DELIVERIES), Event("e", 9)])
    assert tables.delta_rows(root) == tables.plain_rows(root) == expected


def test_it_can_begin_later(tmp_path: Path) -> None:
    """Files from before are not kept, but nothing goes wrong; versions made of new files are."""
    root, inputs = tmp_path / "table", tmp_path / "in"
    run_all(root, inputs)
    given = ("--keep-history", "1h")
    expected = [event for delivered in DELIVERIES for event in delivered]
    versions = {}
    for number in (10, 11):
        # Every partition gets news, so that no file from before is left.
        news = [event._replace(timestamp=event.timestamp + number) for event in expected[-4:]]
        news += [Event("a", number, number)]
        deliveries.deliver(inputs / f"{number}.jsonl", news)
        assert commands.run(root, inputs, *given) == 0
        expected += news
        assert tables.plain_rows(root) == tables.delta_rows(root)
        assert tables.plain_rows(root) == deliveries.latest(expected)
        versions[DeltaTable(str(root)).version()] = deliveries.latest(expected)

    assert {v: tables.delta_rows(root, v) for v in versions} == versions


def test_without_it_superseded_files_go_at_once(tmp_path: Path) -> None:
    """The default: nothing but the newest table takes up room."""
    run_all(tmp_path / "table", tmp_path / "in")

    assert tables.strays(tmp_path / "table") == []


def test_the_log_sets_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """What the log forgets cannot be read, so it is not promised."""
    assert options.parser().parse_args(["--keep-history", "7d"]).keep_history == 604_800
    with pytest.raises(SystemExit):
        options.parser().parse_args(["--keep-history", "8d"])
    assert "'8d' is more than 7d" in capsys.readouterr().err


def test_a_run_killed_after_its_commit_keeps_its_files(tmp_path: Path) -> None:
    """Live files stay under the hidden folder then, where those of other dead runs are removed.

    Seen to fail with `recovery.clear` not asking whether a dead run was published.
    """
    root, inputs, given = tmp_path / "table", tmp_path / "in", ("--keep-history", "1h")
    deliveries.deliver(inputs / "0.jsonl", DELIVERIES[0])

    with killed_at(ledger, "extend"):
        commands.run(root, inputs, *given)
    assert commands.run(root, inputs, *given) == 0

    expected = deliveries.latest(DELIVERIES[0])
    assert tables.delta_rows(root) == tables.plain_rows(root) == expected
