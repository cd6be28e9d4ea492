"""Starting and stopping servers on free ports of the loopback address.

A server runs in a process group of its own, which is killed when the ``with`` block ends, or when
the process that started it ends, however it ends. Its log is a file; if it does not start, the
error shows the last lines.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

HOST = "127.0.0.1"

START_SECONDS = 120.0
POLL_SECONDS = 0.05

# Runs a command, and kills the whole group when the command ends or standard input does: the pipe
# behind it closes with the process that holds the other end.
_GUARD = '("$@"; kill -9 0) & read -r _; kill -9 0'


class ServerError(Exception):
    """A server did not start, or has ended; the message has the last lines of its log."""


class Server(NamedTuple):
    """A running server.

    Attributes:
        port: Where it listens, on `HOST`.
        log: The file it writes its output to.
        process: Its guard, the leader of its process group.
    """

    port: int
    log: pathlib.Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{HOST}:{self.port}"

    def last_words(self, lines: int = 40) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: Sequence[str | pathlib.Path],
    port: int,
    log: pathlib.Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Runs a server within the ``with`` block, which begins when it accepts connections.

    Args:
        command: The program and its arguments.
        port: Where it will listen.
        log: Where its output goes.
        environment: Its environment; None for this process's.

    Raises:
        ServerError: It has ended, or nobody listens on the port after two minutes.
    """
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    server = Server(port, log, process)
    try:
        _wait(server)
        yield server
    finally:
        stop(server)


def stop(server: Server) -> None:
    """Kills a server and all it has started; nothing happens if it is gone."""
    if server.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
    if server.process.stdin:
        server.process.stdin.close()


def wait_for_line(server: Server, text: str) -> None:
    """Waits until a server's log has a line with this text.

    Raises:
        ServerError: It has ended, or says nothing of the kind within two minutes.
    """
    deadline = time.monotonic() + START_SECONDS
    while text not in server.log.read_text(errors="replace"):
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"no {text!r} in {server.log}:\n{server.last_words()}")
        time.sleep(POLL_SECONDS)


def _wait(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ServerError(f"the server has ended; {server.log}:\n{server.last_words()}")
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, server.port), START_SECONDS).close()
            return
        time.sleep(POLL_SECONDS)
    raise ServerError(f"nobody listens on {server.address}; {server.log}:\n{server.last_words()}")
