import datetime
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys.partitions import Destination
from pipeline.page import heat
from pipeline.page.heat import COLUMNS, LEVELS, ROWS
from tests.page.figures_by_hand import file, run_id

DAYS = st.one_of(
    st.dates(datetime.date(2021, 1, 1), datetime.date(2021, 3, 31)),
    st.dates(datetime.date(2019, 1, 1), datetime.date(2022, 12, 31)),
    st.dates(),
)
DESTINATIONS = st.builds(
    lambda domain, kind, day: Destination(domain, kind, day.year, day.month, day.day),
    st.sampled_from("abc"),
    st.sampled_from(["created", "closed", *(f"k{n}" for n in range(12))]),
    DAYS,
)
FILES = st.lists(
    st.builds(file, DESTINATIONS, st.integers(1, 1000), run=st.integers(0, 1)), max_size=60
)


@given(FILES)
def test_every_event_is_on_the_map_once(files: list) -> None:
    """By type, and in all; whatever shares a row or a column.

    The greatest cell of a type is always the darkest one, also if there are few events.
    Seen to fail with the columns of far days left out, and with the other types' rows overwritten
    instead of added up.
    """
    found = heat.heat(files, run_id(1))

    if not files:
        assert found is None
        return
    assert found is not None
    assert 1 <= len(found.columns) <= COLUMNS + 2
    assert len(found.rows) <= ROWS
    assert {len(row.cells) for row in found.rows} == {len(found.columns)}
    assert sum(row.events for row in found.rows) == sum(one.rows for one in files)
    totals: Counter[tuple[str, ...]] = Counter()
    for one in files:
        totals[one.destination[:2]] += one.rows
    assert found.types == len(totals)
    for row in found.rows:
        assert row.events == sum(cell.events for cell in row.cells)
        if row.name in totals:
            assert row.events == totals[row.name]
        for cell in row.cells:
            assert (cell.level > 0) == (cell.events > 0)
            if cell.level:
                number = cell.level - 1 - (LEVELS - len(found.bounds))
                low = found.bounds[number - 1] if number else 0
                most = found.bounds[number] if row.name in totals else 10**9
                assert low < cell.events <= most
    assert found.bounds == sorted(set(found.bounds))
    assert max(cell.level for row in found.rows for cell in row.cells) == LEVELS


@given(FILES)
def test_what_the_last_run_wrote_is_marked(files: list) -> None:
    """Where it has a live file, and nowhere else; files say by their names who wrote them."""
    found = heat.heat(files, run_id(1))

    written = {one.destination for one in files if f"part-{run_id(1)}-" in one.path}
    if found is not None:
        assert found.touched == len(written)
        marked = sum(cell.touched for row in found.rows for cell in row.cells)
        assert bool(written) == bool(marked)
        assert marked <= len(written)


def some(first: str, days: int, rows: int = 10) -> list:
    """A file for each of some days."""
    start = datetime.date.fromisoformat(first)
    dates = [start + datetime.timedelta(days=n) for n in range(days)]
    return [file(Destination("a", "b", *date.timetuple()[:3]), rows) for date in dates]


def test_a_column_is_as_long_as_it_must_be() -> None:
    """A day, a week, a month or a year, so that all fit on a phone."""
    units = {}
    for days in (1, 62, 63, 7 * 61, 7 * 70, 5 * 365, 30 * 365):
        found = heat.heat(some("1990-01-01", days), "")
        assert found is not None
        units[days] = found.unit
    assert list(units.values()) == ["day", "day", "week", "week", "month", "month", "year"]


def test_a_few_events_far_away_do_not_stretch_the_map() -> None:
    """An event of 1970 and one of 2099 share the outer columns, whose names say so."""
    files = [*some("1970-01-01", 1, 1), *some("2021-01-08", 30, 1000), *some("2099-01-01", 1, 1)]

    found = heat.heat(files, "")

    assert found is not None
    assert (found.unit, len(found.columns)) == ("day", 32)
    assert found.columns[0] == "7 Jan 2021 and before"
    assert found.columns[-1] == "7 Feb 2021 and after"
    (row,) = found.rows
    assert [row.cells[0].events, row.cells[1].events, row.cells[-1].events] == [1, 1000, 1]


def test_a_date_that_is_none_is_left_out_and_counted() -> None:
    """Another tool may have written such a partition; the page must not fail for it."""
    files = [*some("2021-01-08", 1), file(Destination("a", "b", 2021, 13, 40), 5)]
    found = heat.heat(files, "")
    assert found is not None
    assert (found.undated, sum(row.events for row in found.rows)) == (5, 10)
    assert heat.heat(files[1:], "") is None
