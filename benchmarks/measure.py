"""Running a command and measuring its whole process tree: time, processor time and memory.

Memory is read from ``/proc``, so this needs Linux. What a process has allocated (private) is told
apart from what it only maps from files, which the kernel can take back at any time.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline import signals

# Often enough to see a peak that lasts, seldom enough to cost less than 1 % of a core.
_SAMPLE_SECONDS = 0.1
# What is left of the tree after its root has ended (a JVM shutting down) gets this long.
_GRACE_SECONDS = 10.0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Memory(NamedTuple):
    """What a process tree holds at one instant, or at its peaks, in bytes.

    Attributes:
        private: Allocated memory, also what processes share without a file (RssAnon, RssShmem).
        file_backed: Pages of mapped files (RssFile); those that several processes map count for
            each of them.
    """

    private: int
    file_backed: int


class Usage(NamedTuple):
    """What a command took.

    Attributes:
        wall_seconds: From its start until it ended.
        cpu_seconds: User and system time of all its processes.
        peak: The peak of each kind of memory, summed over the tree at one instant.
    """

    wall_seconds: float
    cpu_seconds: float
    peak: Memory


class CommandError(Exception):
    """The measured command failed."""


def run(
    command: Sequence[str],
    log: pathlib.Path,
    cwd: pathlib.Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Usage:
    """Runs a command to its end and measures it.

    Args:
        command: The program and its arguments.
        log: File that gets all it prints.
        cwd: Its working directory; default: ours.
        env: Its environment; default: ours.

    Raises:
        CommandError: It ended with another status than 0; the message has its last words.
        OSError: It could not be started, or this is not Linux.
    """
    _adopt_orphans()
    with log.open("wb") as output:
        started = time.perf_counter()
        # A session of its own: by it the processes of the tree are known, orphans among them.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def kill(*_: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        try:
            with signals.before_ending(kill), _sampled(process.pid) as peaks:
                _, status, used = os.wait4(process.pid, 0)
                wall_seconds = time.perf_counter() - started
                process.returncode = os.waitstatus_to_exitcode(status)
                cpu_seconds = used.ru_utime + used.ru_stime + _reap(process.pid)
        except BaseException:
            kill()
            raise
    if process.returncode != 0:
        last_words = log.read_text(errors="replace").strip()[-2_000:]
        raise CommandError(
            f"status {process.returncode} from {' '.join(command)}; its last words: {last_words}"
        )
    return Usage(wall_seconds, cpu_seconds, Memory(*peaks))


def tree_memory(session: int) -> Memory:
    """What the processes of a session hold now."""
    private = file_backed = 0
    for pid in _members(session):
        # A process that has just ended holds nothing.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in ("RssAnon", "RssShmem"):
                    private += int(value.split()[0]) * 1_024
                elif name == "RssFile":
                    file_backed += int(value.split()[0]) * 1_024
    return Memory(private, file_backed)


def _members(session: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = pathlib.Path(f"/proc/{name}/stat").read_text(errors="replace")
                # proc(5): pid (name) state ppid pgrp session …; the name may hold anything.
                if int(stat.rpartition(")")[2].split()[3]) == session:
                    yield int(name)


@contextlib.contextmanager
def _sampled(session: int) -> Iterator[list[int]]:
    """Gathers the peaks of private and of file-backed memory while the block runs."""
    peaks = [0, 0]
    stopped = threading.Event()

    def sample() -> None:
        while True:
            peaks[:] = map(max, peaks, tree_memory(session))
            if stopped.wait(_SAMPLE_SECONDS):
                return

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peaks
    finally:
        stopped.set()
        sampler.join()


def _adopt_orphans() -> None:
    """Makes processes whose parent has ended ours, so that their processor time can be asked for.

    Raises:
        OSError: There is no such thing, since this is not Linux.
    """
    if sys.platform != "linux":
        raise OSError("the benchmarks measure process trees through /proc, which needs Linux")
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(group: int) -> float:
    """Waits for what is left of a process group; returns the processor seconds it used."""
    seconds = 0.0
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        try:
            pid, _, used = os.wait4(-group, os.WNOHANG)
        except ChildProcessError:
            return seconds
        if pid:
            seconds += used.ru_utime + used.ru_stime
        elif time.monotonic() < deadline:
            time.sleep(0.02)
        else:
            os.killpg(group, signal.SIGKILL)
            deadline += _GRACE_SECONDS
