"""The report for programs: ``--report-json FILE``, or ``-`` for standard output.

A run that has ended well leaves its summary, as it is kept beside the table. One that has failed
leaves why: so a file from an earlier run is never taken for the report of this one.
"""

import os

import msgspec

from pipeline import storage
from pipeline.command import console, explain

STDOUT = "-"


class Failure(msgspec.Struct, frozen=True):
    """The report of a run that has failed.

    Attributes:
        run: The run's id.
        output: The table.
        version: The version in which the run was published before it failed; None if it was not.
        published: Whether it was.
        error: Why it has failed.
        exit_code: How the command ends.
    """

    run: str
    output: str
    version: int | None
    published: bool
    error: str
    exit_code: int


def unusable(target: str, option: str = "--report-json") -> str | None:
    """Returns why a report cannot be written to a file; None if it can, or to standard output.

    Args:
        target: The file, or `STDOUT`.
        option: The option that names it.
    """
    if target == STDOUT or not storage.is_local(target):
        return None
    path = storage.absolute(target)
    if os.path.isdir(path):
        return f"{option} {target} is a folder; give a file"
    return explain.unusable_folder(option, os.path.dirname(path))


def write(target: str, report: msgspec.Struct) -> None:
    """Writes a report; where that fails, a line says so, and the run's outcome stays.

    Args:
        target: A file, which is replaced in one step; or `STDOUT`.
        report: A `RunSummary`, a `Failure`, or the like.
    """
    content = msgspec.json.format(msgspec.json.encode(report))
    if target == STDOUT:
        console.say(content.decode())
        return
    try:
        storage.write_bytes(target, content + b"\n")
    except OSError as error:
        why = error.strerror or error
        console.say(f"eventsift: the report cannot be written to {target}: {why}", error=True)
