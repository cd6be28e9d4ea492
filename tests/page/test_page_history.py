from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.page.gather import RUNS_LIMIT, Letter
from pipeline.page.history import BARS, history
from pipeline.page.refused import refused
from tests.page.figures_by_hand import HOSTILE, letter, one_run

RUN = st.fixed_dictionaries(
    {
        "kept": st.integers(0, 99),
        "superseded": st.integers(0, 9),
        "exact": st.integers(0, 9),
        "rejected": st.dictionaries(st.sampled_from(["not-json", "truncated"]), st.integers(0, 3)),
        "files": st.integers(0, 3),
    }
)


@given(st.lists(RUN, max_size=3 * BARS))
def test_bars_add_up_to_the_runs(runs: list) -> None:
    """Every run that has read a file is in one bar, in order; the newest bar is full.

    Seen to fail with the incomplete group last, and with runs that found nothing in the bars.
    """
    summaries = [one_run(number, **fields) for number, fields in enumerate(runs)]
    reading = [one for one in summaries if one.files.read]

    found = history(summaries)

    if not reading:
        assert found is None
        return
    assert found is not None
    assert (found.runs, found.idle) == (len(reading), len(summaries) - len(reading))
    assert len(found.bars) <= BARS
    sizes = [bar.runs for bar in found.bars]
    assert sum(sizes) == len(reading)
    assert set(sizes[1:]) <= {sizes[-1]}
    assert sizes[0] <= sizes[-1]
    for name in ("read", "kept", "superseded", "exact_duplicates", "rejected"):
        expected = sum(getattr(one.events, name) for one in reading)
        assert sum(getattr(bar, name) for bar in found.bars) == expected
    for bar in found.bars:
        assert bar.read == bar.kept + bar.superseded + bar.exact_duplicates + bar.rejected
    last = reading[-sizes[-1] :]
    assert found.bars[-1].read == sum(one.events.read for one in last)
    for series in (*found.outcomes, *found.times):
        assert len(series.values) == len(found.bars)
        assert max(series.values) <= series.scale or not any(series.values)


def test_a_year_of_daily_runs_is_shown() -> None:
    """And more runs than that are not read."""
    assert RUNS_LIMIT >= 366


def test_steps_are_averages_of_a_bar() -> None:
    """Seconds of a run, not of a bar: else a bar of more runs would look slow."""
    runs = [
        one_run(n, kept=1, seconds={"read": float(n % 2)}, wall_seconds=2.0) for n in range(120)
    ]
    found = history(runs)
    assert found is not None
    assert [bar.wall for bar in found.bars] == [2.0] * 60
    assert [series.label for series in found.times] == [
        "from plan to commit",
        "read and stage events",
    ]
    assert set(found.times[1].values) == {0.5}


@given(st.lists(RUN, max_size=9))
def test_rejects_by_reason(runs: list) -> None:
    """The most frequent one first, with all its records, those of the last run, and samples."""
    summaries = [one_run(number, **fields) for number, fields in enumerate(runs)]
    letters = [letter("not-json", text) for text in HOSTILE]

    found = refused(summaries, letters)

    total: Counter[str] = Counter()
    for fields in runs:
        total.update(fields["rejected"])
    assert {one.reason: one.records for one in found} == {k: v for k, v in total.items() if v}
    assert [one.records for one in found] == sorted((one.records for one in found), reverse=True)
    for one in found:
        assert one.last == runs[-1]["rejected"].get(one.reason, 0)
        assert len(one.samples) == (3 if one.reason == "not-json" else 0)


def test_a_sample_that_is_not_utf8_is_shown() -> None:
    """As far as it can be; and a damaged dead letter does not stop the page."""
    run = one_run(1, rejected={"invalid-utf8": 2})
    letters = [raw_letter("/3xh"), raw_letter("no base64 é")]
    (found,) = refused([run], letters)
    assert found.samples[0].raw == "\\xff|a"
    assert len(found.samples) == 2


def raw_letter(text: str) -> Letter:
    """A dead letter that keeps its record in base64."""
    return msgspec.structs.replace(letter("invalid-utf8", ""), raw=None, raw_base64=text)
