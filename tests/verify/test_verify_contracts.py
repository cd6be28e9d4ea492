"""A table whose run rejects what breaks a contract, held against its input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipeline.command import console
from pipeline.verify.check import RIGHT, WRONG, main
from tests.commands import Finished, in_process
from tests.small_runs import line, run, write
from tests.tables import delta_rows, ids

MAP = "event_id=id,timestamp=ts,domain=app,event_type=type,data=payload"


def mapped(text: str) -> str:
    """Returns an event with the names of `MAP`."""
    names = {"event_id": "id", "timestamp": "ts", "domain": "app", "event_type": "type"}
    names["data"] = "payload"
    return json.dumps({names[name]: value for name, value in json.loads(text).items()})


LINES = [
    line("a", data=1),
    line("a", "2021-01-08T11:00:00Z", data="x") + " ",  # the latest version, but refused
    line("b", data="x"),
    line("c", data=2),
    line("d", data="x", event_type="closed"),  # a type without contract
]


@pytest.fixture(params=["", MAP], ids=["own-names", "by-a-map"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A table, its input and its contract."""
    write(tmp_path / "contract" / "account" / "created.json", '{"type": "integer"}')
    lines = [mapped(one) for one in LINES] if request.param else LINES
    write(tmp_path / "in" / "1.jsonl", *lines, "oops")
    options = ["--fields", request.param] if request.param else []
    run(tmp_path / "in", tmp_path / "table", *options, *contract(tmp_path))
    assert ids(tmp_path / "table") == ["a", "c", "d"]
    return tmp_path


def contract(folder: Path, mode: str = "reject") -> list[str]:
    """Returns the options of a run with the contract."""
    return ["--contract", str(folder / "contract"), "--contract-mode", mode]


def check(folder: Path) -> Finished:
    """Holds the table against its input."""
    return in_process("--output", folder / "table", "--input", folder / "in", main=main)


def letters(folder: Path) -> Path:
    """Returns the file of the dead letters."""
    (path,) = (folder / "table" / "_eventsift" / "rejects").iterdir()
    return path


def test_what_breaks_its_contract_counts_as_rejected(folder: Path) -> None:
    """An older version stays, and an event without another version is not missed."""
    done = check(folder)

    assert "compared    3 events that must be there, 3 rejects\n" in done.out
    assert done.out.endswith("Everything is right.\n")
    assert done.status == RIGHT


def test_a_lost_row_is_found(folder: Path) -> None:
    """Only a dead letter excuses a row, and only one of its own."""
    DeltaTable(folder / "table").delete("event_id = 'c'")

    done = check(folder)

    assert done.status == WRONG
    assert "event_id 'c' is lost" in done.out
    assert done.out.count("event_id '") == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"reason":"breaks-contract"', '"reason":"too-deep"'),
        (r"\"b\"", r"\"B\""),
        ("1.jsonl", "2.jsonl"),
        ('"offset":', '"offset":1'),
    ],
)
def test_other_dead_letters_excuse_nothing(folder: Path, old: str, new: str) -> None:
    """Reason, bytes, file and offset all count."""
    path = letters(folder)
    found = path.read_text().splitlines(keepends=True)
    changed = [one.replace(old, new) if r"\"b\"" in one else one for one in found]
    assert changed != found
    path.write_text("".join(changed))

    done = check(folder)

    assert done.status == WRONG
    assert "event_id 'b' is lost" in done.out
    assert done.out.count("event_id '") == 1


def test_a_lost_dead_letter_is_found(folder: Path) -> None:
    """The record without one must be in the table, and other rejects are still looked for."""
    letters(folder).unlink()

    done = check(folder)

    assert done.status == WRONG
    assert "event_id 'a' is stale" in done.out
    assert "event_id 'b' is lost" in done.out
    assert "1.jsonl, offset" in done.out


def test_a_dead_letter_of_a_file_that_is_gone(folder: Path) -> None:
    """It excuses nothing and is no finding, as with all other dead letters."""
    found = letters(folder).read_text()
    letters(folder).write_text(found + found.replace("1.jsonl", "gone.jsonl"))

    assert check(folder).status == RIGHT


def test_the_contract_was_corrected(folder: Path) -> None:
    """What a later run has published counts, in spite of the dead letters of the first."""
    write(folder / "contract" / "account" / "created.json", '{"type": ["integer", "string"]}')
    run(folder / "in", folder / "table", *contract(folder), "--rebuild")
    assert {row.event_id: row.data for row in delta_rows(folder / "table")}["a"] == '"x"'

    assert check(folder).status == RIGHT

    DeltaTable(folder / "table").update({"extra": "'{}'"}, predicate="event_id = 'c'")
    assert "event_id 'c' is altered" in check(folder).out


def test_a_run_that_has_failed_first(folder: Path) -> None:
    """It leaves dead letters of what a later run publishes."""
    is_mapped = '"payload"' in (folder / "in" / "1.jsonl").read_text()
    more = line("e", data="x")
    write(folder / "in" / "2.jsonl", mapped(more) if is_mapped else more)
    run(folder / "in", folder / "table", *contract(folder, "fail"), code=console.REJECTED)
    run(folder / "in", folder / "table")
    assert "e" in ids(folder / "table")

    assert check(folder).status == RIGHT
