"""Streams that take nothing, or not everything, are no failure of the commands that write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import command, environment, python, run_here
from tests.deliveries import Event, deliver

COMMANDS = ["pipeline", "pipeline.verify", "generator", "pipeline.compact"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of one event, and beside it what was delivered."""
    folder = tmp_path_factory.mktemp("made")
    run_here(deliver(folder / "first.jsonl", [Event("a")]), folder / "out")
    return folder


@pytest.fixture
def table(made: Path, tmp_path: Path) -> Path:
    """A copy of that table."""
    return Path(shutil.copytree(made / "out", tmp_path / "out"))


@pytest.mark.parametrize("module", ["pipeline.verify", "pipeline", "generator"])
def test_a_reader_that_goes_away_is_no_failure(
    made: Path, table: Path, tmp_path: Path, module: str
) -> None:
    """`… | head -1`: silence, and the exit code is that of the work."""
    arguments = {
        "pipeline": ["--input", made / "first.jsonl", "--output", table],
        "pipeline.verify": ["--output", table],
        "generator": ["--events", "10", "--output", tmp_path / "in"],
    }[module]
    for more in ([], ["--help"]):
        reads, writes = os.pipe()
        os.close(reads)
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments), *more],
            env=environment(),
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writes)
        assert (done.returncode, done.stderr) == (0, "")


# Commands that do well write nothing to standard error: there one stands for all.
@pytest.mark.parametrize(
    ("module", "stream"),
    [
        *((name, "stdout") for name in COMMANDS),
        ("pipeline", "stderr"),
    ],
)
@pytest.mark.parametrize("way", ["closed", "full"])
def test_a_stream_that_takes_nothing_is_no_failure(
    made: Path, table: Path, tmp_path: Path, module: str, stream: str, way: str
) -> None:
    """`>&-` and `> /dev/full`: no traceback, and the exit code is that of the work."""
    arguments = {
        "pipeline": ["--input", made / "first.jsonl", "--output", table],
        "generator": ["--events", "10", "--output", tmp_path / "in"],
    }.get(module, ["--output", table])
    number = {"stdout": 1, "stderr": 2}[stream]
    where = {"closed": f"{number}>&-", "full": f"{number}>/dev/full"}[way]
    done = subprocess.run(
        ["bash", "-c", f'"$@" {where}', "-", sys.executable, "-m", module, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    told = "eventsift: standard output is lost: No space left on device\n"
    expected = told if (stream, way) == ("stdout", "full") else ""
    assert (done.returncode, done.stderr) == (0, expected)


def test_characters_that_a_terminal_lacks_are_written_as_escapes(tmp_path: Path) -> None:
    """A file's name never stops the command that wants to speak of it."""
    arguments = ["--input", tmp_path / "é", "--output", tmp_path / "out"]
    done = python("-m", "pipeline", *arguments, env=environment(PYTHONIOENCODING="ascii:strict"))
    assert done.status == 1
    assert r"\xe9" in done.err


@pytest.mark.parametrize("module", ["pipeline.verify", "pipeline.compact"])
def test_no_table_is_said_in_one_line(tmp_path: Path, module: str) -> None:
    """Nothing that libraries print stands around the sentence; an unset variable is a mistake."""
    for output, code, said in (
        (str(tmp_path), 1, f"eventsift: {tmp_path}: "),
        (str(tmp_path / "no"), 1, f"eventsift: {tmp_path / 'no'}: "),
        ("", 2, f"python -m {module}: error: argument --output: '' is no path"),
    ):
        done = command("--output", output, module=module)
        assert (done.status, done.err[: len(said)]) == (code, said)
        assert code == 2 or "; --output names the table's folder\n" in done.err
