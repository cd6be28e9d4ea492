import pathlib

import numpy as np
import pytest

from generator.options import Options
from generator.versions import (
    BROKEN,
    CHANGED,
    COPY,
    NEW,
    OTHER_DAY,
    OTHER_TYPE,
    TIE,
    Versions,
    counts,
    versions,
)

EVENTS = 20_000
OPTIONS = Options(events=EVENTS, output=pathlib.Path("unused"), seed=5)


def made(**changes: object) -> Versions:
    """Makes all versions of a delivery."""
    return versions(OPTIONS._replace(**changes), 0, EVENTS)  # type: ignore[arg-type]


def firsts_of(made: Versions) -> np.ndarray:
    """Returns for each event the position at which its id was new."""
    new = np.flatnonzero(made.fate == NEW)
    assert made.id_number[new].tolist() == list(range(len(new)))
    return new[made.id_number]


def share(mask: np.ndarray) -> object:
    """Returns the share of true values, equal to any number near it."""
    return pytest.approx(mask.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("duplicates", "broken"), [(0.0, 0.0), (0.1, 0.0), (0.1, 0.03), (0.5, 0.5), (0.0, 1.0)]
)
def test_duplicates_and_broken_events_have_exactly_their_share(
    duplicates: float, broken: float
) -> None:
    """Tests of the pipeline can tell how many events it must keep without looking at them."""
    events = made(duplicates=duplicates, broken=broken)

    assert (events.fate == BROKEN).sum() == EVENTS * broken
    repeats = (events.fate != NEW) & (events.fate != BROKEN)
    assert repeats.sum() == round((EVENTS - EVENTS * broken) * duplicates)


def test_counts_agree_with_what_is_made() -> None:
    """The summary, which counts without making events, tells the truth."""
    options = OPTIONS._replace(duplicates=0.37, broken=0.013, days=11)
    counted = counts(options, np.array([EVENTS]))
    fate = versions(options, 0, EVENTS).fate
    assert counted.new == (fate == NEW).sum()
    assert counted.broken == (fate == BROKEN).sum()
    assert sum(counted) == EVENTS


def test_a_repeat_follows_the_first_version_of_its_id() -> None:
    """Nothing is repeated before it was delivered, even if all but the first events are repeats."""
    for duplicates in (0.1, 1.0):
        events = made(duplicates=duplicates)
        repeats = np.flatnonzero(events.fate != NEW)
        assert (firsts_of(events)[repeats] < repeats).all()


def test_an_id_can_be_repeated_more_than_once() -> None:
    """Ids with three and more versions occur, not only pairs."""
    times = np.bincount(made().id_number)
    assert (times >= 3).sum() > 50


def test_fates_have_their_shares() -> None:
    """Copies, ties, moves and late versions are as common as asked."""
    events = made(
        duplicates=0.5, exact_copies=0.3, ties=0.05, other_day=0.25, other_type=0.15, late=0.4
    )
    repeats = events.fate != NEW
    fate = events.fate[repeats]
    assert share(fate == COPY) == 0.3
    assert share(fate == TIE) == 0.05
    assert share(fate == OTHER_DAY) == 0.25
    assert share(fate == OTHER_TYPE) == 0.15
    assert share(fate == CHANGED) == 0.25
    assert share(events.late[repeats]) == 0.4


def test_each_fate_is_what_its_name_says() -> None:
    """A copy is the first version again, a moved version lies elsewhere, a changed one does not."""
    events = made(duplicates=0.5)
    first = firsts_of(events)
    same_day = events.day == events.day[first]
    same_kind = events.kind == events.kind[first]
    same_second = events.second == events.second[first]
    same_key = events.key == events.key[first]
    same_time_key = events.time_key == events.time_key[first]

    def expect(fate: int, *masks: np.ndarray) -> None:
        rows = events.fate == fate
        assert rows.any()
        for mask in masks:
            assert mask[rows].all()

    expect(COPY, same_day, same_kind, same_second, same_key, same_time_key)
    expect(TIE, same_day, same_kind, same_second, ~same_key, same_time_key)
    expect(CHANGED, same_day, same_kind, ~same_second, ~same_key, ~same_time_key)
    expect(OTHER_DAY, ~same_day, same_kind, ~same_key)
    expect(OTHER_TYPE, same_day, ~same_kind, ~same_second, ~same_key)


