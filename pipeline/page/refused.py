"""Which records were refused, why, and what some of them look like."""

import base64
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.bookkeeping.summary import RunSummary
from pipeline.input.rejects import REASONS
from pipeline.page import words
from pipeline.page.gather import SAMPLES, Letter


class Sample(NamedTuple):
    """A refused record: what is wrong with it, its text, and where it lies."""

    message: str
    raw: str
    source: str
    offset: int


class Refused(NamedTuple):
    """The records refused for one reason.

    Attributes:
        reason: The reason.
        meaning: What it means.
        records: In all runs.
        last: In the last run.
        samples: The newest.
    """

    reason: str
    meaning: str
    records: int
    last: int
    samples: Sequence[Sample]


def refused(runs: Sequence[RunSummary], letters: Sequence[Letter]) -> list[Refused]:
    """Returns what was refused, the most frequent reason first.

    Args:
        runs: The runs, the oldest first.
        letters: Some dead letters, the newest first.
    """
    totals: Counter[str] = Counter()
    for run in runs:
        totals.update(run.rejected)
    last = runs[-1].rejected if runs else {}
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    for letter in letters:
        if len(samples[letter.reason]) < SAMPLES:
            samples[letter.reason].append(_sample(letter))
    return [
        Refused(
            words.visible(reason, words.NAME_LIMIT),
            REASONS.get(reason, ""),
            records,
            last.get(reason, 0),
            samples[reason],
        )
        for reason, records in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
        if records
    ][: len(REASONS)]


def _sample(letter: Letter) -> Sample:
    raw = letter.raw
    if raw is None:
        raw = _decoded(letter.raw_base64 or "")
    return Sample(
        words.visible(letter.message),
        words.visible(raw),
        words.visible(letter.source),
        letter.offset,
    )


def _decoded(text: str) -> str:
    """Returns the beginning of a record that is not UTF-8."""
    head = text[: 2 * words.TEXT_LIMIT]
    try:
        content = base64.b64decode(head[: len(head) // 4 * 4])
    except ValueError:
        return head
    return content.decode("utf-8", "backslashreplace")
