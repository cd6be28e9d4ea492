"""run.sh: its commands, without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.project.checkouts import Checkout, Result


def test_help_prints_the_usage(checkout: Checkout) -> None:
    """Asking for help is no error, and needs no Python."""
    result = checkout.run("help")
    assert (result.status, result.out) == (0, "")
    assert result.err.startswith("Usage: ./run.sh")


def test_usage_names_every_command(checkout: Checkout) -> None:
    """A command that exists but is not in the usage text would never be found."""
    script = (ROOT / "run.sh").read_text().split('case "$command" in')[1]
    cases = re.findall(r"^  ([a-z| -]+)\)", script, re.MULTILINE)
    names = {name for case in cases for name in case.split(" | ")} - {"demo", "-h", "--help"}
    assert names >= {"run", "generate", "test", "bench"}
    usage = checkout.run("help").err
    assert [name for name in names if f"\n  {name} " not in usage] == []


def test_unknown_command_is_refused_with_the_usage(checkout: Checkout) -> None:
    """A typing error must not start anything, and scripts must notice it (status 2)."""
    checkout.python("python3", "3.11")
    result = checkout.run("rnu")
    assert result.status == 2
    assert "unknown command: rnu" in result.err
    assert "Usage: ./run.sh" in result.err
    assert checkout.calls() == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(
            ("teh", "test"),
            ("rnu", "run"),
            ("test-enignes", "test-engines"),
            ("genrate", "generate"),
        ),
        *(("lnit", "lint"), ("verfiy", "verify"), ("tset-pythons", "test"), ("--hlep", None)),
    ],
)
def test_unknown_command_names_the_nearest_one(
    checkout: Checkout, typed: str, meant: str | None
) -> None:
    """In the last line, below the usage, where people look."""
    last = checkout.run(typed).err.splitlines()[-1]
    question = f"; did you mean ./run.sh {meant}?" if meant else ""
    assert last == f"run.sh: unknown command: {typed}{question}"


def test_every_command_can_be_the_nearest_one() -> None:
    """A command that is added to the usage is added to the list of `nearest`, too."""
    script = (ROOT / "run.sh").read_text()
    (listed,) = re.findall(r"for name in (.*); do", script)
    usage = script[script.index("Usage:") : script.index("\nEnvironment:")]
    names = re.findall(r"^  ([a-z-]+) ", usage, re.MULTILINE)
    assert listed.split() == [name for name in names if name != "--version"]


@pytest.mark.parametrize(
    ("command", "module"),
    [(name, f"pipeline.cli {name}") for name in ("run", "generate", "verify", "compact", "page")],
)
def test_arguments_and_folder_reach_the_module(
    checkout: Checkout, tmp_path: Path, command: str, module: str
) -> None:
    """From another folder too: paths are the user's, globs stay whole, code is the checkout's."""
    checkout.python("python3", "3.11")
    user = tmp_path / "user's folder"
    user.mkdir()
    result = checkout.run(command, "--input", "in/*.jsonl", "--output=my table", cwd=user)
    assert result.status == 0, result.err
    last = checkout.log.read_text().splitlines()[-1]
    assert last == f"{user}|-m {module} --input in/*.jsonl --output=my table|{checkout.root}"


def test_the_modules_status_is_the_scripts(checkout: Checkout) -> None:
    """A failing job must fail the shell script that calls it."""
    venv = checkout.root.parent / "own" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text("#!/bin/bash\nexit 7\n")
    (venv / "python").chmod(0o755)
    assert checkout.run("run", EVENTSIFT_VENV=str(venv.parent)).status == 7


@pytest.fixture
def demo_python(checkout: Checkout) -> Callable[[], Result]:
    """The demonstration with a job that writes a four-row table; everything else is this Python."""
    pytest.importorskip("duckdb")
    job = checkout.root / "job.py"
    job.write_text(
        "import pathlib, pyarrow as pa, pyarrow.parquet as pq\n"
        "t = pathlib.Path('demo/table')\n"
        "for kind in ('domain=a/event_type=b', 'domain=c/event_type=d'):\n"
        "    p = t / kind / 'year=2021/month=01/day=08'\n"
        "    p.mkdir(parents=True)\n"
        "    pq.write_table(pa.table({'event_id': ['1', '2']}), p / 'part-1.parquet')\n"
        "(t / '_delta_log').mkdir()\n"
        "pq.write_table(pa.table({'txn': ['x']}), t / '_delta_log/1.checkpoint.parquet')\n"
    )
    python = checkout.root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/bash\nprintf \'%s|%s|\\n\' "$PWD" "$*" >> {checkout.log}\n'
        f'case "$2" in generator) ;; pipeline) "{sys.executable}" job.py ;;\n'
        f'  *) exec "{sys.executable}" "$@" ;; esac\n'
    )
    python.chmod(0o755)
    return lambda: checkout.run(EVENTSIFT_VENV=str(python.parent.parent), cwd=checkout.root.parent)


def test_demonstration_starts_afresh(checkout: Checkout, demo_python: Callable[[], Result]) -> None:
    """A second demonstration shows the same as the first, not a merge into the old table."""
    (checkout.root / "demo" / "table").mkdir(parents=True)
    (checkout.root / "demo" / "table" / "old").write_text("")
    result = demo_python()
    assert result.status == 0, result.err
    assert not (checkout.root / "demo" / "table" / "old").exists()
    assert [call.split(" --")[0] for call in checkout.calls()] == ["-m generator", "-m pipeline"]


def test_commands_of_the_demonstration_work_when_pasted(
    checkout: Checkout, demo_python: Callable[[], Result]
) -> None:
    """What the last lines tell the user to run does run, also past a Delta checkpoint."""
    out = demo_python().out
    commands = [line for line in out.splitlines() if line.startswith(("  cd ", "  .venv"))]
    assert len(commands) == 3, out
    pasted = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        cwd=checkout.root.parent,
        env={**os.environ, "PYTHONWARNINGS": "error::FutureWarning"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (pasted.returncode, pasted.stderr) == (0, "")
    pandas, duckdb = pasted.stdout.split("dtype: int64\n")
    assert [line.split() for line in pandas.splitlines()[1:]] == [["a", "b", "2"], ["c", "d", "2"]]
    assert "events" in duckdb
