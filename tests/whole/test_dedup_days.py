"""``--dedup-days``: the same table if the promise is kept, and what becomes of it if not."""

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.verify.check import table_digest, verify
from tests import commands, deliveries, tables
from tests.deliveries import Event

DAY = 1440
OLD, NEW = Event("a", 0, 1), Event("a", 30 * DAY, 2)


@st.composite
def kept_promises(draw: st.DrawFn) -> tuple[int, list[list[Event]]]:
    """Days, and deliveries in which no two versions of an event are further apart than these."""
    days = draw(st.integers(0, 2))
    versions = st.builds(
        lambda id_, day, minute, data, kind: Event(
            id_, (ord(id_) % 4 * 3 + day) * DAY + minute, data, kind
        ),
        id_=st.sampled_from("abcdef"),
        day=st.integers(0, days),
        minute=st.sampled_from([0, 1, DAY - 1]),
        data=st.integers(0, 1),
        kind=st.sampled_from(["created", "closed"]),
    )
    files = st.lists(st.lists(versions, min_size=1, max_size=6), min_size=2, max_size=4)
    return days, draw(files)


@pytest.mark.slow
@given(kept_promises(), st.randoms(use_true_random=False))
@settings(max_examples=6, deadline=None)
def test_kept_it_changes_nothing(promise: tuple[int, list[list[Event]]], chance: Any) -> None:
    """In any split and order of runs the table is that of one run without the option.

    Seen to fail with `delivery_keys.near` that looks one day less far.
    """
    days, files = promise
    base = Path(tempfile.mkdtemp())
    try:
        for number, events in enumerate(files):
            deliveries.deliver(base / "all" / f"{number}.jsonl", events)
        for number in chance.sample(range(len(files)), len(files)):
            path = base / "all" / f"{number}.jsonl"
            assert commands.run(base / "with", path, "--dedup-days", str(days)) == 0
        assert commands.run(base / "without", base / "all") == 0

        expected = deliveries.latest(itertools.chain(*files))
        assert tables.delta_rows(base / "with") == expected
        assert table_digest(str(base / "with")) == table_digest(str(base / "without"))
    finally:
        shutil.rmtree(base)


def merge(base: Path, *events: Event, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Delivers some events in a file of their own; the summary of the run that merges them."""
    number = len(list(base.glob("in/*")))
    path = deliveries.deliver(base / "in" / f"{number}.jsonl", events)
    assert commands.run(base / "table", path, *options) == 0
    return tables.newest_summary(base / "table")


def horizon(days: int) -> tuple[str, str]:
    """The option."""
    return ("--dedup-days", str(days))


def test_only_files_near_a_date_of_the_delivery_are_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Near any of its dates, on either side; a gap between them is left out. The report says so."""
    merge(tmp_path, *(Event(f"e{day}", day * DAY) for day in range(10)))
    news = [Event("e2", DAY, 1), Event("e8", 8 * DAY + 1), Event("new", 8 * DAY)]

    summary = merge(tmp_path, *news, options=horizon(1))

    # Searched: days 0 to 2, and 7 to 9.
    assert summary["horizon"] == {"days": 1, "files_not_searched": 4, "rows_not_searched": 4}
    assert summary["events"]["superseded"] == 1  # e2 is older than what the table has
    assert summary["table"]["replaced_rows"] == 1
    assert (
        "searched within 1 day of the delivery's dates; not searched: 4 files (4 rows)"
        in " ".join(capsys.readouterr().out.split())
    )
    assert verify(str(tmp_path / "table")).findings == []


def test_without_it_everything_is_searched(tmp_path: Path) -> None:
    """It is off unless asked for, however far versions lie apart."""
    merge(tmp_path, OLD)
    assert merge(tmp_path, NEW)["horizon"] is None
    assert tables.delta_rows(tmp_path / "table") == deliveries.latest([NEW])


def test_a_delivery_without_events_searches_nothing(tmp_path: Path) -> None:
    """It has no dates."""
    merge(tmp_path, OLD)
    path = tmp_path / "broken.jsonl"
    path.write_text("{broken\n")
    assert commands.run(tmp_path / "table", path, *horizon(3)) == 3  # every record is rejected
    assert tables.delta_rows(tmp_path / "table") == deliveries.latest([OLD])


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder with a table in which an event has two rows, since a promise was not kept."""
    merge(tmp_path, OLD, Event("b", 0))
    summary = merge(tmp_path, NEW, options=horizon(29))
    assert (summary["horizon"]["files_not_searched"], summary["table"]["rows"]) == (1, 3)
    return tmp_path


class TestBroken:
    """Both rows stay, nothing hides it, and every way out works."""

    def test_the_check_finds_it(self, broken: Path) -> None:
        """The run cannot know; `verify` looks at the whole table."""
        assert tables.delta_rows(broken / "table") == deliveries.latest(
            [OLD, Event("b", 0)]
        ) + deliveries.latest([NEW])
        (finding,) = verify(str(broken / "table")).findings
        assert "'a'" in finding

    @pytest.mark.parametrize(
        ("version", "latest"),
        [
            (Event("a", 31 * DAY, 3), Event("a", 31 * DAY, 3)),
            (Event("a", 15 * DAY, 3), NEW),
            (OLD, NEW),
            (NEW, NEW),
        ],
        ids=["later", "between", "the-older-again", "the-newer-again"],
    )
    @pytest.mark.parametrize("options", [(), horizon(31)], ids=["without", "far-enough"])
    def test_any_version_again_heals_it(
        self, broken: Path, version: Event, latest: Event, options: tuple[str, ...]
    ) -> None:
        """A run that sees both rows keeps the latest version only, and its counts agree."""
        merge(broken, version, options=options)

        expected = deliveries.latest([latest, Event("b", 0)])
        assert tables.delta_rows(broken / "table") == expected
        assert verify(str(broken / "table")).findings == []

    def test_a_later_version_leaves_what_is_out_of_sight(self, broken: Path) -> None:
        """With the option still too small, the row near it is superseded, the other one stays."""
        later = Event("a", 31 * DAY, 3)
        merge(broken, later, options=horizon(29))
        expected = deliveries.latest([OLD, Event("b", 0)]) + deliveries.latest([later])
        assert tables.delta_rows(broken / "table") == expected

    @pytest.mark.parametrize("options", [(), horizon(0)], ids=["without", "with"])
    def test_a_rebuild_heals_it(self, broken: Path, options: tuple[str, ...]) -> None:
        """It compares all versions with each other, whatever the option says."""
        code = commands.run(broken / "table", broken / "in", "--rebuild", *options)

        assert code == 0
        expected = deliveries.latest([NEW, Event("b", 0)])
        assert tables.delta_rows(broken / "table") == expected
