"""Processes that get signals: started, held at a place, and how they have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.commands import TIMEOUT_SECONDS, environment

WORDS = {signal.SIGHUP: "hung up", signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
# A process that dies of SIGINT has the negative code for Python, and 130 for a shell.
CODES = {signal.SIGHUP: 129, signal.SIGINT: -signal.SIGINT, signal.SIGTERM: 143}
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)

# Runs a module as its command line does, and stops in front of, or behind, one of its functions,
# until a file called "go on" is there, or the test has gone.
HELD = """
import logging, os, pathlib, runpy, sys, time

test = os.getppid()
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
        if os.getppid() != test:
            os._exit(1)
    if when == "before":
        return real(*arguments, **options)

setattr(owner, function, hold)
sys.argv = sys.argv[5:]
runpy.run_module(command, run_name="__main__")
"""


def start(
    *command: str | Path, cwd: Path | None = None, hangup: signal.Handlers = signal.SIG_DFL
) -> subprocess.Popen[str]:
    """A Python process of its own; see `start_program`."""
    return start_program(sys.executable, *command, cwd=cwd, env=environment(), hangup=hangup)


def start_program(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str],
    hangup: signal.Handlers = signal.SIG_DFL,
) -> subprocess.Popen[str]:
    """A process in a group of its own, so that a signal to the group does not reach this one.

    Args:
        command: The program and its arguments.
        cwd: Where it works.
        env: Its environment.
        hangup: What it does on SIGHUP. The other signals do what they do at a terminal, also where
            the tests run in the background and ignore them.
    """

    def as_at_a_terminal() -> None:
        signal.signal(signal.SIGHUP, hangup)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    return subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_at_a_terminal,
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
    folder: Path,
    place: str,
    command: str,
    *arguments: str | Path,
    hangup: signal.Handlers = signal.SIG_DFL,
) -> subprocess.Popen[str]:
    """A command that has come to a place: "before module.function" or "after …"."""
    when, _, name = place.partition(" ")
    module, _, function = name.rpartition(".")
    reached = folder / "reached"
    run = ("-c", HELD, module, function, when, reached, command, *arguments)
    process = start(*run, hangup=hangup)
    while not reached.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    reached.unlink()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """How a process has ended: exit code and what it said; nothing of its group is left."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    latest = time.monotonic() + TIMEOUT_SECONDS
    while left := members(process.pid):
        assert time.monotonic() < latest, left
        time.sleep(0.02)
    return process.returncode, out, err


def members(session: int) -> list[str]:
    """The processes of a session; Linux only."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", pid, "stat").read_text(errors="replace")
        except OSError:  # it has ended
            continue
        fields = stat.rpartition(")")[2].split()
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(pid)
    return found
