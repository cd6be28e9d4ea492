"""Processes for the tests that start at once: forks of one that has imported everything.

The one they are forked from has used neither Beam nor deltalake: their threads would not survive.
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

# The exit code where the server of forks could not be asked for it (see `popen_forkserver`).
UNKNOWN = 255

FORKS: ForkServerContext = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.commands", "pipeline.flow"])


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that runs a function."""
    process = FORKS.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Waits for a process; its exit code, or minus the signal that killed it."""
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def in_fork(target: Callable[..., None], *arguments: Any) -> int:
    """Runs a function in a process; see `ended`."""
    return ended(start(target, *arguments))
