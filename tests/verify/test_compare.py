"""A table held against answers and against its input: each planted fault is found, by either."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from generator import files
from generator.options import Options
from generator.presets import PRESETS
from pipeline.verify.check import RIGHT, WRONG, main
from tests.commands import Finished, in_process, run_here
from tests.deliveries import Event

SMALL = {"preset": "hostile", **PRESETS["hostile"].defaults, "types": 4, "days": 3, "files": 2}


class Right(NamedTuple):
    """A table that is right, its input and its answers.

    Attributes:
        folder: Where they are: "table", "in", "answers".
        options: What ``verify`` is given, by the name of the option.
    """

    folder: Path
    options: dict[str, list[str]]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Right:
    """A table that a run has made of a hostile delivery."""
    folder = tmp_path_factory.mktemp("right")
    options = Options(800, folder / "in", seed=3, answers=folder / "answers", **SMALL)
    files.deliver(options)
    run_here(folder / "in", folder / "table")
    given = {"--answers": [str(folder / "answers")], "--input": [str(folder / "in")]}
    return Right(folder, given)


@pytest.fixture
def table(right: Right, tmp_path: Path) -> Path:
    """A copy of that table, to plant faults in."""
    return Path(shutil.copytree(right.folder / "table", tmp_path / "table"))


def check(table: Path, right: Right, option: str) -> Finished:
    """Runs ``verify`` on a table with one of the options."""
    return in_process("--output", table, option, *right.options[option], main=main)


def findings(done: Finished) -> list[str]:
    """Returns what was found; what is only about files or the log is left out."""
    assert (done.status, done.err) == (WRONG, "")
    return [line for line in done.out.splitlines() if "event_id" in line or "offset" in line]


@pytest.mark.parametrize("option", ["--answers", "--input"])
def test_a_right_table_agrees(right: Right, option: str) -> None:
    """Rows and rejects are all counted, so nobody takes an empty comparison for a good one."""
    done = check(right.folder / "table", right, option)

    total = json.loads((right.folder / "answers").read_text().splitlines()[-1])
    assert (done.status, done.err) == (RIGHT, "")
    assert f"compared    {total['kept']} events that must be there, {total['rejected']} rej" in (
        done.out
    )
    assert f"digest      {total['digest']}\nc" in done.out
    assert done.out.endswith("Everything is right.\n")


# Faults in rows, planted with commits of another Delta tool: log and files agree with each other.


def rows(table: Path, **wanted: Any) -> pa.Table:
    """Returns the rows with some values, sorted by event_id."""
    found = DeltaTable(table).to_pyarrow_table()
    for name, value in wanted.items():
        found = found.filter(pc.equal(found[name], value))
    return found.sort_by("event_id")


def append(table: Path, found: pa.Table) -> None:
    """Adds rows."""
    write_deltalake(table, found, mode="append")


def delete(table: Path, event_id: str) -> None:
    """Deletes a row."""
    DeltaTable(table).delete(f"event_id = '{event_id}'")


def changed(found: pa.Table, **values: Any) -> pa.Table:
    """Returns rows with another value in some columns."""
    for name, value in values.items():
        field = found.schema.field(name)
        column = pa.array([value] * len(found), field.type)
        found = found.set_column(found.schema.get_field_index(name), field, column)
    return found


def replaced(table: Path, **values: Any) -> str:
    """Changes the first row; returns its event_id."""
    (event_id,) = rows(table)["event_id"].to_pylist()[:1]
    found = changed(rows(table, event_id=event_id), **values)
    delete(table, event_id)
    append(table, found)
    return event_id


def shifted(table: Path, **by: int) -> str:
    """Changes the timestamp of the first row; returns its event_id."""
    (when,) = rows(table)["timestamp"].to_pylist()[:1]
    return replaced(table, timestamp=when + datetime.timedelta(**by))


def lost(table: Path) -> str:
    """One row is not there."""
    (event_id,) = rows(table)["event_id"].to_pylist()[:1]
    delete(table, event_id)
    return f"event_id '{event_id}' is lost: it must be there, in "


def doubled(table: Path) -> str:
    """One row is there twice."""
    append(table, rows(table).slice(5, 1))
    event_id = rows(table)["event_id"][5]
    return f"event_id '{event_id}' is there 2 times: domain="


def invented(table: Path) -> str:
    """A row that nobody has delivered."""
    append(table, changed(rows(table).slice(0, 1), event_id="invented"))
    return "event_id 'invented' is there, but must not be"


def stale(table: Path) -> str:
    """An older version has survived."""
    return f"event_id '{shifted(table, seconds=-1)}' is stale: its timestamp is 20"


def too_new(table: Path) -> str:
    """A version that nobody has delivered, newer than the latest."""
    return f"event_id '{shifted(table, milliseconds=1)}' is too new: its timestamp is 20"


def of_another_type(table: Path) -> str:
    """A row lies in the partition of another type."""
    event_id = replaced(table, event_type="unheard-of")
    return f"event_id '{event_id}' is misplaced: it is in "


def of_another_day(table: Path) -> str:
    """A row lies in the partition of another day; this is found without any comparison."""
    event_id = replaced(table, day=27)
    start = "not of the UTC date of its partition, 2021-01-27 (rows: 1; the first has event_id"
    return f"{start} '{event_id}'"


def altered_data(table: Path) -> str:
    """A payload differs in nothing but white space."""
    (data,) = rows(table)["data"].to_pylist()[:1]
    event_id = replaced(table, data=data.replace(":", ": ", 1))
    return f"event_id '{event_id}' is altered: its nanos, data or extra is not that of"


def altered_extra(table: Path) -> str:
    """Unknown fields differ."""
    return (
        f"event_id '{replaced(table, extra=json.dumps({'v': 1}))}' is altered: its nanos, data or"
    )


def altered_nanos(table: Path) -> str:
    """A timestamp differs by a nanosecond."""
    return f"event_id '{replaced(table, nanos=1)}' is altered: its nanos, data or extra is not that"


PLANTED_ROWS = [
    lost, doubled, invented, stale, too_new, of_another_type, of_another_day, altered_data,
    altered_extra, altered_nanos,
]  # fmt: skip


# Faults in dead letters


def edited(table: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> str:
    """Changes the first dead letter, or removes it; returns how a finding about it begins."""
    (path,) = (table / "_eventsift" / "rejects").iterdir()
    first, *others = path.read_text().splitlines()
    letter = json.loads(first)
    after = change(dict(letter))
    path.write_text("\n".join([json.dumps(after)] * (after is not None) + others) + "\n")
    return f"{Path(letter['source']).name}, offset {letter['offset']:,}: "


def lost_reject(table: Path) -> str:
    """A record was refused, and nobody can find it again."""
    return edited(table, lambda letter: None) + "must be rejected"


def altered_reject(table: Path) -> str:
    """The bytes of a dead letter are not those that were delivered."""

    def change(letter: dict[str, Any]) -> dict[str, Any]:
        return {**letter, "raw": "something else"}

    return edited(table, change) + "its dead letter has other bytes"


def moved_reject(table: Path) -> str:
    """A dead letter names another place."""

    def change(letter: dict[str, Any]) -> dict[str, Any]:
        return {**letter, "offset": letter["offset"] + 1}

    return edited(table, change) + "must be rejected"


PLANTED_REJECTS = [lost_reject, altered_reject, moved_reject]


@pytest.mark.parametrize("option", ["--answers", "--input"])
@pytest.mark.parametrize("plant", [*PLANTED_ROWS, *PLANTED_REJECTS], ids=lambda one: one.__name__)
def test_a_planted_fault_is_found(
    right: Right, table: Path, plant: Callable[[Path], str], option: str
) -> None:
    """Exactly it is found, with its event_id or its place."""
    finding = plant(table)

    found = findings(check(table, right, option))

    assert any(finding in line for line in found), (finding, found)
    if plant is not doubled and plant is not of_another_day:  # the plain check finds these, too
        assert len(found) == 1


def test_a_record_too_large_to_be_kept_is_known_by_its_place(tmp_path: Path) -> None:
    """A dead letter has only its beginning."""
    large = json.dumps({"event_id": "e", "data": "x" * (17 << 20)})
    (tmp_path / "in.jsonl").write_text(f"{large}\n")
    in_process("--input", tmp_path / "in.jsonl", "--output", tmp_path / "table")
    (tmp_path / "more.jsonl").write_text(Event("a").line() + "\n")
    run_here(tmp_path / "more.jsonl", tmp_path / "table")
    given = ("--input", tmp_path / "in.jsonl", tmp_path / "more.jsonl")
    done = in_process("--output", tmp_path / "table", *given, main=main)
    assert (done.status, done.err) == (RIGHT, ""), done.out


def test_a_damaged_dead_letter_is_named(right: Right, table: Path) -> None:
    """With its file and line; nothing can be told then."""
    (path,) = (table / "_eventsift" / "rejects").iterdir()
    path.write_bytes(path.read_bytes() + b"{cut")
    done = check(table, right, "--input")
    assert done.status == WRONG
    assert f"{path.name}, line " in done.err and "not a dead letter" in done.err


def test_another_reason_of_a_reject_is_found(right: Right, table: Path) -> None:
    """Answers know why a record must be rejected; the input alone does not tell."""
    start = edited(table, lambda letter: {**letter, "reason": "too-large"})

    (found,) = findings(check(table, right, "--answers"))

    assert f"{start}is rejected as too-large, must be as " in found
    assert check(table, right, "--input").status == RIGHT


def test_many_differences_are_shown_in_part(right: Right, table: Path) -> None:
    """Of each sort ten are shown, and the others counted."""
    DeltaTable(table).delete("domain = 'account'")
    count = rows(right.folder / "table", domain="account").num_rows
    (path,) = (table / "_eventsift" / "rejects").iterdir()
    letters = len(path.read_text().splitlines())
    path.unlink()

    done = check(table, right, "--answers")

    assert sum(" is lost: it must be there, in account/" in line for line in findings(done)) == 10
    assert f"\n{count - 10:,} more event_ids are lost\n" in done.out
    assert f"\n{letters - 10:,} more rejects are lost\n" in done.out


def test_more_differences_than_are_looked_up_are_counted(
    right: Right, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of another input differs in every row: that must not take all memory."""
    monkeypatch.setattr("pipeline.verify.compare._LOOKED_UP", 3)
    DeltaTable(table).delete("domain = 'account'")
    count = rows(right.folder / "table", domain="account").num_rows

    done = check(table, right, "--input")

    assert f"\n{count - 3:,} more event_ids differ\n" in done.out


