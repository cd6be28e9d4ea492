"""How long Beam's watch over its steps sleeps: a bundle's end waits for it."""

import apache_beam as beam
import pytest
from apache_beam.runners.worker import statesampler

from pipeline.graph import sampling

SEEN: list[int] = []


def look(_: object) -> None:
    """Notes how long the thread that watches this call may sleep."""
    SEEN.append(statesampler.get_current_tracker().sampling_period_ms)  # type: ignore[no-untyped-call]


def periods() -> list[int]:
    """Of the one call of a pipeline that runs in this process."""
    SEEN.clear()
    with beam.Pipeline("DirectRunner") as pipeline:
        pipeline | beam.Create([1]) | beam.Map(look)
    return list(SEEN)


def test_bundles_end_at_once() -> None:
    """Seen to fail if Beam passes a period of its own, or no longer has one."""
    with sampling.often():
        assert periods() == [2]


def test_beam_is_left_as_it_was() -> None:
    """Also by a run that fails."""
    with pytest.raises(ValueError, match="failed"), sampling.often():
        raise ValueError("failed")
    assert periods() == [statesampler.DEFAULT_SAMPLING_PERIOD_MS]


def test_a_plain_start_leaves_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever suspects it can switch it off."""
    monkeypatch.setenv("EVENTSIFT_PLAIN_START", "1")
    with sampling.often():
        assert periods() == [statesampler.DEFAULT_SAMPLING_PERIOD_MS]
