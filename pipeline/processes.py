"""Worker processes: started early, and ended with the process they work for.

They import this module, and those whose functions they call (`read`, `scan`). None of these imports
Beam, which would take each of them half a second.
"""

import concurrent.futures
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker

from pipeline import signals
from pipeline.imports import prepare

# A process reads about that in the time in which another one starts.
WORK_BYTES = 96 << 20

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of the GNU C library
_MOST_BYTES = 32 << 20  # what it takes at the most

# Those of this process, whichever step uses them; the lock is for steps that run side by side.
_pool: ProcessPoolExecutor | None = None
_lock = threading.Lock()


def available() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(workers: int) -> None:
    """Starts processes, if there are none, and does not wait for them."""
    global _pool
    with _lock:
        if _pool is None:
            # Not forked: this process has threads, whose locks a fork would copy in any state.
            spawn = multiprocessing.get_context("spawn")
            with signals.undisturbed(), _unheard():  # half a start ends with a traceback
                _pool = concurrent.futures.ProcessPoolExecutor(workers, spawn, _begin)
                for _ in range(workers):
                    _pool.submit(_import)  # a process is started when there is something to do


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Starts what is started within the ``with`` block deaf to Ctrl-C, which comes to all.

    What such a process does is up to this one. SIGTERM, where it comes to all, ends it at once.
    """
    # Python's own helper would print a warning when this process ends without a word to it.
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
    """The processes that were started; None if there are none."""
    return _pool


def stop(*, wait: bool = True) -> None:
    """Ends the processes once they have done what they are at; what else waits is cancelled.

    Args:
        wait: Whether to return only when they have ended.
    """
    global _pool
    with _lock:
        ending, _pool = _pool, None
    if ending:
        ending.shutdown(wait=wait, cancel_futures=True)


def _begin() -> None:
    """What a worker does first: from now on it ends when its parent is killed, but not before.

    Otherwise it would wait for work for ever, or go on writing beside the next run. Ctrl-C goes to
    both; what the worker does then is up to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # no call makes cycles, but so many objects that looking for some takes long
    _keep_memory()
    prepare()


def _keep_memory() -> None:
    """Lets the C library, if it is GNU's, keep what is freed: the next block needs as much again.

    Otherwise it gives large pieces back, and the kernel has to clear each page of the next ones.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MOST_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _import() -> None:
    """Imports what most of a worker's calls need."""
    import pipeline.steps.read  # noqa: F401


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
