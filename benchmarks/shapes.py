"""``python -m benchmarks shapes``: loads of other shapes than the plain one, beside it and DuckDB.

Rounds are interleaved. *To plain* compares the time of an event with that of the plain load named,
in the same round.
"""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import contents, data, merge, programs, tables
from benchmarks.build import YARDSTICK, DisagreementError
from benchmarks.measure import CommandError, Usage
from generator.options import Options

_EVENTS_PER_FILE = 1_000_000
# A table of more files than this stays until the end; see benchmarks/README.md.
_FEW_FILES = 1_000
# A run refuses more than 10,000 new partitions, unless it is told that they are no mistake.
_ANY_NUMBER = ("--max-partitions", "1000000")
_ONE_PARTITION: dict[str, Any] = {"types": 1, "days": 1}


class Shape(NamedTuple):
    """A load.

    Attributes:
        name: For people.
        events: How many are delivered.
        plain: The load that it is compared with.
        options: What it asks of the generator.
        same: Fields that have the same value in all events.
        table: Events that the table is built from before; 0 for a new table.
        table_options: What these ask of the generator.
    """

    name: str
    events: int
    plain: str
    options: Mapping[str, Any] = {}
    same: tuple[str, ...] = ()
    table: int = 0
    table_options: Mapping[str, Any] = {}


class Result(NamedTuple):
    """What a load took; a `Usage` for each round.

    Attributes:
        shape: The load.
        bytes: Of the input.
        ours: eventsift's.
        peer: DuckDB's, None where it failed; nothing where it cannot do the same.
        files: Data files of the table.
    """

    shape: Shape
    bytes: int
    ours: list[Usage]
    peer: list[Usage | None]
    files: int


def shapes(scale: float = 1) -> list[Shape]:
    """All loads, the plain ones first.

    Args:
        scale: What all numbers of events and files are multiplied with.
    """

    def scaled(number: int) -> int:
        return max(100, round(number * scale))

    plain = [scaled(million * 1_000_000) for million in (1, 5, 10)]
    one, five, ten = (
        Shape(f"plain, {_millions(number)}", number, f"plain, {_millions(number)}")
        for number in plain
    )
    types, files = scaled(1_000), scaled(100_000) // 100
    many = {"types": files, "days": 100, "duplicates": 0.0}
    return [
        one,
        five,
        ten,
        _like(five, "one destination", options=_ONE_PARTITION),
        _like(ten, "one destination", 2 * ten.events, options=_ONE_PARTITION),
        _like(five, "one instant", options={"types": 1}, same=("timestamp",)),
        _like(five, "one event_id", same=("event_id",)),
        _like(one, f"{10 * types:,} destinations", options={"types": types, "days": 10}),
        _like(ten, "one gzip file", options={"files": 1, "compression": "gzip"}),
        _like(
            ten,
            "into a large partition",
            scaled(2_300_000),
            options=_ONE_PARTITION,
            table=scaled(7_000_000),
            table_options=_ONE_PARTITION,
        ),
        _like(
            one,
            f"into {100 * files:,} files",
            1_000,
            options=many | {"duplicates": 0.5},
            table=200 * files,
            table_options=many,
        ),
    ]


def _millions(number: int) -> str:
    return f"{number / 1e6:g} M"


def _like(plain: Shape, name: str, events: int = 0, **more: Any) -> Shape:
    """A load of as many events as a plain one, or another number."""
    events = events or plain.events
    return plain._replace(name=f"{name}, {_millions(events)}", events=events, **more)


def wanted(some: Sequence[Shape], names: Sequence[str]) -> list[Shape]:
    """Those whose names begin with one of `names`, all if there are none; and their plain ones."""
    chosen = [shape for shape in some if not names or shape.name.startswith(tuple(names))]
    plain = {shape.plain for shape in chosen}
    return [shape for shape in some if shape in chosen or shape.name in plain]


