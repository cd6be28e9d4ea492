"""Watching: looking for new files again and again, and running the job when there are any.

A poll is cheap: it lists the input, and compares with what the ledger has published. A pipeline is
built and run only for files that are complete.
"""

import contextlib
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline import ledger, log, storage
from pipeline.errors import EventsiftError
from pipeline.storage import FileInfo

# What browsers, rsync, scp clients and editors call a file that is not there yet.
_TEMPORARY = re.compile(r"\.(tmp|temp|part|partial|filepart|crdownload|download|swp)$|~$", re.I)


class Found(NamedTuple):
    """The unpublished files of a poll.

    Attributes:
        complete: Those that are as they were at the poll before.
        growing: Those that are new, or have changed since.
    """

    complete: list[FileInfo]
    growing: list[FileInfo]


class Poll:
    """Looks for unpublished files, and remembers what it has seen the last time."""

    def __init__(
        self, patterns: Sequence[str], root: str, storage_options: dict[str, str] | None = None
    ) -> None:
        self._patterns = patterns
        self._root, self._storage_options = root, storage_options
        self._known: list[FileInfo | None] = []
        self._published: set[FileInfo] = set()
        self._growing: set[FileInfo] = set()

    def look(self) -> Found:
        """The files that are there now and were not published as they are.

        Hidden files and files with temporary names are not among them.

        Raises:
            OSError: The input or the ledger cannot be read.
            datafiles.TableError: The table cannot be read.
        """
        # The log changes with every commit, also where another tool makes it, or another table.
        log_files = sorted(storage.list_files(storage.join(self._root, log.FOLDER)))
        known = [storage.info(storage.join(self._root, ledger.LEDGER)), *log_files]
        if known != self._known:
            self._published = set(ledger.published(self._root, self._storage_options, "watch"))
            self._known = known
        new = [
            file
            for file in storage.match(self._patterns)
            if file not in self._published and not _TEMPORARY.search(file.path)
        ]
        found = Found(
            [file for file in new if file in self._growing],
            [file for file in new if file not in self._growing],
        )
        self._growing = set(new)
        return found


def watch(
    patterns: Sequence[str],
    root: str,
    seconds: float,
    run: Callable[[Sequence[FileInfo]], Any],
    storage_options: dict[str, str] | None = None,
) -> int:
    """Runs the job on new files until SIGINT or SIGTERM comes; a run under way ends first.

    A round that fails says why; the next one tries again.

    Args:
        patterns: Of the files to read.
        root: The table.
        seconds: From the end of a round to the next poll.
        run: Runs the job on some files, and prints a line about it, or about its failure.
        storage_options: What deltalake needs to reach the table's store.

    Returns:
        The exit code, 0.
    """
    with _stop_on_signal() as stop:
        poll = Poll(patterns, root, storage_options)
        _say(f"watching {' '.join(patterns)} every {seconds:g} s; stop with Ctrl-C or SIGTERM")
        last: Found | None = None
        while not stop.is_set():
            try:
                found = poll.look()
            except (OSError, EventsiftError) as error:
                _say(f"the input cannot be listed, the next poll tries again: {error}")
            else:
                _report(found, last)
                last = found
                if found.complete:
                    run(found.complete)
            stop.wait(seconds)
    _say("stopped")
    return 0


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second does what it always does."""
    stop = threading.Event()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def handle(*_: Any) -> None:
        stop.set()
        restore()
        _say("stopping after this round")

    for number in usual:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()


def _report(found: Found, last: Found | None) -> None:
    """One line about a round, unless it says of itself what it did, or all is as it was."""
    if found.growing and (last is None or found.growing != last.growing):
        _say(f"{len(found.growing):,} new files, left until they no longer change")
    elif not found.complete and not found.growing and found != last:
        _say("nothing new")


def _say(text: str) -> None:
    print(f"eventsift: {text}", flush=True)
