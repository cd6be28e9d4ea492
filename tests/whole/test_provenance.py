"""Tables whose rows say which file and run brought them, through the real commands."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipeline import compact
from pipeline.command import console
from pipeline.rows import parquet
from pipeline.status import check as status
from pipeline.verify import check as verify
from tests.commands import in_process, run_job
from tests.small_runs import line, newest, run, write
from tests.tables import data_files, delta_rows, ids

COLUMNS = ["event_id", "source_file", "run"]


def origins(root: Path) -> dict[str, tuple[str, str]]:
    """File (its name) and run of each row, as a reader of the Delta log sees them."""
    rows = DeltaTable(root).to_pyarrow_table(columns=COLUMNS).to_pylist()
    return {row["event_id"]: (Path(row["source_file"] or "none").name, row["run"]) for row in rows}


def verified(root: Path) -> str:
    """The digest of a table that is right."""
    done = in_process("--output", root, main=verify.main)
    assert done.status == verify.RIGHT, done.out
    return next(text for text in done.out.splitlines() if text.startswith("digest"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two files that was made with the option."""
    write(tmp_path / "in" / "1.jsonl", line("a"), line("b"), line("c", event_type="closed"))
    write(tmp_path / "in" / "2.jsonl", line("d"), line("b", "2021-01-08T11:00:00Z"))
    run(tmp_path / "in", tmp_path / "table", "--provenance")
    return tmp_path / "table"


def test_each_row_says_where_it_came_from(tmp_path: Path) -> None:
    """By the command, in the log and in the files; events from small files that are read together.

    The rows are those of a table without.
    """
    folder = tmp_path / "in"
    for number in range(40):
        write(folder / f"{number}.jsonl", *(line(f"{number}-{n}") for n in range(number)))
    summary = run_job(folder, tmp_path / "table", "--provenance", "--workers", "2")
    run(folder, tmp_path / "plain")

    found = origins(tmp_path / "table")
    assert found == {
        event_id: (f"{event_id.split('-')[0]}.jsonl", summary["run"]) for event_id in found
    }
    assert len(found) == sum(range(40))
    (file,) = data_files(tmp_path / "table")
    assert pq.read_table(file, columns=COLUMNS, partitioning=None).num_rows == len(found)
    assert delta_rows(tmp_path / "table") == delta_rows(tmp_path / "plain")
    assert verified(tmp_path / "table") == verified(tmp_path / "plain")


def test_a_merge_keeps_the_origin_of_each_row(table: Path) -> None:
    """Rows of the table keep theirs, whatever file they are written to; new ones have their own."""
    first = newest(table).run
    write(table.parent / "in" / "3.jsonl", line("a", "2021-01-09T10:00:00Z"), line("e"))
    second = run(table.parent / "in", table).run
    assert origins(table) == {
        "a": ("3.jsonl", second),
        "b": ("2.jsonl", first),
        "c": ("1.jsonl", first),
        "d": ("2.jsonl", first),
        "e": ("3.jsonl", second),
    }
    verified(table)


