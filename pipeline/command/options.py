"""The job's own options; any option of Beam or of the chosen runner may stand beside them.

Known before Beam is imported; `beam_options.EventsiftOptions` are the same for Beam.
"""

import argparse
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.command import console
from pipeline.command.console import Parser
from pipeline.run import RejectLimit
from pipeline.table.retention import LOG_DAYS

if TYPE_CHECKING:
    from pipeline.input.fields import FieldMap

# Those of `contracts`, whose import takes time; a test compares the two.
_MODES = ("warn", "reject", "fail")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the job's options. None is required, because Beam parses them for every pipeline."""
    parser.add_argument(
        "--input",
        type=path,
        nargs="+",
        action="extend",
        metavar="PATTERN",
        help="files to read: paths, folders or globs (quoted), ** for any depth; local, s3://,"
        " gs:// or hdfs://",
    )
    add_table_arguments(parser)
    parser.add_argument(
        "--temp",
        type=path,
        metavar="DIR",
        help="where to stage payloads, in a folder _eventsift (default: the output folder)",
    )
    parser.add_argument(
        "--rebuild",
        type=_flag,  # with a value, because a template on Dataflow has no options without one
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        help="replace the table with the content of the input, in one atomic step",
    )
    parser.add_argument(
        "--fields",
        type=_fields,
        default=None,
        metavar="MAP",
        help="what your files call the fields of an event, e.g."
        " event_id=id,timestamp=ts,data=payload.body: a dot leads into an object, data=. is the"
        " whole record, and a backslash stands before a dot or comma of a name; the table keeps"
        " the map, so later runs need not give it (default: the map that the table keeps, else"
        " the fields' own names)",
    )
    parser.add_argument(
        "--provenance",
        type=_flag,
        nargs="?",
        const=True,
        default=None,
        metavar="true|false",
        help="give a new table two more columns, source_file and run, that say which file and run"
        " brought each row; the table keeps that, later runs need not give it (default: what the"
        " table keeps, else false)",
    )
    parser.add_argument(
        "--dedup-days",
        type=count,
        default=None,
        metavar="N",
        help="a promise that all versions of an event lie within N days: only files of the table"
        " within N days of a date in the delivery are searched for older versions; where the"
        " promise is broken, duplicates stay (default: no limit)",
    )
    parser.add_argument(
        "--watch",
        type=seconds,
        default=None,
        metavar="TIME",
        help="keep running: look for new files this often (e.g. 30s, 5m, 1h) and publish those that"
        " no longer change; files called .tmp, .part or the like are left alone (default: run"
        " once)",
    )
    parser.add_argument(
        "--max-partitions",
        type=_positive,
        default=10_000,
        metavar="N",
        help="refuse to write more partitions than this in one run (default: 10000)",
    )
    parser.add_argument(
        "--max-event-mb",
        type=_positive,
        default=16,
        metavar="N",
        help="reject events with more data than this, in MiB (default: 16)",
    )
    parser.add_argument(
        "--max-rejected",
        type=_reject_limit,
        default=None,
        metavar="LIMIT",
        help="fail a run that rejects more of its records than this, and publish nothing of it: a"
        " number, or a share such as 0.5%% (default: no limit)",
    )
    parser.add_argument(
        "--contract",
        type=path,
        metavar="DIR",
        help="a folder of JSON Schemas, DOMAIN/EVENT_TYPE.json with names encoded as those of"
        " partitions, that the data of these types has to fulfil; other types are not checked;"
        " needs the extra 'contracts' (default: none)",
    )
    parser.add_argument(
        "--contract-mode",
        choices=_MODES,
        default=None,
        metavar="MODE",
        help="what becomes of events that break their contract: warn, they are counted and"
        " reported; reject, they become dead letters; fail, they become dead letters and nothing of"
        " the run is published (default: warn)",
    )
    parser.add_argument(
        "--workers",
        type=count,
        default=None,
        metavar="N",
        help="cores each step uses by itself (default: all where the Python workers are the job's"
        " own process, as with the local runner, Prism and LOOPBACK; else 0: the engine spreads the"
        " work)",
    )
    parser.add_argument(
        "--report-json",
        type=path,
        metavar="FILE",
        help="write the report as JSON to a file, which each run replaces, or to standard output"
        " (-), where it takes the place of the report for people; if the run fails, it says why"
        " (default: none)",
    )
    add_quiet(parser)
    parser.add_argument(
        "--no-page",
        action="store_true",
        help="do not write the page about the table, _eventsift/page.html, after the run",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show Beam's log, and the traceback of a failure"
    )


