"""What LEIAME.md, the quick start in Portuguese, tells people to do works."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.commands import command
from tests.project.test_readme import README, blocks

LEIAME = (Path(__file__).parents[2] / "LEIAME.md").read_text()
COMMANDS = [
    line
    for block in blocks(LEIAME, "sh")
    for line in block.splitlines()
    if line != "./run.sh"  # the demonstration, which `test_run_sh` is about
]


def test_the_example_is_that_of_the_readme() -> None:
    """The events and the rows that come of them are the same in both languages."""
    assert blocks(LEIAME, "json") == blocks(README, "json")
    rows = re.findall(r"^\| e.*$", README, re.MULTILINE)
    assert rows
    assert re.findall(r"^\| e.*$", LEIAME, re.MULTILINE) == rows


def test_the_commands_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a person pastes them: files are made, published, shown, checked and read."""
    monkeypatch.chdir(tmp_path)
    assert [shlex.split(line)[1] for line in COMMANDS] == [
        "generate", "run", "page", "verify", "compact",
    ]  # fmt: skip
    for line in COMMANDS:
        done = command(*shlex.split(line)[1:], module="pipeline.cli", cwd=tmp_path)
        assert (done.status, done.err) == (0, ""), line
    assert os.path.getsize("tabela.html") > 10_000

    rows = []
    for block in blocks(LEIAME, "python"):
        names: dict[str, Any] = {}
        exec(block, names)
        rows.append(len(names["eventos"]))

    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert 15_000 < rows[0] < 20_000
