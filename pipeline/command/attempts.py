"""Attempts: a command does its work as one run, and as a new one if another run was faster.

An attempt holds a lease while it works, and clears up if it fails or a signal stops it.
"""

import functools
import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from pipeline import signals
from pipeline.bookkeeping import leases, places, recovery
from pipeline.bookkeeping.leases import DeadRun
from pipeline.command import console, reasons, stopped
from pipeline.run import new_run_id
from pipeline.steps.checks import BrokenContractError, TooManyRejectedError
from pipeline.table.address import Table
from pipeline.table.datafiles import ConflictError

# How often a run starts again from the new table when another run has committed before it.
_ATTEMPTS = 3

# What a run is refused for that has read too much of what is wrong.
_REFUSED = (TooManyRejectedError, BrokenContractError)

# A signal to the whole process group, as systemd sends it, may end a worker before it reaches this
# process. So this process waits this long for the signal before it reports a failure.
_GROUP_SECONDS = 0.2


class Settings(NamedTuple):
    """What all attempts have in common.

    Attributes:
        table: The table.
        temp: The folder in which each run has one for what it stages.
        all_ended: Whether all workers of a run end with this process.
        verbose: Whether a failure is logged with its traceback.
        hints: More about an error for the person who reads its message; "" if there is nothing.
        failed: Is told of a failure: the run, why, the version in which the run was published
            before it (None if it was not), and the exit code.
        run_id: The id of the first attempt; "" for a new one.
    """

    table: Table
    temp: str
    all_ended: bool = True
    verbose: bool = False
    hints: Callable[[BaseException], str] = lambda _: ""
    failed: Callable[[str, str, int | None, int], None] = lambda *_: None
    run_id: str = ""


def repeat(work: Callable[[str], int], settings: Settings, *, brief: bool = False) -> int:
    """Does some work as a run, and again as a new run if another run has committed before it.

    Args:
        work: Does the work of the run with this id, and returns the exit code.
        settings: What all attempts have in common.
        brief: Whether a refusal for too many rejects is said in one line.

    Returns:
        The exit code of `work`; or that of its failure, which is said on standard error.
    """
    for attempt in range(_ATTEMPTS):
        run_id = (settings.run_id if not attempt else "") or new_run_id()
        run = DeadRun(run_id, places.staging(settings.table.root, settings.temp, run_id))
        interrupted = stopped.Stopped(settings.table, *run[:2], settings.all_ended)
        with signals.before_ending(functools.partial(stopped.take_over, interrupted)):
            try:
                # First, so that nothing of ours is written to a folder that is somebody else's.
                identity = recovery.secure(settings.table, run_id)
                with leases.hold(settings.table.root, run_id, run.staging, identity):
                    return work(run_id)
            except KeyboardInterrupt:  # where this is called from Python
                code = 128 + signal.SIGINT
                _fail(run, KeyboardInterrupt("interrupted"), settings, code)
                return code
            except Exception as error:
                if attempt == _ATTEMPTS - 1 or not reasons.is_a(ConflictError, error):
                    refused = any(reasons.is_a(kind, error) for kind in _REFUSED)
                    code = console.REJECTED if refused else console.FAILED
                    _fail(run, error, settings, code, brief=brief and refused)
                    return code
                _abandon(run, settings)
                console.say("eventsift: another run was faster; starting again", error=True)
    raise AssertionError("the last attempt returns")


def _fail(
    run: DeadRun, error: BaseException, settings: Settings, code: int, *, brief: bool = False
) -> None:
    """Says why a run has failed and what has become of the table, and clears up after the run.

    Args:
        run: The run.
        error: Why it has failed.
        settings: See `repeat`.
        code: The exit code.
        brief: Whether one line is enough, if it says that nothing was published.
    """
    killed = reasons.is_a(BrokenProcessPool, error)
    if killed:
        time.sleep(_GROUP_SECONDS)
    if settings.verbose:
        logging.getLogger(__name__).exception("the run failed")
    why = f"{reasons.of(error)}{settings.hints(error)}"
    if killed:
        why += " (it was killed, perhaps because there was no memory left)"
    console.say(f"eventsift: {why}", error=True)
    version = _abandon(run, settings)
    if not brief or version is not None:
        console.say(recovery.outcome(version), error=True)
    settings.failed(run.id, why, version, code)


def _abandon(run: DeadRun, settings: Settings) -> int | None:
    return recovery.abandon(settings.table, run, all_ended=settings.all_ended)
