from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bookkeeping.summary import DAYS, spread


@given(st.dictionaries(st.integers(-400, 5000), st.integers(1, 9)))
def test_a_spread_counts_every_event_once(days: dict[int, int]) -> None:
    """In the first class whose greatest number is not passed; what is beyond them is one class.

    Seen to fail with `<` instead of `<=`.
    """
    found = spread(days)

    if not days:
        assert found is None
        return
    assert found is not None
    assert (found.least, found.most) == (min(days), max(days))
    expected: Counter[int] = Counter()
    for number, events in days.items():
        expected[min((border for border in DAYS if border >= number), default=max(days))] += events
    assert found.up_to == expected
