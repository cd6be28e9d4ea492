"""``catalogue``: what is in `data`, as text, JSON and JSON Schema."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote

import pytest

from pipeline.catalogue import nodes
from pipeline.command import console
from pipeline.describe import catalogue_command, known, whole
from pipeline.table import delta
from pipeline.table.address import Table
from tests.catalogue.payloads import walked
from tests.commands import run_here
from tests.deliveries import Event, deliver
from tests.describe.tables import deliveries
from tests.tables import delta_rows


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of ordinary and of hostile payloads."""
    folder = tmp_path_factory.mktemp("known")
    deliveries(folder)
    run_here(folder / "in", folder / "table")
    return folder / "table"


def printed(capsys: pytest.CaptureFixture[str], table: Path, *arguments: str) -> str:
    """What the command prints."""
    capsys.readouterr()
    assert catalogue_command.main(["--output", str(table), *arguments]) == console.DONE
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], table: Path, *arguments: str) -> Any:
    """What it prints as JSON, by domain and event_type."""
    found = json.loads(printed(capsys, table, "--json", *arguments))
    return {(one["domain"], one["event_type"]): one for one in found}


def test_text(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    """A line for each field; names and values of others do nothing to a terminal."""
    text = printed(capsys, table)
    assert text.startswith("From a sample of what was delivered: ")
    start = text.index("account/status-change: ")
    found = [" ".join(line.split()) for line in text[start:].partition("\n\n")[0].splitlines()]
    assert found == [
        "account/status-change: 5 events, 2021-01-08 to 2021-01-09",
        "id integer always 948874 to 948878",
        "items array 40.0 % (since 2021-01-09)",
        "items[*] object 1.0 each (since 2021-01-09)",
        "items[*].price integer, number always 1 to 2.5 (since 2021-01-09)",
        'new_status string 40.0 % "ACTIVE", "CLOSED" (until 2021-01-08)',
        "ok boolean 40.0 % (since 2021-01-09)",
        'old_status string 40.0 % "ACTIVE", "SUSPENDED" (until 2021-01-08)',
        "rate integer, number 40.0 % 1 to 1.5 (since 2021-01-09)",
        'reason null, string 40.0 % "It was paid." (until 2021-01-08)',
        "to object 20.0 % (until 2021-01-08)",
        "to.geo object always (until 2021-01-08)",
        "to.geo.lat number always 0.5 (until 2021-01-08)",
        'to.street string always "Main St" (until 2021-01-08)',
        "to.zip integer always 12345 (until 2021-01-08)",
    ]
    assert "the first 1,000 paths are kept" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_without_examples(capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path) -> None:
    """No value of the data gets out, whichever way."""
    outputs = [printed(capsys, table, *more, "--no-examples") for more in ([], ["--json"])]
    printed(capsys, table, "--schema", str(tmp_path / "s"), "--no-examples")
    outputs += [path.read_text() for path in (tmp_path / "s").rglob("*.json")]
    for output in outputs:
        for value in ("948874", "SUSPENDED", "It was paid.", "Main St", "9007199254740993"):
            assert value not in output


def test_the_whole_table_is_counted_exactly(
    capsys: pytest.CaptureFixture[str], table: Path
) -> None:
    """Every path and type of each row, compared with a simple walk; the runs are not forgotten."""
    found = as_json(capsys, table, "--full")
    payloads = [
        nodes_payload(row.domain, row.event_type, row.data)
        for row in delta_rows(table).elements()
        if "1e400" not in row.data
    ]
    expected = walked(payloads)
    for name, one in found.items():
        if one["event_type"] == "many":
            assert len(one["fields"]) == nodes.PATHS_LIMIT
            continue
        paths = {field["path"]: Counter(field["types"]) for field in one["fields"]}
        simple = {
            nodes.path(steps): counts
            for steps, counts in expected[name].items()
            if len(steps) <= nodes.DEPTH_LIMIT
            and all(len(step or "") <= nodes.NAME_LIMIT for step in steps)
        }
        if name != ("account", "status-change"):  # those with a number that Python does not know
            for counts in (paths, simple):
                for path in ("$", "$.id", "$.n", "$.m", "$.s"):
                    counts.pop(path, None)
        assert paths == simple, name
    runs = {one["fields"][0]["seen"]["first_run"] for one in found.values()}
    assert len(runs) == 1 and None not in runs


def nodes_payload(domain: str, event_type: str, data: str) -> Any:
    """A payload; when does not matter."""
    from pipeline.catalogue.observe import Payload

    return Payload(domain, event_type, 0, data)


def test_processes_find_the_same(table: Path) -> None:
    """On all cores, as in one process.

    Seen to fail with one file left out of those that the processes get.
    """
    where = Table(str(table))
    files = delta.load(where).files
    alone = whole.whole(where, files)
    with (
        mock.patch.object(whole, "_PROCESSES_BYTES", 0),
        mock.patch.object(whole.processes, "available", lambda: 2),
    ):
        assert whole.whole(where, files) == alone
    assert whole.processes.running() is None


def test_a_sample_and_the_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of a small first delivery they are the same, for all of it is in the sample."""
    deliver(tmp_path / "in" / "1.jsonl", [Event("a", 0, '{"id": 1}'), Event("b", 9, '{"x": []}')])
    run_here(tmp_path / "in", tmp_path / "table")
    where = Table(f"{tmp_path}/table")
    assert known.known(where, False).catalogue == known.known(where, True).catalogue


def test_schemas(capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path) -> None:
    """A file for each type, called like its partition, that every row fulfils."""
    jsonschema = pytest.importorskip("jsonschema")
    said = printed(capsys, table, "--schema", str(tmp_path / "schemas"))
    assert said == f"6 schemas in {tmp_path}/schemas\n"
    schemas = {
        tuple(unquote(part) for part in path.relative_to(tmp_path / "schemas").parts): path
        for path in (tmp_path / "schemas").rglob("*.json")
    }
    for row in delta_rows(table).elements():
        schema = json.loads(schemas[row.domain, f"{row.event_type}.json"].read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(json.loads(row.data), schema)
    assert (tmp_path / "schemas" / "%53hop%2F%45%55" / "many.json").exists()


def test_types_that_are_not_in_the_sample(
    capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path
) -> None:
    """A table of an earlier version has no catalogue: that is said, and what to do."""
    with mock.patch.object(known.catalogues, "load", lambda *_: nodes.Catalogue()):
        text = printed(capsys, table)
    assert "0 events. --full looks at every row." in text
    assert "Not in the sample, which --full is: 1/null, Shop/EU/many" in text


def test_runs_add_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Since which run, and until when, a field was there."""
    for number, data in enumerate(('{"id": 1, "old": 1}', '{"id": 2, "new": 1}')):
        deliver(tmp_path / "in" / f"{number}.jsonl", [Event(f"e{number}", number, data)])
        run_here(tmp_path / "in", tmp_path / "table")
    runs = sorted(path.stem for path in (tmp_path / "table/_eventsift/runs").iterdir())
    fields = as_json(capsys, tmp_path / "table")["account", "created"]["fields"]
    seen = {field["path"]: field["seen"] for field in fields}
    assert (seen["$.id"]["first_run"], seen["$.id"]["last_run"]) == (runs[0], runs[1])
    assert (seen["$.old"]["last_run"], seen["$.new"]["first_run"]) == (runs[0], runs[1])
    assert f"(first in run {runs[1]})" in printed(capsys, tmp_path / "table")
    full = as_json(capsys, tmp_path / "table", "--full")["account", "created"]["fields"]
    assert {field["path"]: field["seen"] for field in full} == seen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--output is needed"),
        (["--output", "x", "--json", "--schema", "y"], "not allowed with argument"),
        (["--output", "x", "--jsn"], "unknown option --jsn; did you mean --json?"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    """What is wrong with the options is said in one line."""
    with pytest.raises(SystemExit) as stopped:
        catalogue_command.main(arguments)
    assert stopped.value.code == console.USAGE
    assert sentence in capsys.readouterr().err


def test_no_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A wrong folder is said."""
    assert catalogue_command.main(["--output", str(tmp_path)]) == console.FAILED
    assert "it has no _delta_log" in capsys.readouterr().err
