"""The command `eventsift`: which commands there are, and what it says where none is meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import __version__, cli
from tests.commands import ROOT


def eventsift(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs the command as a checkout does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_commands_work_on_one_table(tmp_path: Path) -> None:
    """Sample events, a run, the check and the tidying: each is a command."""
    made = eventsift("generate", "--events", "50", "--output", tmp_path / "in")
    run = eventsift("run", "--input", tmp_path / "in", "--output", tmp_path / "table")
    verify = eventsift("verify", "--output", tmp_path / "table")
    compact = eventsift("compact", "--output", tmp_path / "table")

    assert [done.returncode for done in (made, run, verify, compact)] == [0, 0, 0, 0]
    assert [done.stderr for done in (run, verify, compact)] == ["", "", ""]
    assert "Published as version" in run.stdout
    assert "Everything is right." in verify.stdout
    assert "Nothing to merge" in compact.stdout


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_fits_80_columns_and_names_what_was_typed(command: str) -> None:
    """People see the name that they can type again."""
    done = eventsift(*filter(None, [command]), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: eventsift {command or 'COMMAND'}")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_version() -> None:
    """It stands in bug reports."""
    assert eventsift("--version").stdout == f"eventsift {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verfy"], "eventsift: there is no command 'verfy'; did you mean verify?"),
        (["rnu"], "eventsift: there is no command 'rnu'; did you mean run?"),
        (["--verison"], "eventsift: there is no command '--verison'; did you mean --version?"),
        (["xyz"], "eventsift: there is no command 'xyz'; the commands are run, generate, verify"),
        ([], "usage: eventsift COMMAND"),
        (["run", "--ouput", "x"], "eventsift run: error: unknown option --ouput"),
        (["run", "--runer=x"], "eventsift run: error: unknown option --runer; did you mean --run"),
    ],
)
def test_a_command_that_is_not_there(arguments: list[str], said: str) -> None:
    """The nearest one is named; exit code 2, as for a mistyped option."""
    done = eventsift(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(said)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_mistyped_option(command: str) -> None:
    """Each command names the nearest option, before it misses one that was mistyped."""
    done = eventsift(command, "--ouput", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown option --ouput; did you mean --output?" in done.stderr
    assert len(done.stderr.splitlines()) == 1
