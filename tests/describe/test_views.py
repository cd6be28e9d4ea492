"""``views``: SQL that runs in DuckDB, returns every row, and parses in the other dialects."""

import collections
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.catalogue.nodes import NAME_LIMIT
from pipeline.command import console
from pipeline.describe import views_command
from pipeline.describe.columns import ENVELOPE, PARTITION
from pipeline.describe.dialects import DIALECTS
from tests.commands import run_here
from tests.deliveries import AWKWARD, Event, deliver
from tests.describe.tables import HOSTILE, NAMES, ORDINARY, deliveries

Row = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of ordinary and of hostile payloads. Its name is a pattern, too."""
    inputs = tmp_path_factory.mktemp("delivered")
    deliveries(inputs)
    folder = tmp_path_factory.mktemp("it's *ours?")
    run_here(inputs / "in", folder / "table")
    fitting = folder.with_name(folder.name.replace("*", "y").replace("?", "!"))
    shutil.copytree(folder / "table", fitting / "table")
    return folder


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Event]]:
    """The events by type."""
    found = collections.defaultdict(list)
    for event in deliveries(tmp_path_factory.mktemp("again")):
        found[event.domain, event.event_type].append(event)
    return dict(found)


def printed(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """What the command prints."""
    assert views_command.main(["--output", f"{folder}/table", *arguments]) == console.DONE
    return capsys.readouterr().out


def rows_of(database: duckdb.DuckDBPyConnection, view: str) -> list[Row]:
    """The rows of a view, in order of time."""
    found = database.execute(f"SELECT * FROM {view} ORDER BY timestamp, event_id")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


PLAIN = {*ENVELOPE, *PARTITION}
VIEWS = {
    ("account", "status-change"): '"account.status-change"',
    ("Shop/EU", "odd 'type'"): "\"Shop/EU.odd 'type'\"",
    ("1", "null"): '"1.null"',
    ("Shop/EU", "many"): '"Shop/EU.many"',
    ("account.status", "change"): '"account.status.change_2"',
    ("account", "status.change"): '"account.status.change"',
}


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_every_view_returns_every_row(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    events: dict[tuple[str, str], list[Event]],
    full: list[str],
) -> None:
    """And `data` as it was delivered; partitions have the types of the table.

    Seen to fail with CAST in the place of TRY_CAST, with hive types left to DuckDB, and with the
    path of the table taken for a pattern.
    """
    database = duckdb.connect()
    database.execute(printed(capsys, folder, *full))
    for name, own in events.items():
        rows = rows_of(database, VIEWS[name])
        assert [row["data"] for row in rows] == [event.data for event in own], name
        assert {(row["domain"], row["event_type"]) for row in rows} == {name}
        assert {(row["year"], row["month"]) for row in rows} == {(2021, 1)}
        assert {type(row["day"]) for row in rows} == {int}


@pytest.mark.parametrize("options", [[], ["--keep-history", "1h"]])
def test_awkward_types(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str]
) -> None:
    """Types that readers take for something else; also where live files have second names."""
    own = [
        Event(f"{domain!r}{number}", number, number, event_type=event_type, domain=domain)
        for domain, event_type in zip(AWKWARD, reversed(AWKWARD), strict=True)
        for number in range(2)
    ]
    deliver(tmp_path / "in" / "1.jsonl", own[:-1])
    run_here(tmp_path / "in", tmp_path / "table", *options)
    deliver(tmp_path / "in" / "2.jsonl", own)
    run_here(tmp_path / "in", tmp_path / "table", *options)
    capsys.readouterr()
    database = duckdb.connect()
    database.execute(printed(capsys, tmp_path))
    views = [
        name
        for (name,) in database.execute(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
    ]
    assert len(views) == len(AWKWARD)
    rows = [row for view in views for row in rows_of(database, '"' + view.replace('"', '""') + '"')]
    assert sorted((row["domain"], row["event_type"], row["event_id"]) for row in rows) == sorted(
        (event.domain, event.event_type, event.id) for event in own
    )


def test_values(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Typed columns; the members of objects have their own, arrays are JSON."""
    database = duckdb.connect()
    database.execute(printed(capsys, folder))
    types = dict(
        database.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_name = 'account.status-change'"
        ).fetchall()
    )
    assert list(types)[3:-7] == [
        *("id", "items", "new_status", "ok", "old_status", "rate", "reason"),
        *("to_geo_lat", "to_street", "to_zip"),
    ]
    assert (types["id"], types["items"], types["ok"]) == ("BIGINT", "JSON", "BOOLEAN")
    assert (types["rate"], types["reason"], types["to_geo_lat"]) == ("DOUBLE", "VARCHAR", "DOUBLE")
    rows = rows_of(database, VIEWS["account", "status-change"])
    assert [row["id"] for row in rows] == [value["id"] for value in ORDINARY]
    assert [row["reason"] for row in rows] == ["It was paid.", None, None, None, None]
    assert [row["to_zip"] for row in rows] == [None, None, 12345, None, None]
    assert [row["ok"] for row in rows] == [None, None, None, True, False]
    assert json.loads(rows[3]["items"]) == ORDINARY[3]["items"]


