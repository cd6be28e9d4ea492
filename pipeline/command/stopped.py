"""Clearing up after a run that a signal has stopped.

The process that ran it is replaced, under the same process id, by one that clears up: all threads
of the run end in that instant, whatever they were doing, and with them the lock that marks the run
as alive. What is left is what a killed run leaves, and is cleared up in the same way.
"""

import contextlib
import json
import os
import signal
import sys
import time
from typing import NamedTuple, NoReturn

import pipeline
from pipeline import signals
from pipeline.table.address import Table

# Holds the `Stopped` of the process that takes over; not an argument, which everybody can read.
_VARIABLE = "EVENTSIFT_STOPPED"
# How long children may take to end before they are killed.
_CHILDREN_SECONDS = 5.0
_POLL_SECONDS = 0.01


class Stopped(NamedTuple):
    """A run that a signal has stopped.

    Attributes:
        table: The table.
        run_id: The run.
        staging: The folder it staged payloads in.
        all_ended: Whether all workers of the run end with this process.
    """

    table: Table
    run_id: str
    staging: str
    all_ended: bool


def take_over(run: Stopped, number: int) -> NoReturn:
    """Replaces this process by one that clears up after the run, and ends as the signal says."""
    # Signals wait until the new process can handle them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.NUMBERS)
    package = os.path.dirname(os.path.dirname(os.path.abspath(pipeline.__file__)))
    program = (
        f"import sys; sys.path.insert(0, {package!r});"
        f" from pipeline.command import stopped; stopped.main({int(number)})"
    )
    environment = {**os.environ, _VARIABLE: json.dumps(run)}
    os.execve(sys.executable, [sys.executable, "-c", program], environment)


def main(number: int) -> NoReturn:
    """Clears up, says what has become of the table, and ends as the signal says."""
    table, *rest = json.loads(os.environ.pop(_VARIABLE))
    run = Stopped(Table(*table), *rest)
    _end_children()
    from pipeline import imports, storage
    from pipeline.command import console

    imports.leave_out_unused()
    from pipeline.bookkeeping import recovery, scratch
    from pipeline.bookkeeping.leases import DeadRun

    # A second request to stop that has come by now is ignored; the next signal ends this at once.
    for other in filter(signals.is_heard, signals.NUMBERS):
        signal.signal(other, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [other])
        signal.signal(other, signal.SIG_DFL)
    dead = DeadRun(run.run_id, run.staging)
    if not storage.is_local(run.staging):
        scratch.delete_those_of_dead_runs()
    version = recovery.abandon(run.table, dead, all_ended=run.all_ended)
    console.say(recovery.outcome(version), error=True)
    signals.die(number)


def _end_children() -> None:
    """Ends the processes that the run has started, and waits until they have ended."""
    for child in _children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + _CHILDREN_SECONDS
    killed = False
    with contextlib.suppress(ChildProcessError):  # none is left
        while True:
            child, _ = os.waitpid(-1, os.WNOHANG)
            if child:
                continue
            if time.monotonic() > deadline:
                if killed:
                    return
                for child in _children():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                killed, deadline = True, time.monotonic() + 1
            time.sleep(_POLL_SECONDS)


def _children() -> list[int]:
    """Returns the children of this process; none where there is no /proc."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:
                # "pid (name) state parent …", and a name may hold anything
                if int(stat.read().rpartition(b")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found
