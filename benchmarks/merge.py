"""``python -m benchmarks merge``: what a delivery into an existing table costs.

A delivery is 90 % new events and 10 % later versions of events in the table. *Local*: all of them
lie in the table's newest day; *spread*: over all days. Next to it stands ``DeltaTable.merge`` into
a copy of the same table, with the delivery parsed and deduplicated beforehand.
"""

import datetime
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from benchmarks import contents, data, programs, tables
from benchmarks.measure import Usage
from generator.options import Options

_START = datetime.date(2021, 1, 1)
_DAYS = 14
_TYPES = 7  # times 14 days are 98 partitions, 7 of them in one day
_LATER_VERSIONS = 0.1
_NEW_EVENTS_SEED = 1  # ids that the table (seed 0) does not have


class Case(NamedTuple):
    """A table and a delivery.

    Attributes:
        table_events: What the table was built from.
        delivery_events: What is delivered.
        spread: Whether it lies on all days, not only on the newest.
    """

    table_events: int
    delivery_events: int
    spread: bool


class Result(NamedTuple):
    """What a case took.

    Attributes:
        case: The case.
        build: Building the table, once.
        eventsift: Each round's run of the job.
        delta: Each round's ``DeltaTable.merge``.
        known: Events delivered that brought the table no new row.
    """

    case: Case
    build: Usage
    eventsift: list[Usage]
    delta: list[Usage]
    known: int


class DisagreementError(Exception):
    """The two merges did not make the same table."""


def cases(table_events: Sequence[int], delivery_events: Sequence[int]) -> list[Case]:
    """Every delivery into every table that is not smaller."""
    return [
        Case(table, delivery, spread)
        for table in table_events
        for delivery in delivery_events
        if delivery <= table
        for spread in (False, True)
    ]


def measure(wanted: Sequence[Case], rounds: int, work: pathlib.Path) -> list[Result]:
    """Builds each table once, then makes each delivery into fresh copies of it.

    Raises:
        DisagreementError: The merges' tables differ.
        measure.CommandError: A program failed.
    """
    results = []
    for events in sorted({case.table_events for case in wanted}):
        base = _base(events, work)
        table = work / f"table-merge-{events}"
        shutil.rmtree(table, ignore_errors=True)
        data.warm(base)
        os.sync()
        build = programs.run_eventsift(table, base.pattern)
        print(f"table of {events:,} events: {build.wall_seconds:.2f} s", flush=True)
        for case in wanted:
            if case.table_events == events:
                results.append(_measure(case, build, table, base, rounds, work))
        shutil.rmtree(table)
    return results


