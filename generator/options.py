"""The options: which deliveries can be asked for, and what is refused."""

import argparse
import datetime
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from generator.presets import PRESETS
from pipeline.command import console
from pipeline.command.console import Parser
from pipeline.command.options import add_quiet

FRAMINGS = ("lines", "concatenated", "spaced", "pretty", "array")
COMPRESSIONS = ("none", "gzip", "bzip2", "xz", "zstd")

# Counts are multiplied by billionths of a share in 64-bit integers (see versions.counts).
_MOST = 2_000_000_000
# Not the last day of the calendar: the local date of the last event may be a day later.
_LAST_DAY = datetime.date(9998, 12, 31).toordinal()


class Options(NamedTuple):
    """What a delivery is like. The command line has an option for each field; its help explains it.

    Shares are between 0 and 1. ``exact_copies``, ``ties``, ``other_day``, ``other_type`` and
    ``late`` are shares of the duplicates; the other shares are of all events.
    """

    events: int
    output: pathlib.Path
    files: int = 1
    seed: int = 0
    start: datetime.date = datetime.date(2021, 1, 1)
    days: int = 7
    types: int = 14
    duplicates: float = 0.10
    exact_copies: float = 0.30
    ties: float = 0.02
    other_day: float = 0.20
    other_type: float = 0.10
    late: float = 0.20
    spaced_timestamps: float = 0.50
    extra: float = 0.0
    awkward: float = 0.0
    broken: float = 0.0
    framing: str = "lines"
    compression: str = "none"
    bom: bool = False
    crlf: bool = False
    first_file: int = 0
    preset: str = "classic"
    answers: pathlib.Path | None = None
    known_ids: int = 0
    spread: int | None = None

    @property
    def first_landing_day(self) -> int:
        """The first day (0 is ``start``) on which repeated ids may lie; see ``--spread``."""
        return self.days - (self.spread or self.days)


def _complaint(options: Options) -> str | None:
    """Says what is wrong with options that are right one by one; None if nothing is."""
    alike = options.exact_copies + options.ties
    split = alike + options.other_day + options.other_type
    # A little above 1, since 0.3 + 0.2 + 0.5 is not always 1 in binary.
    if split > 1 + 1e-9:
        return (
            "--exact-copies, --ties, --other-day and --other-type share out the duplicates and may "
            f"add up to 1 at most, but add up to {split:g}"
        )
    if options.late > 1 - alike + 1e-9:
        return (
            f"--late {options.late:g} is more than the {1 - alike:g} of the duplicates that "
            "--exact-copies and --ties leave with a time of their own"
        )
    if options.spread is not None and options.spread > options.days:
        return f"--spread {options.spread} must not be more than --days, which is {options.days}"
    if options.answers and _is_read(options.answers, options.output):
        return (
            f"--answers {options.answers} must not lie in --output, where a run would read it; "
            f"call it _{options.answers.name}, or put it elsewhere"
        )
    if options.start.year < 2 or options.start.toordinal() + options.days > _LAST_DAY:
        return (
            f"--start {options.start} with --days {options.days} must lie between the years 2 and "
            "9998"
        )
    return None


def _is_read(path: pathlib.Path, folder: pathlib.Path) -> bool:
    """Tells whether a run that reads a folder reads a file."""
    try:
        names = path.absolute().relative_to(folder.absolute()).parts
    except ValueError:
        return False
    return not any(name.startswith((".", "_")) for name in names)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parses a command line.

    Args:
        arguments: The arguments; by default the process's own.

    Raises:
        SystemExit: With status 2 and one sentence on stderr, if they are wrong.
    """
    parser = _parser()
    preset = parser.parse_args(arguments).preset
    parser.set_defaults(**PRESETS[preset].defaults)  # below what the command line has
    given = vars(parser.parse_args(arguments))
    del given["quiet"]  # of the command, and not of the delivery
    options = Options(**given)
    problem = _complaint(options)
    if problem is not None:
        parser.error(problem)
    return options


class _Parser(Parser):
    more_options = list  # nobody else parses options, so an unknown one is wrong


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Makes the parser of a whole number."""

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a whole number from {lowest} to {highest}"
            )
        return value

    return parsed


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a share between 0 and 1")
    return value


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a date like 2021-01-01") from None


def _directory(text: str) -> pathlib.Path:
    if not text:
        raise argparse.ArgumentTypeError("'' must be the path of a directory")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} must be a directory on this machine")
    return pathlib.Path(text)


def _file(text: str) -> pathlib.Path:
    if not text or "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} must be a file on this machine")
    return pathlib.Path(text)


