"""docs/catalogue.md, its lines in the README, and the options' table are as the commands are."""

import re
from pathlib import Path

import duckdb
import pytest

from pipeline.command import console
from pipeline.describe import catalogue_command, views_command
from pipeline.describe.dialects import DIALECTS
from tests.commands import in_process, run_here
from tests.deliveries import Event, deliver
from tests.describe.tables import ORDINARY, deliveries
from tests.project.test_readme import DOCS, README, blocks

PAGE = DOCS["catalogue.md"]
MAINS = {"catalogue": catalogue_command.main, "views": views_command.main}


def test_options_are_in_the_table() -> None:
    """Every option of the two commands, with its help."""
    rows = re.findall(
        r"^\| `(--[a-z-]+)(?: [A-Z]+)?` \| (.*) \|$", DOCS["options.md"], re.MULTILINE
    )
    for command in (catalogue_command, views_command):
        for action in command._parser()._actions:
            if action.dest not in ("help", "output"):
                assert (action.option_strings[0], action.help) in rows


def test_the_three_lines_of_the_readme(tmp_path: Path) -> None:
    """They are run: the command, its file in DuckDB, and the question, with the README's events."""
    (lines,) = blocks(README, "json")
    (tmp_path / "in.jsonl").write_text(lines)
    run_here(tmp_path / "in.jsonl", tmp_path / "table")
    (block,) = [block for block in blocks(README, "") if "duckdb -init" in block]
    command, start, question = block.splitlines()
    name, file = re.fullmatch(r"\./run\.sh (\w+) --output table > (\S+)", command).groups()  # type: ignore[union-attr]
    assert start == f"duckdb -init {file}"
    printed = in_process("--output", tmp_path / "table", main=MAINS[name])
    assert printed.status == console.DONE

    database = duckdb.connect()
    database.execute(printed.out)

    data = '{"id":"tx-626265","amount":0.1000}'
    assert database.execute(question).fetchall() == [("tx-626265", 0.1, data)]


def test_the_example_is_so(tmp_path: Path) -> None:
    """The lines of the page are those that the command prints."""
    deliveries(tmp_path)
    run_here(tmp_path / "in", tmp_path / "table")
    printed = in_process("--output", tmp_path / "table", main=catalogue_command.main).out
    (example,) = [block for block in blocks(PAGE, "") if "account/status-change" in block]
    shown = [" ".join(line.split()) for line in example.splitlines()]
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    start = lines.index(shown[0])
    assert lines[start : start + len(shown)] == shown
    assert len(ORDINARY) == 5


def test_the_report_is_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's lines of a report, of two runs."""
    for number, data in enumerate(('{"id":1}', '{"id":"x","to":1,"tags":[]}')):
        event = Event(f"e{number}", number, data, "issued", "card")
        deliver(tmp_path / "in" / f"{number}.jsonl", [event])
        run_here(tmp_path / "in", tmp_path / "table")
    (example,) = [block for block in blocks(PAGE, "") if block.startswith("  fields ")]
    assert example in capsys.readouterr().out


def test_the_dialects_are_all_there() -> None:
    """Each has its row."""
    rows = PAGE[PAGE.index("| `--dialect` |") :].partition("\n\n")[0]
    names = [
        name for row in rows.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert names == list(DIALECTS)
