"""Watching: looking for new files again and again, and running the job when there are any.

A poll is cheap: it lists the input, and compares with what the ledger has published. A pipeline is
built and run only for files that are complete.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline import signals, storage
from pipeline.bookkeeping import ledger
from pipeline.command import console
from pipeline.errors import EventsiftError
from pipeline.input import sources
from pipeline.storage import FileInfo, LeftOut
from pipeline.table import log
from pipeline.table.address import Table

# What browsers, rsync, scp clients and editors call a file that is not there yet.
_TEMPORARY = re.compile(r"\.(tmp|temp|part|partial|filepart|crdownload|download|swp)$|~$", re.I)


class Found(NamedTuple):
    """The unpublished files of a poll.

    Attributes:
        complete: Files that are as they were at the poll before.
        growing: Files that are new, or have changed since.
    """

    complete: list[FileInfo]
    growing: list[FileInfo]


class Poll:
    """Looks for unpublished files, and remembers what the last poll has found.

    Attributes:
        left_out: Files that the last poll has found and that cannot be read.
    """

    def __init__(self, patterns: Sequence[str], table: Table, temp: str = "") -> None:
        self.left_out: list[LeftOut] = []
        self._patterns = patterns
        self._table = table
        self._temp = temp or table.root
        self._known: list[FileInfo | None] = []
        self._published: set[FileInfo] = set()
        self._growing: set[FileInfo] = set()

    def look(self) -> Found:
        """Returns the files that are there now and were not published as they are.

        Hidden files and files with temporary names are not among them.

        Raises:
            OSError: The input or the ledger cannot be read.
            datafiles.TableError: The table cannot be read.
        """
        # The log changes with every commit, also if another tool or another table makes it.
        log_files = sorted(storage.list_files(storage.join(self._table.root, log.FOLDER)))
        known = [storage.info(storage.join(self._table.root, ledger.LEDGER)), *log_files]
        if known != self._known:
            self._published = set(ledger.published(self._table, "watch"))
            self._known = known
        matched = sources.find(self._patterns, self._table.root, self._temp)
        self.left_out = [one for one in matched.left_out if not _TEMPORARY.search(one.path)]
        new = [
            file
            for file in matched.files
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
    table: Table,
    seconds: float,
    run: Callable[[Sequence[FileInfo]], int],
    temp: str = "",
) -> int:
    """Runs the job on new files until SIGINT or SIGTERM comes; a run under way ends first.

    A round that fails says why, and the next one tries again. A round that rejects too many records
    is tried again only with other files: with the same files it would fail in the same way.

    Args:
        patterns: Patterns of the files to read.
        table: The table.
        seconds: From the end of a round to the next poll.
        run: Runs the job on some files, prints a line about it, or about its failure, and returns
            the exit code.
        temp: The folder for temporary files; if not given, it lies in the table.

    Returns:
        The exit code for the signal.
    """
    with signals.patience() as asked:
        poll = Poll(patterns, table, temp)
        told: set[LeftOut] = set()
        _say(f"watching {' '.join(patterns)} every {seconds:g} s; stop with Ctrl-C or SIGTERM")
        last: Found | None = None
        refused: list[FileInfo] = []
        while not asked.number:
            try:
                found = poll.look()
            except (OSError, EventsiftError) as error:
                _say(f"the input cannot be listed, the next poll tries again: {error}")
            else:
                _report_left_out([one for one in poll.left_out if one not in told])
                told = set(poll.left_out)
                _report(found, last)
                last = found
                if found.complete and found.complete != refused and not asked.number:
                    with asked.saying(lambda: _say("stopping after this round")):
                        code = run(found.complete)
                    refused = found.complete if code == console.REJECTED else []
            asked.wait(seconds)
    _say("stopped")
    return 128 + asked.number


def _report(found: Found, last: Found | None) -> None:
    """Prints a line about a round that runs nothing, unless nothing has changed."""
    if found.growing and (last is None or found.growing != last.growing):
        _say(f"{len(found.growing):,} new files, left until they no longer change")
    elif not found.complete and not found.growing and found != last:
        _say("nothing new")


def _report_left_out(left_out: Sequence[LeftOut]) -> None:
    """Prints a line about the files that cannot be read since this poll."""
    if left_out:
        _say(f"left out until they can be read: {sources.named_first(left_out)}")


def _say(text: str) -> None:
    console.say(f"eventsift: {text}")
