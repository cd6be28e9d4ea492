"""Processes that get signals: started, held at a place, and how they have ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import TIMEOUT_SECONDS, environment

WORDS = {signal.SIGHUP: "hung up", signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
# A process that dies of SIGINT has the negative code for Python, and 130 for a shell.
CODES = {signal.SIGHUP: 129, signal.SIGINT: -signal.SIGINT, signal.SIGTERM: 143}
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)

# Runs a module as its command line does, and stops in front of, or behind, one of its functions,
# until a file called "go on" is there.
HELD = """
import logging, pathlib, runpy, sys, time

logging.basicConfig(level=logging.CRITICAL)  # Beam talks while it is imported
module, function, when, reached, command = sys.argv[1:6]
from pipeline import signals
signals.install("eventsift", "Nothing was published; the table is as it was.")
signals.install = lambda *_: None
import importlib
owner = importlib.import_module(module)
real = getattr(owner, function)

def hold(*arguments, **options):
    if when == "after":
        real(*arguments, **options)
    pathlib.Path(reached).touch()
    while not pathlib.Path(reached).with_name("go on").exists():
        sum(range(1000))  # busy, in Python
    if when == "before":
        return real(*arguments, **options)

setattr(owner, function, hold)
sys.argv = sys.argv[5:]
runpy.run_module(command, run_name="__main__")
"""


def start(*command: str | Path, **options: Any) -> subprocess.Popen[str]:
    """A process in a group of its own, so that a signal to the group does not reach this one."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def listening(process: subprocess.Popen[str]) -> None:
    """Waits until a process has handlers of its own for both signals; Linux only."""
    wanted = 1 << (signal.SIGINT - 1) | 1 << (signal.SIGTERM - 1)
    while True:
        assert process.poll() is None, process.communicate()
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught & wanted == wanted:
            return
        time.sleep(0.002)


def held(
    folder: Path, place: str, command: str, *arguments: str | Path, **options: Any
) -> subprocess.Popen[str]:
    """A command that has come to a place: "before module.function" or "after …"."""
    when, _, name = place.partition(" ")
    module, _, function = name.rpartition(".")
    reached = folder / "reached"
    process = start("-c", HELD, module, function, when, reached, command, *arguments, **options)
    while not reached.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    reached.unlink()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """How a process has ended: exit code and what it said; nothing of its group is left."""
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    latest = time.monotonic() + TIMEOUT_SECONDS
    while left := members(process.pid):
        assert time.monotonic() < latest, left
        time.sleep(0.02)
    return process.returncode, out, err


def members(session: int) -> list[str]:
    """The processes of a session; Linux only."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found