class _Group:
    """A group of options under one heading of the help; their defaults are those of `Options`."""

    def __init__(self, parser: argparse.ArgumentParser, heading: str) -> None:
        self._group = parser.add_argument_group(heading)

    def add(self, name: str, meaning: str, **how: Any) -> None:
        """Adds an option."""
        default = Options._field_defaults.get(name[2:].replace("-", "_"))
        shown = "" if default is None or default is False else " (default: %(default)s)"
        self._group.add_argument(name, default=default, help=meaning + shown, **how)

    def whole(
        self, name: str, meaning: str, lowest: int = 0, highest: int = _MOST, required: bool = False
    ) -> None:
        """Adds an option that takes a whole number."""
        self.add(name, meaning, metavar="N", type=_whole(lowest, highest), required=required)

    def share(self, name: str, meaning: str) -> None:
        """Adds an option that takes a share between 0 and 1."""
        self.add(name, meaning, metavar="SHARE", type=_share)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=console.name("generate", "generator"),
        description="Writes JSON event files with duplicates, late versions and, if asked, faults. "
        "The same seed and options give the same bytes.",
        allow_abbrev=False,
    )
    _add_delivery(_Group(parser, "delivery"))
    _add_destinations(_Group(parser, "destinations"))
    _add_duplicates(_Group(parser, "duplicates"))
    _add_form(_Group(parser, "form"))
    add_quiet(parser)
    return parser


def _add_delivery(group: _Group) -> None:
    group.whole("--events", "events to write, broken ones included", required=True)
    group.add(
        "--output",
        "folder for the files; it is made if it is missing",
        metavar="DIR",
        type=_directory,
        required=True,
    )
    group.whole("--files", "files to write them to", 1, 10_000_000)
    group.whole(
        "--first-file", "number of the first file, so that deliveries can share a directory"
    )
    presets = "; ".join(f"{name}, {preset.meaning}" for name, preset in PRESETS.items())
    group.add(
        "--preset",
        f"what the delivery is like: {presets.replace('%', '%%')}; other options that you give"
        " override it",
        metavar="NAME",
        choices=tuple(PRESETS),
    )
    group.add(
        "--answers",
        "also write what must become of the events, for verify --answers: which rows must be in "
        "the table, and which records must be rejected; takes 16 bytes of memory for each event id",
        metavar="FILE",
        type=_file,
    )
    group.whole("--seed", "another seed gives other ids and other events", 0, 2**64 - 1)


def _add_destinations(group: _Group) -> None:
    group.add("--start", "first day of the events (UTC)", metavar="DATE", type=_date)
    group.whole("--days", "days they spread over", 1, 1_000_000)
    group.whole(
        "--types",
        "kinds of events (domain and event type); times --days this is the number of destinations",
        1,
        1_000_000,
    )


def _add_duplicates(group: _Group) -> None:
    group.share("--duplicates", "share of the events that repeat an earlier event id")
    group.share(
        "--exact-copies", "share of the duplicates that are their first version, byte for byte"
    )
    group.share("--ties", "share of the duplicates with the same instant but another payload")
    group.share("--other-day", "share of the duplicates moved to another day (none if --days is 1)")
    group.share(
        "--other-type", "share of the duplicates moved to another type (none if --types is 1)"
    )
    group.share("--late", "share of the duplicates that are older than the first version")
    group.whole(
        "--known-ids",
        "event ids that earlier deliveries of this seed brought (each prints the number): they may "
        "be repeated, and new ids go on from there; keep --start, --days and --types",
    )
    group.whole(
        "--spread",
        "let versions of repeated ids lie in the last N days only; with --other-day 0 their first "
        "versions lie there too (default: all days)",
        1,
    )


def _add_form(group: _Group) -> None:
    group.share(
        "--spaced-timestamps",
        "share of the timestamps like 2021-01-08 10:00:00; the others have a T, and end in Z, an "
        "offset or nothing",
    )
    group.share("--extra", "share of the events with an unknown top-level field")
    group.share(
        "--awkward",
        "share of the events whose payload has a member that is hard to analyse: odd or ever new "
        "names, large numbers, mixed or deep lists",
    )
    group.share(
        "--broken",
        "share of broken events; in framings other than lines the JSON stays well-formed",
    )
    group.add("--framing", ", ".join(FRAMINGS), metavar="HOW", choices=FRAMINGS)
    group.add("--compression", ", ".join(COMPRESSIONS), metavar="HOW", choices=COMPRESSIONS)
    group.add("--bom", "begin every file with a byte order mark", action="store_true")
    group.add("--crlf", "end lines with CR LF", action="store_true")
