"""Which files a table was made of: ``status --files``, from the ledger."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline import compact
from pipeline.bookkeeping import journal, ledger, listings
from pipeline.command import console
from pipeline.status import check as status
from tests.commands import command, in_process, run_job
from tests.crashes import killed_at
from tests.small_runs import line, newest, run, write

NOON = 1_610_107_200  # 2021-01-08T12:00:00Z


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two files, which arrived two hours and a day after their events."""
    folder = tmp_path / "in"
    write(folder / "1.jsonl", line("a"), line("b", "2021-01-08T09:00:00Z"), "oops")
    write(folder / "2.jsonl", line("a", "2021-01-08T11:00:00Z"), line("c", "2021-01-07T12:00:00Z"))
    os.utime(folder / "1.jsonl", (NOON, NOON))
    os.utime(folder / "2.jsonl", (NOON - 60, NOON - 60))
    run(folder, tmp_path / "table")
    return tmp_path / "table"


def files(root: Path) -> list[dict[str, Any]]:
    """What the command tells as JSON."""
    done = in_process("--output", root, "--files", "--json", main=status.main)
    assert done.status == console.DONE
    found: list[dict[str, Any]] = json.loads(done.out)["files"]
    return found


def test_each_file_with_what_it_had(table: Path) -> None:
    """Counts, times and lateness; superseded events count, too."""
    first, second = files(table)
    assert first == {
        "path": f"{table.parent}/in/1.jsonl",
        "bytes": (table.parent / "in" / "1.jsonl").stat().st_size,
        "arrived": "2021-01-08T12:00:00Z",
        "run": newest(table).run,
        "version": 0,
        "events": 2,
        "rejects": 1,
        "first_event": "2021-01-08T09:00:00Z",
        "last_event": "2021-01-08T10:00:00Z",
        "least_late_seconds": 7200.0,
        "most_late_seconds": 10800.0,
    }
    assert (second["events"], second["rejects"], second["most_late_seconds"]) == (2, 0, 86340.0)


def test_the_command_says_it(table: Path) -> None:
    """In the real command, as a person reads it; without the option it says nothing of files."""
    done = command("--output", table, "--files", module="pipeline.status")
    assert done.status == console.DONE, done.err
    assert "  published  2 files, 4 events\n" in done.out
    assert f"  {table.parent}/in/1.jsonl\n      2 events, 1 reject; run " in done.out
    assert "      of 2021-01-08T09:00:00Z to 2021-01-08T10:00:00Z\n" in done.out
    assert "      arrived 2021-01-08T12:00:00Z, 2 h to 3 h later\n" in done.out
    assert "/in/1.jsonl" not in in_process("--output", table, main=status.main).out


def test_every_run_adds_its_files(table: Path) -> None:
    """A merge, a file that changed, one without events, and compaction."""
    folder = table.parent / "in"
    before = newest(table).run
    write(folder / "1.jsonl", line("d"))
    write(folder / "3.jsonl")
    run_job(folder, table, "--workers", "2")
    merged = newest(table).run
    assert in_process("--output", table, main=compact.main).status == console.DONE
    found = {one["path"][-7:]: (one["run"], one["events"], one["rejects"]) for one in files(table)}
    assert found == {
        "1.jsonl": (merged, 1, 0),
        "2.jsonl": (before, 2, 0),
        "3.jsonl": (merged, 0, 0),
    }
    rebuilt = run(folder, table, "--rebuild")
    assert {one["run"] for one in files(table)} == {rebuilt.run}


def test_many_small_files_on_all_cores(tmp_path: Path) -> None:
    """Each with its own events, though they are decoded together."""
    for number in range(300):
        write(
            tmp_path / "in" / f"{number:03}.jsonl", *[line(f"{number}-{n}") for n in range(number)]
        )
    run(tmp_path / "in", tmp_path / "table", "--workers", "2")
    found = files(tmp_path / "table")
    assert {one["path"][-9:]: one["events"] for one in found} == {
        f"{number:03}.jsonl": number for number in range(300)
    }
    text = in_process("--output", tmp_path / "table", "--files", main=status.main).out
    assert "and 280 more; --json has all" in text


def test_a_run_that_was_killed_after_its_commit(table: Path) -> None:
    """What its files had is in its journal, from which the next run takes it."""
    folder = table.parent / "in"
    write(folder / "3.jsonl", line("e"), line("f"))
    with killed_at(journal, "keep"):
        run(folder, table)
    write(folder / "4.jsonl", line("g"))
    run(folder, table)
    assert {one["path"][-7:]: one["events"] for one in files(table)} == {
        "1.jsonl": 2, "2.jsonl": 2, "3.jsonl": 2, "4.jsonl": 1,
    }  # fmt: skip


def test_a_ledger_of_an_earlier_version(table: Path) -> None:
    """It stays readable: its files are not read again, and nothing is said of what they had."""
    path = table / ledger.LEDGER
    found = listings.unpack(path.read_bytes(), ledger._SCHEMA, ledger._GAPS)
    old = found.select([*listings.SCHEMA.names, "version"])
    path.write_bytes(listings.pack(old.replace_schema_metadata(found.schema.metadata)))
    (first, second) = files(table)
    assert (first["run"], first["events"], second["first_event"]) == (None, None, None)
    text = in_process("--output", table, "--files", main=status.main).out
    assert "arrived 2021-01-08T12:00:00Z; what it had is not known" in text

    write(table.parent / "in" / "3.jsonl", line("h"))
    merged = run(table.parent / "in", table)
    assert (merged.files.read, merged.files.skipped) == (1, 2)
    assert [one["events"] for one in files(table)] == [1, None, None]