# Several deliveries, and what is no answer


def test_later_deliveries_go_together(tmp_path: Path) -> None:
    """Each delivery has its answers; the latest version over all of them must be in the table.

    Ties between two deliveries are decided, too. Seen to fail with answers without "digest".
    """
    options = Options(600, tmp_path / "in", seed=5, answers=tmp_path / "first", types=3, days=2)
    first = files.deliver(options)
    known = {"known_ids": first.known_ids, "first_file": first.next_file}
    changes = {"duplicates": 0.8, "ties": 0.5, "other_day": 0.1, "late": 0.1, "exact_copies": 0.2}
    second = options._replace(answers=tmp_path / "second", **known, **changes)
    run_here(tmp_path / "in", tmp_path / "table")
    files.deliver(second)
    given = "--output", tmp_path / "table", "--answers", tmp_path / "first"

    assert in_process(*given, main=main).status == RIGHT
    assert in_process(*given, tmp_path / "second", main=main).status == WRONG

    run_here(tmp_path / "in", tmp_path / "table")

    assert in_process(*given, tmp_path / "second", main=main).status == RIGHT
    assert in_process(*given, main=main).status == WRONG
    both = "--answers", tmp_path / "second", "--input", tmp_path / "in"
    assert in_process(*given, *both, main=main).status == RIGHT