def test_large_destinations(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are written as they are read, and files of which some rows are left out."""
    monkeypatch.setattr(parquet, "LARGE_BYTES", 1 << 10)
    first = newest(table).run
    lines = [line(f"{n}", f"2021-01-08T{n % 24:02}:00:00Z", data="x" * 5000) for n in range(500)]
    write(table.parent / "in" / "3.jsonl", *lines[::2])
    write(table.parent / "in" / "4.jsonl", *lines[1::2])
    options = ["--workers", "0", "--target-file-mb", "1"]
    second = run(table.parent / "in", table, *options).run
    write(table.parent / "in" / "5.jsonl", line("7", "2021-02-01T00:00:00Z"))
    third = run(table.parent / "in", table, *options).run
    found = origins(table)
    assert found.pop("7") == ("5.jsonl", third)
    assert [found.pop(one) for one in "abcd"] == [
        ("1.jsonl", first), ("2.jsonl", first), ("1.jsonl", first), ("2.jsonl", first),
    ]  # fmt: skip
    assert found == {f"{n}": (f"{3 + n % 2}.jsonl", second) for n in range(500) if n != 7}
    verified(table)


def test_compact_keeps_it(table: Path) -> None:
    """Rows of merged files say what they said before."""
    for number in range(3, 7):
        write(table.parent / "in" / f"{number}.jsonl", line(f"{number}"))
        run(table.parent / "in", table, "--target-file-mb", "1")
    before = origins(table)
    DeltaTable(table).optimize.compact()  # another tool does the same
    assert origins(table) == before
    done = in_process("--output", table, main=compact.main)
    assert done.status == console.DONE, done.err
    assert origins(table) == before
    verified(table)


def test_rows_of_other_tools(table: Path) -> None:
    """They have no origin, unless the tool keeps it; a later run takes them over as they are."""
    before = origins(table)
    DeltaTable(table).update(updates={"data": "'2'"}, predicate="event_id = 'd'")
    DeltaTable(table).update(
        updates={"source_file": "null", "run": "null"}, predicate="event_id = 'a'"
    )
    write(table.parent / "in" / "3.jsonl", line("e"), line("b", "2021-01-08T12:00:00Z"))
    third = run(table.parent / "in", table).run
    assert origins(table) == before | {
        "a": ("none", None), "b": ("3.jsonl", third), "e": ("3.jsonl", third),
    }  # fmt: skip
    verified(table)


def test_a_table_without_it_does_not_get_it(tmp_path: Path) -> None:
    """It is refused, and said how; a rebuild gets it, and may give it up again."""
    folder, root = tmp_path / "in", tmp_path / "table"
    write(folder / "1.jsonl", line("a"))
    run(folder, root)
    write(folder / "2.jsonl", line("b"))
    done = in_process("--input", folder, "--output", root, "--provenance")
    assert done.status == console.FAILED
    assert f"{root} was made without --provenance, this run has --provenance:" in done.err

    rebuilt = run(folder, root, "--rebuild", "--provenance").run
    assert origins(root) == {"a": ("1.jsonl", rebuilt), "b": ("2.jsonl", rebuilt)}
    verified(root)
    done = in_process("--input", folder, "--output", root, "--provenance", "false")
    assert f"{root} was made with --provenance, this run has --provenance false:" in done.err
    again = run(folder, root, "--rebuild").run
    assert origins(root)["a"] == ("1.jsonl", again)
    run(folder, root, "--rebuild", "--provenance", "false")
    assert DeltaTable(root).to_pyarrow_table().column_names == [
        *("event_id", "timestamp", "nanos", "data", "extra"),
        *("domain", "event_type", "year", "month", "day"),
    ]
    assert ids(root) == ["a", "b"]
    verified(root)


def test_with_a_map_of_fields(tmp_path: Path) -> None:
    """The table keeps both."""
    write(tmp_path / "in" / "1.jsonl", line("a").replace("event_id", "id"))
    options = ["--fields", "event_id=id", "--provenance"]
    run(tmp_path / "in", tmp_path / "table", *options)
    write(tmp_path / "in" / "2.jsonl", line("b").replace("event_id", "id"))
    run(tmp_path / "in", tmp_path / "table")
    assert {name for name, _ in origins(tmp_path / "table").values()} == {"1.jsonl", "2.jsonl"}
    told = in_process("--output", tmp_path / "table", main=status.main).out
    assert "  fields     event_id=id\n" in told


def test_verify_finds_an_origin_that_is_incomplete(table: Path) -> None:
    """A row with a file and no run, or with the columns gone."""
    DeltaTable(table).update(updates={"run": "null"}, predicate="event_id = 'd'")
    done = in_process("--output", table, main=verify.main)
    assert done.status == verify.WRONG
    assert (
        "only one of source_file and run is null (rows: 1; the first has event_id 'd')" in done.out
    )
