"""Runs with contracts, through the real commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.command import console, explain, job
from pipeline.describe import catalogue_command
from pipeline.input import contracts
from pipeline.preview import command as preview
from pipeline.verify import check as verify
from tests.commands import command, in_process
from tests.small_runs import line, newest, run, write
from tests.tables import ids, letters_in, recorded

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "lines": {"items": {"maximum": 9}}},
}
GOOD = {"id": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a contract for account/created, and events of which two break it."""
    write(tmp_path / "contract" / "account" / "created.json", json.dumps(SCHEMA))
    write(
        tmp_path / "in" / "1.jsonl",
        line("a", data=GOOD),
        line("b", data={"id": "x"}),
        line("c", data={"id": 2, "lines": [1, 10]}),
        line("d", data="anything", event_type="closed"),
    )
    return tmp_path


def given(folder: Path, *mode: str) -> list[str]:
    """The options."""
    return ["--contract", str(folder / "contract"), *(["--contract-mode", *mode] if mode else [])]


def test_schemas_of_the_catalogue_are_a_contract(tmp_path: Path) -> None:
    """What `catalogue --schema` writes is kept by the events it was made of, and not by others."""
    write(
        tmp_path / "in" / "1.jsonl",
        line("a", data=GOOD, event_type="Füll/e"),
        line("b", data={"id": 2, "when": None}, event_type="Füll/e"),
        line("c", data=[1.5, "x"], event_type="closed"),
    )
    table, schemas = tmp_path / "table", tmp_path / "schemas"
    run(tmp_path / "in", table)
    told = in_process("--output", table, "--schema", schemas, main=catalogue_command.main)
    assert told.status == console.DONE

    given = ("--contract", str(schemas), "--contract-mode", "fail")
    found = run(tmp_path / "in", table, "--rebuild", *given)

    assert found.contract is not None
    assert (found.contract.types, found.contract.checked, found.contract.broken) == (2, 3, 0)
    write(tmp_path / "in" / "2.jsonl", line("d", data={"id": "x"}, event_type="Füll/e"))
    refused = in_process("--input", tmp_path / "in", "--output", table, *given)
    assert refused.status == console.REJECTED
    assert "account/Füll/e at $.id: type (1)" in refused.err


def test_events_that_break_it_are_counted(folder: Path) -> None:
    """By the command; all are published, and the report names type, path, rule and count."""
    done = command("--input", folder / "in", "--output", folder / "table", *given(folder))
    assert (done.status, done.err) == (0, "")
    assert ids(folder / "table") == ["a", "b", "c", "d"]
    told = " ".join(done.out.split())
    assert "contract 3 events of 1 type checked 2 broken" in told
    assert '1 account/created $.id type: "x" is not of type "integer"' in told
    assert "1 account/created $.lines[*] maximum: 10 is greater than the maximum of 9" in told
    summary = newest(folder / "table")
    assert summary.contract is not None
    assert (summary.contract.mode, summary.contract.checked, summary.contract.broken) == (
        "warn", 3, 2,
    )  # fmt: skip
    assert summary.events.rejected == 0


def test_events_that_break_it_become_dead_letters(folder: Path) -> None:
    """With the path and the rule, and the record as it was delivered."""
    found = run(folder / "in", folder / "table", *given(folder, "reject"))
    assert ids(folder / "table") == ["a", "d"]
    assert found.rejected == {"breaks-contract": 2}
    first, second = letters_in(found.rejects or "")
    assert first["message"].startswith(
        "data at $.id breaks 'type' of account/created: \"x\" is not"
    )
    assert second["message"].startswith("data at $.lines[1] breaks 'maximum' of account/created")
    assert second["raw"] == line("c", data={"id": 2, "lines": [1, 10]}).encode()
    assert in_process("--output", folder / "table", main=verify.main).status == verify.RIGHT


