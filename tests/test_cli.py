"""The command `eventsift`: which commands there are, and what it says where none is meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import __version__, cli
from tests.commands import ROOT
from tests.deliveries import Event, deliver
from tests.tables import ids

SCRIPT = Path(sys.executable).with_name("eventsift")


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
        (["xyz"], "eventsift: there is no command 'xyz'; see eventsift --help"),
        ([], "usage: eventsift COMMAND"),
        (["run", "--ouput", "x"], "eventsift run: error: unknown option --ouput"),
    ],
)
def test_a_command_that_is_not_there(arguments: list[str], said: str) -> None:
    """The nearest one is named; exit code 2, as for a mistyped option."""
    done = eventsift(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(said)


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed here")
def test_a_folder_of_the_same_name_is_not_taken_for_the_package(tmp_path: Path) -> None:
    """People have folders called pipeline."""
    for package in ("pipeline", "generator"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit(99)")
    source = deliver(tmp_path / "a.jsonl", [Event("a", "2021-01-08T10:00:00")])
    done = subprocess.run(
        [SCRIPT, "run", "--input", source, "--output", "table"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert ids(tmp_path / "table") == ["a"]
