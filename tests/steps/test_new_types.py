"""Which types of events a run has brought that the table did not have."""

from pathlib import Path

import pytest

from pipeline.bookkeeping import journal, summary
from pipeline.command import console, job
from tests.small_runs import line, run, write

SALE = ("account", "sale")
CREATED = ("account", "created")


def test_types_are_new_once(tmp_path: Path) -> None:
    """In the first run all are; later only those of which the table has no file.

    Seen to fail for the third run, which replaces the only file of a type, when the types of the
    files that a run removes were not taken away.
    """
    table = tmp_path / "table"

    first = run(write(tmp_path / "1.jsonl", line("a")), table)
    second = run(write(tmp_path / "2.jsonl", line("b"), line("c", event_type="sale")), table)
    later = line("a", "2021-01-08T11:00:00Z")
    third = run(write(tmp_path / "3.jsonl", later), table)
    fourth = run(write(tmp_path / "4.jsonl", line("d", "2021-02-02T00:00:00Z")), table)

    assert first.new_types == [CREATED]
    assert second.new_types == [SALE]
    assert (third.events.kept, third.new_types) == (1, [])
    assert (fourth.events.kept, fourth.new_types) == (1, [])


def test_a_rebuild_compares_with_the_table_before(tmp_path: Path) -> None:
    """What was there is not new, though every file is."""
    table = tmp_path / "table"
    run(write(tmp_path / "1.jsonl", line("a")), table)

    again = run(write(tmp_path / "2.jsonl", line("a"), line("c", domain="x/y")), table, "--rebuild")

    assert again.new_types == [("x/y", "created")]


def test_a_run_that_the_next_one_completes_has_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are staged with the run's summary."""
    table, source = tmp_path / "table", write(tmp_path / "1.jsonl", line("a"))

    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError("the disk is full")

        patch.setattr(journal, "keep", full)
        arguments = ["--input", str(source), "--output", str(table), "--workers", "1"]
        assert job.main(arguments) == console.FAILED
    run(write(tmp_path / "2.jsonl", line("b")), table)

    runs = (table / "_eventsift" / "runs").glob("*.json")
    first, second = sorted(runs, key=lambda path: path.stat().st_mtime_ns)
    assert summary.decode(first.read_bytes()).new_types == [CREATED]
    assert summary.decode(second.read_bytes()).new_types == []