def add_paths(parser: argparse.ArgumentParser, name: str, metavar: str, meaning: str) -> None:
    """Adds an option that takes any number of paths, and may be given again.

    Args:
        parser: Gets the option.
        name: The option.
        metavar: What a path is called in the help.
        meaning: The help.
    """
    parser.add_argument(
        name, type=path, nargs="+", action="extend", default=[], metavar=metavar, help=meaning
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Adds the option that switches off progress, which all commands share that take long."""
    parser.add_argument(
        "--quiet",
        action="store_true",
        default=is_quiet([]),
        help="show no progress on standard error; without it, a terminal gets a live line, and any"
        " other file a line every 10 s (default: show it, unless EVENTSIFT_QUIET is set)",
    )


def is_quiet(arguments: Sequence[str]) -> bool:
    """Tells whether no progress is to be shown, before the arguments are parsed."""
    return "--quiet" in arguments or bool(os.environ.get("EVENTSIFT_QUIET"))


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options about the table, which the job and `compact` share."""
    parser.add_argument("--output", type=path, metavar="DIR", help="the table's folder")
    parser.add_argument(
        "--target-file-mb",
        type=_positive,
        default=256,
        metavar="N",
        help="start a new data file beyond this, in MiB before compression (default: 256)",
    )
    parser.add_argument(
        "--keep-history",
        type=_history,
        default=0.0,
        metavar="TIME",
        help="keep superseded files this long for Delta readers of older versions, at most"
        f" {LOG_DAYS}d, because {LOG_DAYS} days of log are kept; plain Parquet readers do not"
        " see them; superseded files that another Delta tool has written are removed at once; give"
        " it to every run: a run without it ends the history (default: 0, remove them at once)",
    )


def parser(
    command: str = "run",
    module: str = "pipeline",
    description: str = "Keep the latest version of every event, as Parquet by type and date.",
) -> Parser:
    """Returns the parser of the job's own options, for help and usage errors.

    Args:
        command: The command that takes them.
        module: The module that was started otherwise.
        description: What the command does.
    """
    own = Parser(
        prog=console.name(command, module),
        description=description,
        epilog="Any option of Apache Beam or its runners may follow, e.g. --runner=FlinkRunner.",
        allow_abbrev=False,
    )
    add_arguments(own)
    return own


# Keeps every limit, in any unit, within 64 bits.
_MOST_DIGITS = 9
# Longer than anybody waits, and within what the system's clocks allow.
_MOST_SECONDS = 366 * 86_400
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> float:
    """Returns the seconds that an option such as ``5m`` names."""
    number = text.rstrip("smhd")
    unit = text[len(number) :]
    if not re.fullmatch(r"\d+(\.\d+)?", number, re.ASCII) or unit not in _SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 30s, 5m, 1h or 7d")
    found = float(number) * _SECONDS[unit]
    if found > _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 366d")
    return found


def _history(text: str) -> float:
    found = seconds(text)
    if found > LOG_DAYS * 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LOG_DAYS}d, which the log keeps")
    return found


def _reject_limit(text: str) -> RejectLimit:
    found = re.fullmatch(r"(\d{1,9})(?:(?:\.(\d{1,9}))?(%))?", text, re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of records, such as 100, nor a share, such as 0.5%"
        )
    number, decimals, share = found.groups("")
    if not share:
        return RejectLimit(text, int(number), 0)
    limit = RejectLimit(text, int(number + decimals), 100 * 10 ** len(decimals))
    if limit.parts > limit.whole:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 100%")
    return limit


def _fields(text: str) -> "FieldMap":
    from pipeline.input import fields  # takes time, for few

    try:
        return fields.parsed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    value = count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is not at least 1")
    return value


def count(text: str) -> int:
    """Returns the whole number that an option names."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    if len(text) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} has more than {_MOST_DIGITS} digits")
    return int(text)


def path(text: str) -> str:
    """Returns the path that an option names; an empty one is refused."""
    # An empty path is the working directory. Nobody means that; a variable was not set.
    if text.strip() in ("", "file://", "file://localhost"):
        raise argparse.ArgumentTypeError(f"{text!r} is no path (a variable that is not set?)")
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"
