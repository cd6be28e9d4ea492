from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bookkeeping.summary import DAYS, Horizon, spread
from pipeline.page.delays import dedup, delays
from tests.page.figures_by_hand import one_run

SPREADS = st.dictionaries(st.integers(-40, 5000), st.integers(1, 9))


def borders(label: str) -> tuple[int, int]:
    """The days that a label is about, both included."""
    if label.endswith("future"):
        return -(10**6), -1
    if label.startswith("over"):
        return DAYS[-1] + 1, 10**6
    words = label.replace("same", "0").split()
    if words[-1].startswith("year"):
        return {"1": (366, 730), "2": (731, 3650)}[words[0]]
    return int(words[0]), int(words[-2])


@given(st.lists(st.tuples(SPREADS, st.booleans()), max_size=4))
def test_every_event_is_counted_in_its_class(runs: list) -> None:
    """Over all runs but rebuilds, and for the last of them; the classes leave no gap.

    Seen to fail with rebuilds counted, and with a class without events left out in the middle.
    """
    summaries = [
        one_run(number, kept=1, rebuild=rebuild, lateness=spread(days))
        for number, (days, rebuild) in enumerate(runs)
    ]
    telling = [days for days, rebuild in runs if days and not rebuild]

    found = delays(summaries)

    if not telling:
        assert found is None
        return
    assert found is not None
    assert found.runs == len(telling)
    total: Counter[int] = Counter()
    for days in telling:
        total.update(days)
    assert found.events == total.total()
    assert sum(delay.events for delay in found.delays) == total.total()
    assert found.most == max(delay.events for delay in found.delays)
    before = None
    for delay in found.delays:
        low, high = borders(delay.label)
        assert before is None or low == before + 1
        before = high
        assert delay.events == sum(count for day, count in total.items() if low <= day <= high)
        last = telling[-1].items()
        assert delay.last == sum(count for day, count in last if low <= day <= high)


def test_the_sentences() -> None:
    """What nine in ten of the events needed, the latest one, and clocks that are wrong."""
    found = delays([one_run(1, lateness=spread({-2: 1, 0: 5, 1: 4, 6: 1, 9: 1}))])
    assert found is not None
    assert found.sentences == [
        "At least nine in ten of the 12 events of 1 run came within 7 days of their date; the last"
        " came 9 days after it.",
        "1 event came before the date in the timestamp, by up to 2 days: a clock or a time zone may"
        " be wrong.",
    ]
    early = delays([one_run(1, lateness=spread({0: 2}))])
    assert early is not None
    assert early.sentences == [
        "At least nine in ten of the 2 events of 1 run came on their own date, or before it."
    ]
    old = delays([one_run(1, lateness=spread({5000: 2}))])
    assert old is not None
    assert old.sentences == ["Most events were more than ten years old when they came."]


def test_what_dedup_days_would_be_safe() -> None:
    """The greatest distance of two versions in any run; and what no run has looked at is said."""
    assert "do not tell" in dedup([one_run(1)])
    runs = [
        one_run(1, versions_apart=spread({0: 3, 4: 1})),
        one_run(2, versions_apart=spread({1: 1}), horizon=Horizon(5, 1, 1)),
    ]
    assert dedup(runs[:1]) == (
        "The versions of one event were at most 4 days apart (4 older versions or copies in 1 run),"
        " so --dedup-days 4 would have been safe so far; leave room for what may still come."
    )
    assert dedup(runs).endswith("Runs with --dedup-days 5 did not search the table any further.")
