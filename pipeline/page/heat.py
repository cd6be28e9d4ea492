"""Events by type and day: where the table's rows are, and which partitions the last run wrote."""

import bisect
import datetime
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pipeline.amounts import counted
from pipeline.keys.partitions import Destination
from pipeline.page import words
from pipeline.table.datafiles import DataFile

# What still can be told apart on a phone, and keeps the page small.
COLUMNS, ROWS = 62, 24
LEVELS = 5
# Where few events lie far from all others, they share a column, and the others get the room.
_FAR_SHARE = 0.005


class Cell(NamedTuple):
    """The events of one type in one column.

    Attributes:
        events: How many.
        level: From 1 to `LEVELS`; 0 if there are none.
        touched: Whether the last run wrote a file here.
    """

    events: int
    level: int
    touched: bool


class HeatRow(NamedTuple):
    """The events of one type, or of all types that have no row of their own.

    Attributes:
        name: The type's parts, or what the other types are called.
        events: In all columns.
        cells: By column.
    """

    name: Sequence[str]
    events: int
    cells: Sequence[Cell]


class Heat(NamedTuple):
    """The map.

    Attributes:
        unit: What a column is: a day, week, month or year.
        columns: Their names.
        rows: By name; that of the other types comes last.
        bounds: The most events of each level, the highest levels' if there are few events; a cell
            of the other types may have more.
        types: How many types the table has.
        touched: How many partitions have files that the last run wrote.
        undated: Rows in partitions whose date is none; only other tools write such.
    """

    unit: str
    columns: Sequence[str]
    rows: Sequence[HeatRow]
    bounds: Sequence[int]
    types: int
    touched: int
    undated: int


class _Unit(NamedTuple):
    """A unit of time: its name, the number of a day's column, and the name of a column."""

    name: str
    number: Callable[[int], int]
    label: Callable[[int], str]


def _day(number: int) -> datetime.date:
    return datetime.date.fromordinal(number)


def _month_number(day: int) -> int:
    date = _day(day)
    return date.year * 12 + date.month - 1


def _month_label(number: int) -> str:
    return words.month(datetime.date(number // 12, number % 12 + 1, 1))


_UNITS = (
    _Unit("day", int, lambda number: words.date(_day(number))),
    # Day 1 was a Monday.
    _Unit(
        "week",
        lambda day: (day - 1) // 7,
        lambda number: f"week of {words.date(_day(number * 7 + 1))}",
    ),
    _Unit("month", _month_number, _month_label),
    _Unit("year", lambda day: _day(day).year, lambda number: f"{number:04d}"),
)


def heat(files: Iterable[DataFile], run_id: str) -> Heat | None:
    """Returns the map of a table's live files; None if they hold no event with a date.

    Args:
        files: The live files.
        run_id: The last run.
    """
    own = f"part-{run_id}-"
    events: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    touched: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    written, undated = set(), 0
    for file in files:
        day = _day_of(file.destination)
        if day is None:
            undated += file.rows
            continue
        kind = file.destination[:2]
        events[kind][day] += file.rows
        if file.path.rpartition("/")[2].startswith(own):
            touched[kind].add(day)
            written.add(file.destination)
    by_day: Counter[int] = Counter()
    for days in events.values():
        by_day.update(days)
    if not by_day:
        return None
    unit, first, last = _columns(by_day)

    def column(day: int) -> int:
        return min(max(unit.number(day), first), last) - first

    names = _names(unit, first, last, by_day)
    kinds = sorted(events, key=lambda kind: (-events[kind].total(), kind))
    own_row = kinds if len(kinds) <= ROWS else kinds[: ROWS - 1]
    groups = [(words.name(kind), [kind]) for kind in sorted(own_row)]
    if others := kinds[len(own_row) :]:
        groups.append(((counted(len(others), "other type"),), others))
    sums, marks = [], []
    for _, some in groups:
        total: Counter[int] = Counter()
        for kind in some:
            for day, number in events[kind].items():
                total[column(day)] += number
        sums.append(total)
        marks.append({column(day) for kind in some for day in touched[kind]})
    # Not of the other types together: next to them all others would be pale.
    bounds = _bounds(max(n for total in sums[: len(own_row)] for n in total.values()))
    rows = [
        HeatRow(
            name,
            total.total(),
            [
                Cell(total[n], _level(total[n], bounds), n in marked)
                for n in range(last - first + 1)
            ],
        )
        for (name, _), total, marked in zip(groups, sums, marks, strict=True)
    ]
    return Heat(unit.name, names, rows, bounds, len(kinds), len(written), undated)


def _day_of(destination: Destination) -> int | None:
    """Returns the number of a destination's day; None if it is none."""
    try:
        return datetime.date(*destination[2:]).toordinal()
    except (ValueError, OverflowError):
        return None


def _columns(by_day: Counter[int]) -> tuple[_Unit, int, int]:
    """Returns the unit of the columns, and the numbers of the first and the last one."""
    days = sorted(by_day)
    near = _near(by_day, days)
    for unit in _UNITS:
        first, last = unit.number(near[0]), unit.number(near[1])
        if last - first < COLUMNS:
            all_first, all_last = unit.number(days[0]), unit.number(days[-1])
            if all_last - all_first < COLUMNS:
                return unit, all_first, all_last
            # One column more on a side where something lies far away.
            return unit, first - (all_first < first), last + (all_last > last)
    return unit, last - COLUMNS, last


def _near(by_day: Counter[int], days: Sequence[int]) -> tuple[int, int]:
    """Returns the first and the last day without the few events that lie far from all others."""
    most = by_day.total() * _FAR_SHARE
    borders = []
    for sequence in (days, days[::-1]):
        passed = 0
        for day in sequence:
            passed += by_day[day]
            if passed > most:
                borders.append(day)
                break
    return borders[0], borders[1]


def _names(unit: _Unit, first: int, last: int, by_day: Counter[int]) -> list[str]:
    """Returns the names of the columns; the outer ones may stand for all that lies beyond."""
    names = [unit.label(number) for number in range(first, last + 1)]
    if unit.number(min(by_day)) < first:
        names[0] = f"{unit.label(first)} and before"
    if unit.number(max(by_day)) > last:
        names[-1] = f"{unit.label(last)} and after"
    return names


def _bounds(most: int) -> list[int]:
    """Returns the most events of each level; they grow with the square, as counts often do."""
    return sorted({-(-most * level * level // LEVELS**2) for level in range(1, LEVELS + 1)})


def _level(events: int, bounds: Sequence[int]) -> int:
    above = LEVELS - len(bounds)
    return min(above + bisect.bisect_left(bounds, events) + 1, LEVELS) if events else 0
