"""Notices: what a person should know while the work goes on, on standard error.

A notice is a line by itself. While Beam works, stderr leads nowhere (see `runners.quiet`), and
notices appear right after it.

How the work goes on is told by `telling`: on a terminal in one live line, elsewhere in a line every
ten seconds. Work that is over before costs a thread that waits, and nothing is imported for it: the
words are made by `command.progress`, which is imported when there is something to tell.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

# Elsewhere than on a terminal, a line this often: a log must stay readable after a night's run.
_LINE_SECONDS = 10.0
# A live line is renewed this often; below half a second, numbers seem to flow.
_LIVE_SECONDS = 0.25
# Until then the first words stand. Short work ends before.
_FIRST_SECONDS = 0.5
# Nobody is waited for longer: the terminal may be stopped (Ctrl-S).
_JOIN_SECONDS = 1.0
_COLUMNS = 80  # of a terminal that does not tell

_lock = threading.Lock()
_held: list[str] | None = None
# The terminal on whose last line something live stands.
_live: int | None = None
_is_ending = False


class Now(NamedTuple):
    """How the work goes on.

    Attributes:
        about: What is being done, as a whole; "" if that is not known yet.
        parts: Where it is, in words and numbers; some may be "".
        dispensable: Which of the parts go first where a line is too narrow, by their indexes.
    """

    about: str
    parts: Sequence[str]
    dispensable: Sequence[int] = ()


class Work:
    """How far some work has come; whoever does it counts, another thread reads.

    Attributes:
        about: What is being done, as a whole.
        step: What is being done now.
        total: How much there is to do; 0 if that is not known yet.
        done: How much of it is done.
        bytes: How many bytes were read or written for that.
    """

    def __init__(self, step: str) -> None:
        self.about = ""
        self.step = step
        self.total = self.done = self.bytes = 0


def say(text: str) -> None:
    """Prints a notice, now or as soon as stderr leads somewhere again."""
    line = f"eventsift: {' '.join(text.split())}"
    with _lock:
        if _held is None:
            wipe()
            print(line, file=sys.stderr, flush=True)
        elif line not in _held:
            _held.append(line)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Holds notices back within the ``with`` block, and prints each once when it ends."""
    global _held
    with _lock:
        _held = []
    try:
        yield
    finally:
        with _lock:
            lines, _held = _held or [], None
        for line in lines:
            wipe()
            print(line, file=sys.stderr, flush=True)


def wipe() -> None:
    """Removes what stands live on a terminal; to be called before anything else is printed."""
    global _live
    terminal, _live = _live, None
    if terminal is not None:
        with contextlib.suppress(OSError):
            os.write(terminal, b"\r\x1b[K")


def end() -> None:
    """Wipes, and lets nothing live stand any more: the process is about to end."""
    global _is_ending
    _is_ending = True
    wipe()


def begin(text: str) -> None:
    """Lets a text stand on the terminal, if stderr is one, until something else is printed."""
    if is_terminal(2) and _is_in_foreground(2):
        with contextlib.suppress(OSError):
            _draw(2, text)


def _draw(terminal: int, text: str) -> None:
    """Lets a text stand on the last line of a terminal; it must fit the line."""
    global _live
    if _is_ending:
        return
    _live = terminal
    # The new text first, and then what is left of the old one goes: so the line is never empty.
    os.write(terminal, f"\r{text}\x1b[K".encode())


def is_terminal(fd: int) -> bool:
    """Tells whether a live line can stand there."""
    return os.isatty(fd) and os.environ.get("TERM", "") not in ("", "dumb")


@contextlib.contextmanager
def telling(
    first: str, look: Callable[[], Now], *, stderr: int = 2, live: bool = True
) -> Iterator[None]:
    """Tells on standard error, within the ``with`` block, how the work goes on.

    Args:
        first: What stands there at once, if it is a terminal.
        look: Says how the work goes on; called in a thread of its own.
        stderr: The file descriptor of standard error.
        live: Whether a live line may be used. If not, it is a line now and then on a terminal, too.
    """
    try:
        own = os.dup(stderr)
    except OSError:  # it is closed
        yield
        return
    live = live and is_terminal(own)
    if live and _is_in_foreground(own):
        with contextlib.suppress(OSError):
            _draw(own, first)
    tell = _tell_live if live else _tell_lines
    ended = threading.Event()
    thread = threading.Thread(target=tell, args=(own, look, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_SECONDS)
        wipe()
        if not thread.is_alive():
            os.close(own)


def _tell_live(terminal: int, look: Callable[[], Now], ended: threading.Event) -> None:
    """Renews a live line until the work has ended. What is done as a whole stands above it."""
    seconds, about, before = _FIRST_SECONDS, "", ""
    with contextlib.suppress(OSError):  # the terminal has gone
        while not ended.wait(seconds):
            seconds = _LIVE_SECONDS
            if not _is_in_foreground(terminal):
                continue
            now = look()
            line = fitting(now, _columns(terminal) - 1)
            if ended.is_set():
                return
            if now.about and not about:
                about = now.about
                wipe()
                os.write(terminal, f"{about}\n".encode())
            if line != before or _live is None:
                _draw(terminal, line)
                before = line


def _tell_lines(stderr: int, look: Callable[[], Now], ended: threading.Event) -> None:
    """Writes a line now and then until the work has ended."""
    with contextlib.suppress(OSError):  # nobody reads it any more
        while not ended.wait(_LINE_SECONDS):
            now = look()
            where = ", ".join(filter(None, now.parts))
            text = f"eventsift: {': '.join(filter(None, [now.about, where]))}\n"
            if not ended.is_set():
                os.write(stderr, text.encode())


def fitting(now: Now, columns: int) -> str:
    """Returns as many of the parts as fit a line."""
    parts = {index: part for index, part in enumerate(now.parts) if part}
    for index in (*now.dispensable, *reversed(range(len(now.parts)))):
        if len("  ".join(parts.values())) <= columns:
            break
        parts.pop(index, None)
    return "  ".join(parts.values()) or now.parts[0][:columns]


def _columns(terminal: int) -> int:
    with contextlib.suppress(OSError):
        return os.get_terminal_size(terminal).columns or _COLUMNS
    return _COLUMNS


def _is_in_foreground(terminal: int) -> bool:
    """Tells whether the terminal is this command's: a shell may have put it into the background."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return True
