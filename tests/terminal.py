"""A real terminal for tests: a command that runs on a pseudo-terminal, and what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# What a screen knows here: to the line's beginning, erase the rest of it, next line, a character.
_CONTROLS = re.compile(r"\r\n|\r|\n|\x1b\[K|[^\x00-\x1f\x7f]")


class Shown(NamedTuple):
    """Bytes that came to a terminal, and when: in seconds since the command was started."""

    at: float
    text: str


class Session(NamedTuple):
    """A command that has ended on a terminal.

    Attributes:
        status: Its exit code.
        shown: What came to the terminal, in order.
    """

    status: int
    shown: list[Shown]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(one.text for one in self.shown)

    def states(self, columns: int) -> list[list[str]]:
        """The lines of the screen after each time that something came."""
        found, text = [], ""
        for one in self.shown:
            text += one.text
            found.append(screen(text, columns))
        return found


def screen(text: str, columns: int) -> list[str]:
    """The lines that a terminal shows after a text; what is not understood fails a test."""
    lines, at = [""], 0
    rest = text
    while rest:
        found = _CONTROLS.match(rest)
        assert found, f"no terminal of a test knows {rest[:20]!r}"
        rest = rest[found.end() :]
        sign = found[0]
        if sign == "\r":
            at = 0
        elif sign in ("\n", "\r\n"):
            lines, at = [*lines, ""], 0
        elif sign == "\x1b[K":
            lines[-1] = lines[-1][:at]
        else:
            if at == columns:
                lines, at = [*lines, ""], 0
            lines[-1] = lines[-1][:at].ljust(at) + sign + lines[-1][at + 1 :]
            at += 1
    return lines


def run(
    arguments: Sequence[str | Path],
    columns: int = 80,
    *,
    on_text: Callable[[str, int], object] = lambda text, pid: None,
    **environment: str,
) -> Session:
    """Runs Python with arguments on a terminal, as a person would: all three streams are it.

    Args:
        arguments: Of the interpreter.
        columns: How wide the terminal is.
        on_text: Is given all that has come so far, and the process's id, each time.
        environment: Variables.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name != "EVENTSIFT_QUIET"}
    variables = {**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment}

    def become_foreground() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=variables,
        preexec_fn=become_foreground,
    )
    os.close(theirs)
    shown: list[Shown] = []
    text = ""
    while True:
        try:
            content = os.read(ours, 1 << 16)
        except OSError:  # the last one has closed it
            break
        if not content:
            break
        shown.append(Shown(time.monotonic() - began, content.decode()))
        text += shown[-1].text
        on_text(text, process.pid)
    os.close(ours)
    return Session(process.wait(), shown)


def interrupt(pid: int) -> None:
    """Sends what Ctrl-C sends."""
    os.killpg(pid, signal.SIGINT)