def cut(lines: list[str]) -> list[str]:
    """Leaves out the last line, as if the generator had died."""
    return lines[:-1]


def thinned(lines: list[str]) -> list[str]:
    """Leaves out a line in the middle."""
    return lines[:5] + lines[6:]


def of_events(lines: list[str]) -> list[str]:
    """Returns no answers at all."""
    return ['{"event_id":"a"}']


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "answers: the answers are not whole; make them again"),
        (thinned, "answers: the answers are not whole; make them again"),
        (of_events, "answers, line 1: not an answer: 'kept'"),
        (lambda _: ["[1"], "answers, line 1: not an answer: "),
    ],
)
def test_answers_that_are_not_whole_are_refused(
    right: Right, tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    """They must not make a right table look wrong, nor a wrong one right."""
    lines = (right.folder / "answers").read_text().splitlines()
    (tmp_path / "answers").write_text("\n".join(change(lines)) + "\n")

    done = in_process(
        "--output", right.folder / "table", "--answers", tmp_path / "answers", main=main
    )

    assert done.status == WRONG
    assert done.err.startswith("eventsift: ")
    assert message in done.err
    assert done.out == ""


def test_a_pattern_without_files_is_refused(right: Right, tmp_path: Path) -> None:
    """The table's own files are never input, wherever it lies."""
    output = "--output", right.folder / "table"
    for pattern in (tmp_path / "*.jsonl", right.folder / "table"):
        done = in_process(*output, "--input", pattern, main=main)
        assert (done.status, done.err) == (WRONG, f"eventsift: no file matches '{pattern}'\n")
