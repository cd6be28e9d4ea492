"""``python -m benchmarks build``: the same table from the same files, made by eventsift and others.

Rounds are interleaved (A B C, A B C), so that what else the machine does meets all programs alike,
and a ratio compares neighbours in time.
"""

import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks import contents, data, programs, tables
from benchmarks.contents import Contents
from benchmarks.measure import Usage
from benchmarks.programs import EVENTSIFT
from generator.options import Options

YARDSTICK = "duckdb"

# Beam holds all events in memory: more than this many do not fit into a laptop's.
_BEAM_EVENTS = 2_000_000
_EVENTS_PER_FILE = 1_000_000


class DisagreementError(Exception):
    """The programs did not make the same table."""


class Results(NamedTuple):
    """What was measured, by program; a `Usage` for each round."""

    delivery: data.Delivery
    usage: Mapping[str, Sequence[Usage]]
    contents: Mapping[str, Contents]


def default_peers(events: int) -> list[str]:
    """The peers that can be expected to cope with so many events."""
    return [peer for peer in programs.PEERS if peer != "beam" or events <= _BEAM_EVENTS]


def delivery(events: int, work: pathlib.Path, *, one_partition: bool = False) -> data.Delivery:
    """Events as the generator makes them when it is asked for nothing special.

    Args:
        events: How many.
        work: For input and output.
        one_partition: Whether they all are of one type and day.
    """
    options = Options(events=events, files=max(4, events // _EVENTS_PER_FILE), output=work)
    if one_partition:
        return data.made(options._replace(output=work / f"hot-{events}", types=1, days=1))
    return data.made(options._replace(output=work / f"events-{events}"))


def measure(events: int, rounds: int, peers: Sequence[str], work: pathlib.Path) -> Results:
    """Makes the table with eventsift and each peer, `rounds` times.

    Raises:
        DisagreementError: The tables differ; they are left in the work folder.
        measure.CommandError: A program failed.
    """
    delivered = delivery(events, work)
    reference = data.reference(delivered)
    # The yardstick comes first, next to eventsift.
    order = [YARDSTICK, EVENTSIFT, *(peer for peer in peers if peer != YARDSTICK)]
    usage: dict[str, list[Usage]] = {name: [] for name in order}
    found: dict[str, Contents] = {}
    for number in range(rounds):
        for name in order:
            output = work / f"table-{name}"
            shutil.rmtree(output, ignore_errors=True)
            data.warm(delivered)
            os.sync()  # what the one before has written is not this one's burden
            if name == EVENTSIFT:
                used = programs.run_eventsift(output, delivered.pattern)
            else:
                used = programs.run_peer(name, output, delivered.pattern)
            usage[name].append(used)
            print(f"round {number + 1}: {name}: {used.wall_seconds:.2f} s", flush=True)
            if number == 0:
                found[name] = contents.contents(output, reference)
                check(found)
            elif contents.rows(output) != found[name].rows:
                raise DisagreementError(f"{output} has other rows than in the first round")
            shutil.rmtree(output)
    return Results(delivered, usage, found)


def check(found: Mapping[str, Contents]) -> None:
    """Compares the tables' contents with those of the yardstick.

    Raises:
        DisagreementError: With the first difference.
    """
    expected = found[YARDSTICK]
    for name, table in found.items():
        for what in ("rows", "keys", "events"):
            ours, theirs = getattr(table, what), getattr(expected, what)
            if ours != theirs:
                raise DisagreementError(
                    f"the tables differ in their {what}: {name} has {ours}, {YARDSTICK} {theirs}"
                )


def markdown(results: Results) -> str:
    """The results as a table for people, with what was compared."""
    yardstick = results.usage[YARDSTICK]
    rows = []
    for name, usage in results.usage.items():
        table = results.contents[name]
        rows.append(
            [
                programs.title(name),
                tables.seconds([used.wall_seconds for used in usage]),
                tables.ratios(
                    [used.wall_seconds for used in usage], [used.wall_seconds for used in yardstick]
                ),
                tables.seconds([used.cpu_seconds for used in usage]),
                tables.ratios(
                    [used.cpu_seconds for used in usage], [used.cpu_seconds for used in yardstick]
                ),
                tables.mib([used.peak.private for used in usage]),
                tables.mib([used.peak.file_backed for used in usage]),
                f"{table.files:,}",
                f"{table.bytes / tables.MIB:,.1f}",
                f"{table.verbatim:.0%}",
            ]
        )
    header = ["", "wall s", "to DuckDB", "CPU s", "to DuckDB", "private MiB", "file-backed MiB"]
    header += ["files", "MiB written", "payload as is"]
    summary = results.delivery.summary
    caption = (
        f"{summary.events:,} events, {summary.size_bytes / 1e6:,.0f} MB of JSON Lines in"
        f" {summary.files} files; {tables.rounds(len(yardstick))}; times and"
        " memory are medians, ratios min / median / max of the rounds;"
        f" {results.contents[YARDSTICK].rows:,} rows, the same in all tables. {tables.machine()};"
        f" load average at the end {tables.load()}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