def test_the_run_fails(folder: Path) -> None:
    """Nothing is published, the dead letters are kept, and the next run reads the files again."""
    options = ["--input", folder / "in", "--output", folder / "table", *given(folder, "fail")]
    done = in_process(*options)
    assert done.status == console.REJECTED
    assert (
        "nothing was published: 2 of 3 events break their contract; most often account/created at"
        ' $.id: type (1), such as: "x" is not of type "integer"; see '
    ) in done.err
    (letters,) = (folder / "table" / "_eventsift" / "rejects").iterdir()
    assert len(letters_in(letters)) == 2
    assert ids(folder / "table") == []
    write(folder / "in" / "1.jsonl", line("a", data=GOOD))
    assert run(folder / "in", folder / "table", *given(folder, "fail")).events.kept == 1


def test_a_merge_and_a_rebuild(folder: Path) -> None:
    """Only what is delivered is checked; a rebuild checks all that it reads."""
    run(folder / "in", folder / "table", *given(folder, "warn"))
    write(folder / "in" / "2.jsonl", line("b", "2021-01-09T00:00:00Z", data=GOOD), line("e"))
    merged = run(folder / "in", folder / "table", *given(folder, "reject"))
    assert merged.contract is not None
    assert (merged.contract.checked, merged.contract.broken) == (2, 1)
    assert ids(folder / "table") == ["a", "b", "c", "d"]
    rebuilt = run(folder / "in", folder / "table", "--rebuild", *given(folder, "reject"))
    assert rebuilt.rejected == {"breaks-contract": 3}
    assert ids(folder / "table") == ["a", "b", "d"]
    assert recorded(folder / "table") == ["1.jsonl", "2.jsonl"]


def test_all_cores_count_the_same(folder: Path) -> None:
    """Schemas travel to processes, and what they count comes back."""
    events = [line(f"{n}", data={"id": n if n % 3 else str(n)}) for n in range(30_000)]
    for number in range(8):
        write(folder / "in" / f"{number}.jsonl", *events[number::8], "x" * 600_000)
    found = run(folder / "in", folder / "table", "--workers", "2", *given(folder))
    assert found.contract is not None
    assert (found.contract.checked, found.contract.broken) == (30_000, 10_000)
    assert [one.events for one in found.contract.breaches] == [10_000]


def test_without_a_contract_nothing_is_said(folder: Path) -> None:
    """Neither in the report nor in the summary."""
    found = run(folder / "in", folder / "table")
    assert found.contract is None
    assert not any(name.endswith(("checked", "broken")) for name in found.counts)


def test_plan_tells_what_would_be_refused(folder: Path) -> None:
    """As the run will."""
    options = ["--input", folder / "in", "--output", folder / "table"]
    for mode, code in (("warn", console.DONE), ("reject", console.DONE), ("fail", 3)):
        done = in_process(*options, *given(folder, mode), main=preview.main)
        assert done.status == code
        assert "2 events in the beginnings break their contract" in " ".join(done.out.split())
    assert not (folder / "table").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--contract-mode", "warn"], 2, "--contract-mode says what --contract is for"),
        (["--contract", "nowhere"], 1, "nowhere: no schema is there"),
        (["--contract", "in"], 1, "in: no schema is there"),
        (["--contract", "contract", "--contract-mode", "drop"], 2, "invalid choice: 'drop'"),
    ],
)
def test_options_that_are_wrong(
    folder: Path, options: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything starts."""
    monkeypatch.chdir(folder)
    done = in_process("--input", "in", "--output", "table", *options)
    assert done.status == code
    assert said in done.err
    assert not (folder / "table").exists()


def test_without_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the command that installs it."""
    monkeypatch.setattr(contracts, "is_installed", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        job.main(["--input", str(folder), "--output", str(folder / "t"), *given(folder)])
    assert stopped.value.code == console.USAGE
    said = capsys.readouterr().err
    assert "--contract needs the extra 'contracts', which is not installed" in said
    assert explain.missing_contracts() in said
