"""Worker processes: started early, and ended with the process they work for.

They import this module, and the modules whose functions they call (`read`, `scan`, `write`). None
of these imports Beam, which would take each worker half a second.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess

from pipeline import signals
from pipeline.imports import leave_out_unused

# A process reads about this much in the time in which another one starts.
WORK_BYTES = 96 << 20

# The processes that work for this one, whichever step uses them; the lock is for steps that run
# side by side.
_pool: ProcessPoolExecutor | None = None
_workers: list[BaseProcess] = []
_lock = threading.Lock()


def available() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(workers: int) -> None:
    """Starts worker processes, if there are none, and does not wait for them."""
    global _pool, _workers
    with _lock:
        if _pool is None:
            others = multiprocessing.active_children()
            # Not forked: this process has threads, whose locks a fork would copy in any state.
            spawn = multiprocessing.get_context("spawn")
            with signals.undisturbed(), _unheard():  # an interrupted start prints a traceback
                _pool = concurrent.futures.ProcessPoolExecutor(workers, spawn, _begin)
                # If one was killed already, the first step that gives them work gets the error.
                # Here it may be another: their queue is closed while one is being started.
                with contextlib.suppress(BrokenProcessPool, OSError, ValueError):
                    for _ in range(workers):
                        _pool.submit(_import)  # a process is started when there is something to do
            _workers = [one for one in multiprocessing.active_children() if one not in others]


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Makes processes that are started within the ``with`` block ignore Ctrl-C.

    A terminal sends Ctrl-C to all processes; what the workers do then is up to this one. A SIGTERM
    that goes to all of them ends a worker at once.
    """
    # Python's own helper process would print a warning when this one ends without telling it.
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    resource_tracker.ensure_running()
    if before is None:
        del os.environ["PYTHONWARNINGS"]
    else:
        os.environ["PYTHONWARNINGS"] = before
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def running() -> ProcessPoolExecutor | None:
    """Returns the processes that were started; None if there are none."""
    return _pool


def stop(*, wait: bool = True) -> None:
    """Ends the processes when each has finished its present call; waiting calls are cancelled.

    Args:
        wait: Whether to return only when the processes have ended.
    """
    global _pool
    with _lock:
        ending, _pool = _pool, None
    if ending:
        try:
            ending.submit(os.getpid)
        except BrokenProcessPool:
            # Python ends the others, but not one that was just being started; and waits for it.
            for worker in _workers:
                worker.kill()
        ending.shutdown(wait=wait, cancel_futures=True)


def _begin() -> None:
    """Prepares a worker process: it ends when its parent is killed, but not on Ctrl-C.

    Otherwise it would wait for work for ever, or go on writing beside the next run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    leave_out_unused()


def _import() -> None:
    """Imports what most of a worker's calls need."""
    import pipeline.steps.read  # noqa: F401


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