def test_late_versions_are_older_and_the_others_newer() -> None:
    """They are so by at least a second, so that fractions of a second cannot reverse it."""
    events = made(duplicates=0.5, late=0.3)
    first = firsts_of(events)
    seconds = events.day * 86_400 + events.second
    newer = (events.fate >= OTHER_DAY) & ~events.late

    assert (seconds[events.late] <= seconds[first][events.late] - 1).all()
    assert (seconds[newer] >= seconds[first][newer] + 1).all()


def test_all_events_lie_within_the_days_and_types() -> None:
    """No version leaves the span, and every destination of the default delivery is filled."""
    events = made()
    assert set(events.day.tolist()) == set(range(7))
    assert set(events.kind.tolist()) == set(range(14))
    assert events.second.min() >= 0
    assert events.second.max() < 86_400
    assert len(set(zip(events.day.tolist(), events.kind.tolist(), strict=True))) == 98


def test_one_day_and_one_type_leave_nowhere_to_move() -> None:
    """The smallest span works with the default shares; nothing claims to have moved."""
    events = made(days=1, types=1, duplicates=0.5)
    assert set(events.fate.tolist()) == {NEW, COPY, TIE, CHANGED}
    assert set(events.day.tolist()) == set(events.kind.tolist()) == {0}


def test_thousands_of_destinations_can_be_filled() -> None:
    """Benchmarks with 5,000 destinations get them."""
    events = versions(OPTIONS._replace(types=720), 0, 200_000)
    assert len(set(zip(events.day.tolist(), events.kind.tolist(), strict=True))) == 5_040


@pytest.mark.parametrize("known_ids", [0, 5, 900])
def test_any_range_can_be_made_alone(known_ids: int) -> None:
    """An event depends on its position only, so files can be made in any number and order."""
    options = OPTIONS._replace(known_ids=known_ids, duplicates=0.3, broken=0.1)
    whole = versions(options, 0, 300)
    for start, stop in ((0, 1), (0, 300), (17, 18), (100, 250)):
        alone = versions(options, start, stop)
        for mine, expected in zip(alone, whole, strict=True):
            assert mine.tolist() == expected[start:stop].tolist()


def test_a_second_delivery_goes_on_where_the_first_stopped() -> None:
    """New ids follow those known; repeats are drawn from both, and first versions are as before."""
    first = made()
    known = int(counts(OPTIONS, np.array([EVENTS])).new[0])
    second = made(known_ids=known, duplicates=0.9, exact_copies=0.5, late=0.3)

    new = second.id_number[second.fate == NEW]
    assert new.tolist() == list(range(known, known + len(new)))
    assert (second.id_number < known).mean() > 0.8
    key_of_id = dict(
        zip(first.id_number[first.fate == NEW].tolist(), first.key[first.fate == NEW], strict=True)
    )
    copies = np.flatnonzero((second.fate == COPY) & (second.id_number < known))
    assert all(second.key[row] == key_of_id[second.id_number[row]] for row in copies.tolist())
    changed = second.key[second.fate > COPY]
    assert not set(changed.tolist()) & set(first.key.tolist())


def test_repeats_can_be_kept_to_the_last_days() -> None:
    """A delivery can touch few partitions, or many ids that end up in few partitions."""
    options = {"known_ids": 18_000, "duplicates": 1.0, "days": 30, "spread": 2}

    stayed = made(**options, other_day=0.0)
    assert set(stayed.day.tolist()) == set((stayed.id_number % 30).tolist()) == {28, 29}

    moved = made(**options, other_day=1.0, exact_copies=0.0, ties=0.0, other_type=0.0, late=0.0)
    assert set(moved.day.tolist()) == {28, 29}
    assert set((moved.id_number % 30).tolist()) == set(range(29))
    assert (moved.fate == OTHER_DAY).all()


def test_late_versions_cannot_move_if_only_the_last_day_is_open() -> None:
    """There is no day after the last to have moved from, so they stay."""
    events = made(known_ids=100, duplicates=1.0, spread=1, other_day=0.68, other_type=0.0, late=0.5)
    assert set(events.day.tolist()) == {6}
    assert not (events.late & (events.fate == OTHER_DAY)).any()
    assert (events.fate == OTHER_DAY).any()