def measure(
    wanted: Sequence[Shape], rounds: int, work: pathlib.Path, peer: bool = True
) -> dict[str, Result]:
    """Publishes each load, `rounds` times.

    Args:
        wanted: The loads. Those that they are compared with are measured, too.
        rounds: How often.
        work: For input and output.
        peer: Whether DuckDB does the same, where it can.

    Raises:
        build.DisagreementError: Its table has other events.
        measure.CommandError: eventsift failed.
    """
    results = {shape.name: Result(shape, 0, [], [], 0) for shape in wanted}
    with tempfile.TemporaryDirectory(dir=work, prefix="tables-") as folder:
        before = {
            shape.name: _table(shape, work, pathlib.Path(folder)) for shape in wanted if shape.table
        }
        for number in range(rounds):
            for shape in wanted:
                output = pathlib.Path(folder) / f"{wanted.index(shape)}-{number}"
                theirs = output.with_name(f"{output.name}-{YARDSTICK}")
                delivered = delivery(shape, work)
                result = results[shape.name]
                if peer and not shape.table:
                    result.peer.append(_peer(delivered, theirs))
                result.ours.append(_ours(shape, delivered, before.get(shape.name), output))
                files = len(contents.data_files(output))
                results[shape.name] = result._replace(
                    bytes=delivered.summary.size_bytes, files=files
                )
                print(f"round {number + 1}: {shape.name}: {result.ours[-1].wall_seconds:.2f} s")
                if number == 0 and result.peer and result.peer[0]:
                    _compare(shape, output, theirs)
                for table in (output, theirs):
                    if files <= _FEW_FILES:
                        shutil.rmtree(table, ignore_errors=True)
    return results


def _table(shape: Shape, work: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The table that a load is merged into."""
    name = f"shape-table-{shape.table}-{_words(shape.name)}"
    files = max(1, shape.table // _EVENTS_PER_FILE)
    options = Options(events=shape.table, output=work / name, files=files)
    delivered = data.made(options._replace(**shape.table_options))
    programs.run_eventsift(folder / name, delivered.pattern, options=_ANY_NUMBER)
    return folder / name


def delivery(shape: Shape, work: pathlib.Path) -> data.Delivery:
    """The input of a load."""
    files = max(4, shape.events // _EVENTS_PER_FILE)
    # What is known to the table are the first ids of the same seed.
    known = round(shape.table * (1 - shape.table_options.get("duplicates", 0.1)))
    name = f"shape-{shape.events}-{_words(shape.name)}"
    options = Options(events=shape.events, output=work / name, files=files, known_ids=known)
    delivered = data.made(options._replace(**shape.options))
    return data.with_same(delivered, shape.same) if shape.same else delivered


def _words(name: str) -> str:
    return "".join(filter(str.isalnum, name))


def _peer(delivered: data.Delivery, output: pathlib.Path) -> Usage | None:
    """DuckDB's table; None if it fails, which it does where memory is too small for it."""
    data.warm(delivered)
    os.sync()
    try:
        return programs.run_peer(YARDSTICK, output, delivered.pattern)
    except CommandError as error:
        print(f"DuckDB failed: {str(error).splitlines()[-1]}")
        return None


def _ours(
    shape: Shape, delivered: data.Delivery, before: pathlib.Path | None, output: pathlib.Path
) -> Usage:
    """Our table, made of nothing or of the one before."""
    if before is not None:
        merge.copy(before, output)
    data.warm(delivered)
    os.sync()
    return programs.run_eventsift(output, delivered.pattern, options=_ANY_NUMBER)


def _compare(shape: Shape, ours: pathlib.Path, theirs: pathlib.Path) -> None:
    """Compares ids and instants.

    Raises:
        build.DisagreementError: They differ.
    """
    found = contents.keys(ours), contents.keys(theirs)
    if found[0] != found[1]:
        raise DisagreementError(f"{shape.name}: rows and digests are {found[0]} and {found[1]}")


def markdown(results: Mapping[str, Result]) -> str:
    """The results as a table for people."""
    rows = []
    for name, result in results.items():
        shape, walls = result.shape, [used.wall_seconds for used in result.ours]
        plain = results.get(shape.plain, result)
        each = [wall / shape.events for wall in walls]
        yardstick = [used.wall_seconds / plain.shape.events for used in plain.ours]
        pairs = [
            (ours, theirs)
            for ours, theirs in zip(walls, result.peer, strict=bool(result.peer))
            if theirs is not None
        ]
        theirs = [used.peak.private for _, used in pairs]
        failed = "fails" if result.peer else ""
        rows.append(
            [
                name,
                f"{shape.events:,}",
                f"{result.bytes / 1e6:,.0f}",
                tables.seconds(walls),
                "" if shape.table else tables.ratios(each, yardstick),
                tables.ratios([wall for wall, _ in pairs], [used.wall_seconds for _, used in pairs])
                if pairs
                else failed,
                tables.mib([max(used.peak.private for used in result.ours)]),
                tables.mib([max(theirs)]) if pairs else failed,
                f"{result.files:,}",
            ]
        )
    header = ["load", "events", "MB", "wall s", "an event, to plain", "to DuckDB"]
    header += ["private MiB", "DuckDB's", "files"]
    rounds = max(len(result.ours) for result in results.values())
    caption = (
        f"{tables.rounds(rounds).capitalize()}; times are medians, memory the peak, ratios min /"
        f" median / max of the rounds. {tables.machine()}; load average at the end {tables.load()}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