def test_odd_names_and_values(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Each member whose name is not too long has a column with its own value.

    Seen to fail with paths in the place of pointers.
    """
    database = duckdb.connect()
    database.execute(printed(capsys, folder))
    rows = rows_of(database, VIEWS["Shop/EU", "odd 'type'"])
    by_data = {row["data"]: row for row in rows}
    assert by_data[HOSTILE[0]]["id"] == "123456789012345678901234567890"
    # Each has been an integer and a text: that is JSON.
    values = [value for name, value in by_data[HOSTILE[5]].items() if name not in PLAIN]
    expected = [f'"{number}"' for number, name in enumerate(NAMES) if len(name) <= NAME_LIMIT]
    assert sorted(filter(None, values)) == sorted(expected)


def test_a_value_of_another_type(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What comes after the views were made is NULL in its column, and in `data`."""
    database = duckdb.connect()
    deliver(tmp_path / "in" / "1.jsonl", [Event("e1", 1, '{"id": 1}')])
    run_here(tmp_path / "in", tmp_path / "table")
    capsys.readouterr()
    database.execute(printed(capsys, tmp_path))
    others = ['{"id": "x"}', '{"id": 1.5}', '{"id": "5"}', '{"id": [2]}']
    events = [Event(f"e{number}", number, data) for number, data in enumerate(others, 2)]
    deliver(tmp_path / "in" / "2.jsonl", events)
    run_here(tmp_path / "in", tmp_path / "table")
    rows = rows_of(database, '"account.created"')
    shown = {row["data"]: row["id"] for row in rows}
    assert shown == {'{"id": 1}': 1, **dict.fromkeys(others)}


def test_a_schema(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """The views may be made where nothing else is."""
    database = duckdb.connect()
    database.execute(printed(capsys, folder, "--name", "events of ours"))
    found = database.execute('SELECT count(*) FROM "events of ours"."account.status-change"')
    assert found.fetchone() == (len(ORDINARY),)


@pytest.mark.parametrize("dialect", list(DIALECTS))
@pytest.mark.parametrize("more", [[], ["--name", "own", "--table", "lake.events"]])
def test_every_dialect_parses(
    capsys: pytest.CaptureFixture[str], folder: Path, dialect: str, more: list[str]
) -> None:
    """As sqlglot reads each dialect: one view for each type, with the columns of all."""
    sqlglot = pytest.importorskip("sqlglot")
    text = printed(capsys, folder, "--dialect", dialect, *more)
    statements = [one for one in sqlglot.parse(text, read=dialect) if one is not None]
    made = [one for one in statements if one.args.get("kind") == "VIEW"]
    assert len(made) == len(VIEWS)
    names = [one.this.name for one in made]
    assert len({name.lower() for name in names}) == len(VIEWS)
    for one in made:
        columns = [column.alias_or_name for column in one.expression.expressions]
        assert columns[:3] == ["event_id", "timestamp", "nanos"]
        assert columns[-5:] == ["domain", "event_type", "year", "month", "day"]
        assert len({column.lower() for column in columns}) == len(columns)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dialect", "oracle", "--output", "x"], "invalid choice: 'oracle'"),
        ([], "--output is needed"),
        (["--ouput", "x"], "unknown option --ouput"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    """What is wrong with the options is said in one line."""
    with pytest.raises(SystemExit) as stopped:
        views_command.main(arguments)
    assert stopped.value.code == console.USAGE
    assert sentence in capsys.readouterr().err


def test_no_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A wrong folder is said."""
    assert views_command.main(["--output", str(tmp_path)]) == console.FAILED
    assert "it has no _delta_log" in capsys.readouterr().err
