"""Files whose fields are called otherwise, through the real commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline import compact
from pipeline.command import console, job
from pipeline.preview import command as preview
from pipeline.status import check as status
from pipeline.verify import check as verify
from tests.commands import Finished, in_process, run_job
from tests.small_runs import line, run, write
from tests.tables import delta_rows, ids, plain_rows

MAP = "event_id=id,timestamp=meta.ts,domain=meta.app,event_type=type,data=payload.body"


def record(event_id: str, timestamp: str = "2021-01-08T10:00:00Z", body: object = 1) -> str:
    """An event as others write it."""
    meta = {"ts": timestamp, "app": "account", "trace": 7}
    return json.dumps({"id": event_id, "meta": meta, "type": "created", "payload": {"body": body}})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table that was made with a map."""
    write(tmp_path / "in" / "1.jsonl", record("a"), record("b"))
    run(tmp_path / "in", tmp_path / "table", "--fields", MAP)
    return tmp_path / "table"


def verified(root: Path) -> str:
    """What `verify` says of a table, which must be right."""
    done = in_process("--output", root, main=verify.main)
    assert done.status == verify.RIGHT, done.out
    return done.out


def refused(root: Path, *options: str) -> Finished:
    """A run that must be refused."""
    done = in_process("--input", root.parent / "in", "--output", root, *options)
    assert done.status == console.FAILED
    assert "Nothing was published; the table is as it was." in done.err
    return done


def test_the_command_reads_files_of_others(tmp_path: Path) -> None:
    """The report says how they were read; data and the rest are as they were delivered."""
    write(tmp_path / "in" / "1.jsonl", record("a"), record("b", body={"x": 1.5}))
    summary = run_job(tmp_path / "in", tmp_path / "table", "--fields", MAP)

    assert summary["events"]["kept"] == 2
    assert summary["field_map"] == MAP
    rows = sorted(delta_rows(tmp_path / "table"))
    assert [(row.event_id, row.data, row.extra) for row in rows] == [
        ("a", "1", '{"meta":{"trace": 7}}'.replace(": ", ":")),
        ("b", '{"x": 1.5}', '{"meta":{"trace":7}}'),
    ]
    assert rows == sorted(plain_rows(tmp_path / "table"))


def test_a_later_run_need_not_give_it(table: Path) -> None:
    """It may; and the versions of all runs are merged."""
    write(table.parent / "in" / "2.jsonl", record("a", "2021-01-09T10:00:00Z", body=2))
    merged = run(table.parent / "in", table)
    assert (merged.events.kept, merged.events.rejected, merged.field_map) == (1, 0, MAP)
    write(table.parent / "in" / "3.jsonl", record("c"))
    assert run(table.parent / "in", table, "--fields", MAP).events.kept == 1

    assert {row.event_id: row.data for row in delta_rows(table)} == {"a": "2", "b": "1", "c": "1"}
    assert f"fields      {MAP}\n" in verified(table)


def test_another_map_is_refused(table: Path) -> None:
    """With both shown; nothing of it is read, and `plan` says the same."""
    write(table.parent / "in" / "2.jsonl", line("c"))
    other = MAP.replace("type=type", "type=kind")
    said = f"was made with --fields {MAP}, this run has --fields"
    assert f"{said} {other}: leave it out" in refused(table, "--fields", other).err
    assert f"{said} event_id=event_id:" in refused(table, "--fields", "event_id=event_id").err
    assert "it out to go on as before" in refused(table, "--fields", "data=.").err
    planned = in_process(
        "--input", table.parent / "in", "--output", table, "--fields", other, main=preview.main
    )
    assert planned.status == console.FAILED
    assert f"{said} {other}" in planned.err
    assert ids(table) == ["a", "b"]


def test_a_map_for_a_table_without_one_is_refused(tmp_path: Path) -> None:
    """It says that the table was made without."""
    write(tmp_path / "in" / "1.jsonl", line("a"))
    run(tmp_path / "in", tmp_path / "table")
    write(tmp_path / "in" / "2.jsonl", record("b"))
    assert (
        f"was made without --fields, this run has --fields {MAP}"
        in refused(tmp_path / "table", "--fields", MAP).err
    )
    assert "fields" not in verified(tmp_path / "table")