def _base(events: int, work: pathlib.Path) -> data.Delivery:
    files = max(4, events // 1_000_000)
    return data.made(
        Options(
            events=events,
            files=files,
            output=work / f"merge-base-{events}",
            start=_START,
            days=_DAYS,
            types=_TYPES,
        )
    )


def delivery(case: Case, known_ids: int, work: pathlib.Path) -> list[data.Delivery]:
    """The files of a delivery: later versions of known ids, and new events."""
    later = round(case.delivery_events * _LATER_VERSIONS)
    name = (
        f"merge-{case.table_events}-{case.delivery_events}-{'spread' if case.spread else 'local'}"
    )
    versions = data.made(
        Options(
            events=later,
            output=work / f"{name}-later",
            start=_START,
            days=_DAYS,
            types=_TYPES,
            duplicates=1.0,
            exact_copies=0.0,
            ties=0.0,
            late=0.0,
            other_day=0.2 if case.spread else 0.0,
            known_ids=known_ids,
            spread=None if case.spread else 1,
        )
    )
    new = data.made(
        Options(
            events=case.delivery_events - later,
            output=work / f"{name}-new",
            start=_START if case.spread else _START + datetime.timedelta(days=_DAYS - 1),
            days=_DAYS if case.spread else 1,
            types=_TYPES,
            duplicates=0.0,
            seed=_NEW_EVENTS_SEED,
        )
    )
    return [versions, new]


def _measure(
    case: Case,
    build: Usage,
    table: pathlib.Path,
    base: data.Delivery,
    rounds: int,
    work: pathlib.Path,
) -> Result:
    parts = delivery(case, base.summary.known_ids, work)
    source = work / "merge-source.parquet"
    _parse(parts, source)
    ours, theirs = work / "table-merge-eventsift", work / "table-merge-delta"
    result = Result(case, build, [], [], 0)
    for number in range(rounds):
        for part in parts:
            data.warm(part)
        copy(table, ours)
        os.sync()
        used = programs.run_eventsift(ours, *(part.pattern for part in parts))
        result.eventsift.append(used)
        copy(table, theirs)
        os.sync()
        merged = programs.run_merge(source, theirs)
        result.delta.append(merged)
        print(
            f"round {number + 1}: {case}: {used.wall_seconds:.2f} s, DeltaTable.merge"
            f" {merged.wall_seconds:.2f} s",
            flush=True,
        )
        if number == 0:
            result = result._replace(known=_compare(table, ours, theirs, case))
    shutil.rmtree(ours)
    shutil.rmtree(theirs)
    return result


def copy(table: pathlib.Path, target: pathlib.Path) -> None:
    """A fresh copy of a table, its data files as hard links: nobody changes one in place."""
    shutil.rmtree(target, ignore_errors=True)
    linked = set(map(str, contents.data_files(table)))

    def one(source: str, destination: str) -> None:
        if source in linked:
            os.link(source, destination)
        else:
            shutil.copy2(source, destination)

    shutil.copytree(table, target, copy_function=one)


def _parse(parts: Sequence[data.Delivery], source: pathlib.Path) -> None:
    """The latest version of each event delivered, in the table's columns."""
    patterns = ", ".join(f"'{part.pattern}'" for part in parts)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"""
            COPY (
              SELECT event_id, instant AS timestamp, 0::SMALLINT AS nanos, data::VARCHAR AS data,
                NULL::VARCHAR AS extra, domain, event_type,
                year(instant)::INTEGER AS year, month(instant)::INTEGER AS month,
                day(instant)::INTEGER AS day
              FROM (
                SELECT *, timestamp::TIMESTAMPTZ AS instant
                FROM read_json([{patterns}], format = 'newline_delimited', columns =
                  {{event_id: 'VARCHAR', timestamp: 'VARCHAR', domain: 'VARCHAR',
                    event_type: 'VARCHAR', data: 'JSON'}})
              )
              QUALIFY row_number() OVER (
                PARTITION BY event_id ORDER BY instant DESC, data::VARCHAR DESC
              ) = 1
            ) TO '{source}' (FORMAT parquet)
            """
        )


def _compare(before: pathlib.Path, ours: pathlib.Path, theirs: pathlib.Path, case: Case) -> int:
    """Compares ids and instants of two merges; returns how many events brought no new row.

    Raises:
        DisagreementError: They differ.
    """
    # DeltaTable.merge leaves the files it replaces: only the log knows the live ones.
    digests = [contents.delta_keys(table) for table in (ours, theirs)]
    if digests[0] != digests[1]:
        raise DisagreementError(
            f"{ours} and {theirs} differ: rows and digests are {digests[0]} and {digests[1]}"
        )
    inserted = digests[0][0] - contents.rows(before)
    return case.delivery_events - inserted


def markdown(results: Sequence[Result]) -> str:
    """The results as a table for people."""
    rows = []
    for case, build, ours, theirs, known in results:
        walls = [used.wall_seconds for used in ours]
        rows.append(
            [
                f"{case.table_events:,}",
                f"{case.delivery_events:,}",
                "all days" if case.spread else "one day",
                tables.seconds(walls),
                tables.ratios(walls, [build.wall_seconds] * len(walls)),
                tables.ratios(walls, [used.wall_seconds for used in theirs]),
                tables.seconds([used.wall_seconds for used in theirs]),
                tables.mib([used.peak.private for used in ours]),
                tables.mib([used.peak.private for used in theirs]),
                f"{known:,}",
            ]
        )
    header = ["table from", "delivery", "lies in", "wall s", "to building", "to DeltaTable.merge"]
    header += ["DeltaTable.merge s", "private MiB", "its private MiB", "of known ids"]
    rounds = len(results[0].eventsift) if results else 0
    builds = {
        result.case.table_events: f"{result.case.table_events:,} events"
        f" {result.build.wall_seconds:.1f} s, {result.build.peak.private / tables.MIB:,.0f} MiB"
        for result in results
    }
    caption = (
        f"Building the table took: {'; '.join(builds.values())}."
        f" {tables.rounds(rounds).capitalize()}; times and memory are"
        " medians, ratios min / median / max of the rounds."
        f" {tables.machine()}; load average at the end {tables.load()}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
