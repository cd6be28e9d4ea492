"""Requests to stop: SIGTERM, Ctrl-C (SIGINT) and the end of a terminal (SIGHUP).

They end every command in the same way. A signal can arrive at any line of any module. An exception
raised there may be swallowed (in a destructor) or printed (by an import), so none is raised. A
thread hears the signal, runs the actions registered with `before_ending`, and ends the process,
whatever the main thread is doing.

On SIGINT the process really dies of SIGINT: only then does a loop in a shell stop on Ctrl-C; after
an exit with 130 it would go on. SIGTERM ends with exit code 143, SIGHUP with 129. Under `nohup`
SIGHUP is ignored.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from pipeline import notices

NUMBERS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_WORDS = {signal.SIGHUP: "hung up", signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

# `timeout` signals the process and then its group, so one request arrives twice. A person who
# presses Ctrl-C again needs longer than this.
_SAME_REQUEST_SECONDS = 0.5

# The listener never releases it once it ends the process. From then on no scope is entered or left,
# and the program cannot end with another exit code.
_lock = threading.Lock()
_actions: list[Callable[[int], object]] = []
_patience: "list[Patience]" = []
_name, _last_word = "eventsift", ""
_stderr_fd = 2
_ending_since = 0.0


class Patience:
    """A request to stop, for a command that finishes its work first.

    Attributes:
        number: The signal that asked the command to stop; 0 if none has come.
    """

    def __init__(self) -> None:
        self.number = 0
        self._asked = threading.Event()
        self._answer: Callable[[], object] | None = None

    def ask(self, number: int) -> None:
        """Notes that a signal has come."""
        self.number = number
        self._asked.set()
        if self._answer:
            self._answer()

    @contextlib.contextmanager
    def saying(self, answer: Callable[[], object]) -> Iterator[None]:
        """Within the ``with`` block, which is finished first, answers a signal at once."""
        self._answer = answer
        try:
            yield
        finally:
            self._answer = None

    def wait(self, seconds: float) -> None:
        """Waits this long, or until a signal comes."""
        self._asked.wait(seconds)


def install(name: str, last_word: str = "") -> None:
    """Makes the signals end this process; to be called before the imports that take time.

    Args:
        name: The name of the command, for the message.
        last_word: A sentence that is true as long as no `before_ending` scope is entered.
    """
    global _name, _last_word
    _name, _last_word = name, last_word
    _open_closed_streams()
    heard, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in filter(is_heard, NUMBERS):
        signal.signal(number, _in_main_thread)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)  # run.sh blocks them until here
    threading.Thread(target=_listen, args=[heard], name="signals", daemon=True).start()


def is_heard(number: int) -> bool:
    """Tells whether a signal ends this command: commands under `nohup` ignore SIGHUP."""
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


@contextlib.contextmanager
def before_ending(action: Callable[[int], object]) -> Iterator[None]:
    """Runs an action if a signal ends the process within the ``with`` block; the last one first.

    Args:
        action: Gets the number of the signal. It runs in another thread while the block goes on,
            and must not wait for the main thread.
    """
    with _lock:
        _actions.append(action)
    try:
        yield
    finally:
        with _lock:  # if a signal has come, the main thread waits here until the process ends
            _actions.remove(action)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Lets no signal end the process within the ``with`` block.

    The block must be short, and must not enter another scope.
    """
    with _lock:
        yield


@contextlib.contextmanager
def patience() -> Iterator[Patience]:
    """Only notes the first signal within the ``with`` block; the second ends the process."""
    asked = Patience()
    with _lock:
        _patience.append(asked)
    try:
        yield asked
    finally:
        with _lock:
            _patience.remove(asked)


@contextlib.contextmanager
def speaking_through(fd: int) -> Iterator[None]:
    """Writes to `fd` within the ``with`` block, in which standard error is closed to others."""
    global _stderr_fd
    with _lock:
        before, _stderr_fd = _stderr_fd, fd
    try:
        yield
    finally:
        with _lock:
            _stderr_fd = before


def stderr_fd() -> int:
    """Returns the file descriptor of the real standard error; see `speaking_through`."""
    return _stderr_fd


def leave(code: int, *, at_once: bool = False) -> NoReturn:
    """Ends the program with an exit code, unless a signal is ending it; 130 dies of SIGINT.

    Args:
        code: The exit code.
        at_once: Whether to leave it to the system to free the memory, which is faster. Functions
            registered with `atexit` still run. All files must be closed. (A profiler that writes at
            the end must not be left so.)
    """
    _lock.acquire()  # never released: from here on no signal changes the outcome
    if code == 128 + signal.SIGINT:
        die(signal.SIGINT)
    for number in NUMBERS:  # while Python shuts down, they would be deadly again
        signal.signal(number, signal.SIG_IGN)
    threads = [one for one in threading.enumerate() if one is not threading.main_thread()]
    if at_once and all(one.daemon for one in threads):  # Python would wait for the others
        atexit._run_exitfuncs()  # no public function does it; they may have printed something
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def die(number: int) -> NoReturn:
    """Ends the process at once, as a signal does."""
    if number == signal.SIGINT:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        else:  # Python refuses that in other threads
            ctypes.CDLL(None).signal(int(signal.SIGINT), None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)  # process 1 of a container survives it
    os._exit(128 + number)


def _open_closed_streams() -> None:
    """Connects standard streams that were closed (``>&-``) to nowhere.

    Otherwise the next file that is opened would get their number, and all that is printed.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _in_main_thread(number: int, _frame: object) -> None:
    """Ends the process on a second signal, however long the listener takes for the first."""
    if _ending_since and time.monotonic() - _ending_since > _SAME_REQUEST_SECONDS:
        die(number)


def _listen(heard: int) -> None:
    last = 0.0
    while True:
        (number,) = os.read(heard, 1)
        now = time.monotonic()
        if number not in NUMBERS or (last and now - last < _SAME_REQUEST_SECONDS):
            continue
        last = now
        _lock.acquire()
        waiting = [asked for asked in _patience if not asked.number]
        if not waiting:
            _end(number)
        for asked in waiting:
            asked.ask(number)
        _lock.release()


def _end(number: int) -> NoReturn:
    global _ending_since
    _ending_since = time.monotonic()
    if _stderr_fd != 2:
        os.dup2(_stderr_fd, 2)
    notices.end()
    lines = [f"{_name}: {_WORDS[signal.Signals(number)]}"]
    if _last_word and not _actions:
        lines.append(_last_word)
    with contextlib.suppress(OSError):
        os.write(2, "".join(f"{line}\n" for line in lines).encode())
    for action in reversed(_actions):
        with contextlib.suppress(Exception):
            action(number)
    die(number)