def test_a_rebuild_may_change_it(table: Path) -> None:
    """In the same commit; a rebuild without the option keeps it."""
    folder = table.parent / "in"
    identity = DeltaTable(table).metadata().id
    assert run(folder, table, "--rebuild").field_map == MAP
    (folder / "1.jsonl").unlink()
    write(folder / "2.jsonl", line("c"), line("d"))
    rebuilt = run(folder, table, "--rebuild", "--fields", "event_id=event_id")
    assert (rebuilt.events.kept, rebuilt.field_map) == (2, "")
    assert ids(table) == ["c", "d"]
    assert "fields" not in verified(table)
    assert DeltaTable(table).metadata().id == identity

    write(folder / "3.jsonl", line("e"))
    assert run(folder, table).events.kept == 1
    (folder / "2.jsonl").unlink()
    (folder / "3.jsonl").unlink()
    write(folder / "4.jsonl", record("f"))
    assert run(folder, table, "--rebuild", "--fields", MAP).table.rows == 1
    assert f"fields      {MAP}\n" in verified(table)
    assert sorted(delta_rows(table)) == sorted(plain_rows(table))


def test_a_rebuild_that_keeps_nothing_changes_nothing(table: Path) -> None:
    """Every record is rejected by the new map: table and map stay."""
    run(table.parent / "in", table, "--rebuild", "--fields", "data=x", code=console.REJECTED)
    assert ids(table) == ["a", "b"]
    assert f"fields      {MAP}\n" in verified(table)


def test_compact_keeps_it(table: Path) -> None:
    """As does history."""
    for number in range(2, 5):
        write(table.parent / "in" / f"{number}.jsonl", record(f"{number}"))
        run(table.parent / "in", table, "--target-file-mb", "1")
    assert in_process("--output", table, main=compact.main).status == console.DONE
    assert f"fields      {MAP}\n" in verified(table)
    write(table.parent / "in" / "9.jsonl", record("9"))
    assert run(table.parent / "in", table).events.kept == 1


def test_other_tools_keep_it(table: Path) -> None:
    """An append, a delete and a checkpoint of delta-rs."""
    rows = DeltaTable(table).to_pyarrow_table()
    write_deltalake(table, rows.slice(0, 0), mode="append")
    DeltaTable(table).delete("event_id = 'b'")
    DeltaTable(table).create_checkpoint()
    write(table.parent / "in" / "2.jsonl", record("c"))
    assert run(table.parent / "in", table).field_map == MAP
    assert ids(table) == ["a", "c"]


def test_status_tells_it(table: Path) -> None:
    """For people and as JSON."""
    assert f"  fields     {MAP}" in in_process("--output", table, main=status.main).out
    told = in_process("--output", table, "--json", main=status.main).out
    assert json.loads(told)["fields"] == MAP


def test_plan_prints_the_option_to_use(tmp_path: Path) -> None:
    """What it prints, a run takes, and reads every record with it."""
    flat = {"id": "1", "time": "2021-01-08T10:00:00Z", "source": "app", "kind": "k", "n": {"x": 1}}
    write(tmp_path / "in" / "1.jsonl", json.dumps(flat), json.dumps({**flat, "id": "2"}))
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "table")]
    done = in_process(*arguments, main=preview.main)
    assert done.status == console.REJECTED
    (option,) = re.findall(r"read it with --fields (\S+)", " ".join(done.out.split()))
    assert option == "event_id=id,timestamp=time,domain=source,event_type=kind,data=."
    assert in_process(*arguments, "--fields", option, main=preview.main).status == console.DONE
    assert run(tmp_path / "in", tmp_path / "table", "--fields", option).events.kept == 2


@pytest.mark.parametrize("name", ["data=a,data=b", "id"])
def test_a_map_that_is_none_is_a_usage_error(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything starts."""
    arguments = ["--input", str(tmp_path), "--output", str(tmp_path / "t"), "--fields", name]
    with pytest.raises(SystemExit) as stopped:
        job.main(arguments)
    assert stopped.value.code == console.USAGE
    assert "argument --fields: " in capsys.readouterr().err
