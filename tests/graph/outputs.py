"""What a DoFn gives, told apart by name."""

from collections.abc import Iterable
from typing import Any

from apache_beam.pvalue import TaggedOutput

from pipeline.graph import tags
from pipeline.steps.tally import Tally

MAIN = "main"


def by_tag(outputs: Iterable[Any]) -> dict[str, list[Any]]:
    """The outputs of a DoFn by name."""
    found: dict[str, list[Any]] = {}
    for output in outputs:
        tagged = isinstance(output, TaggedOutput)
        tag, value = (output.tag, output.value) if tagged else (MAIN, output)
        found.setdefault(tag, []).append(value)
    return found


def tally_of(found: dict[str, list[Any]], step: str) -> dict[str, int]:
    """The counts of the one tally among the outputs."""
    (tally,) = found[tags.TALLIES]
    assert isinstance(tally, Tally)
    assert tally.step == step
    assert tally.seconds >= 0
    return tally.counts
