"""Processes for the tests that start at once: forks of one that has imported everything.

The one they are forked from has one thread: a fork copies the locks of other threads in any state,
and may wait for one of them for ever. So it has used neither Beam nor deltalake, and libraries get
no threads of their own.
"""

import faulthandler
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

# The exit code where the server of forks could not be asked for it (see `popen_forkserver`).
UNKNOWN = 255

# A process of a test takes seconds. One that waits for ever ends by itself, and prints where.
SECONDS = 300

# The threads of numpy, and of the memory allocators of Arrow and deltalake.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
os.environ["_RJEM_MALLOC_CONF"] = "background_thread:false"

FORKS: ForkServerContext = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.commands", "pipeline.flow"])


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that runs a function."""
    process = FORKS.Process(target=_bounded, args=(target, *arguments), daemon=True)
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Waits for a process; its exit code, or minus the signal that killed it."""
    process.join(SECONDS + 60)
    assert process.exitcode is not None, "it neither ended nor could be ended"
    return process.exitcode


def in_fork(target: Callable[..., None], *arguments: Any) -> int:
    """Runs a function in a process; see `ended`."""
    return ended(start(target, *arguments))


def _bounded(target: Callable[..., None], *arguments: Any) -> None:
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    target(*arguments)
