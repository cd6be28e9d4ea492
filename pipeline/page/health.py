"""The table's files: how large they are, and whether merging some would help."""

import bisect
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.keys.partitions import Destination
from pipeline.page import words
from pipeline.table.datafiles import DataFile

_BORDERS = (100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_LABELS = ("under 100 kB", "to 1 MB", "to 10 MB", "to 100 MB", "to 1 GB", "over 1 GB")
# What `compact` takes for small by default, a quarter of the target; it looks at the size before
# compression, which is more, so not each of these need be merged.
SMALL_BYTES = 64 << 20
_NAMED = 5


class SizeClass(NamedTuple):
    """Files of about one size."""

    label: str
    files: int
    bytes: int


class Crowded(NamedTuple):
    """A partition that has several small files."""

    type: Sequence[str]
    date: str
    files: int
    bytes: int


class Health(NamedTuple):
    """The files of the table.

    Attributes:
        files: How many.
        bytes: Their sizes, added up.
        median: The size of the one in the middle.
        rows_per_file: On average.
        sizes: By size, from the smallest to the largest.
        partitions: With files.
        crowded: Partitions with more than one small file.
        crowded_files: Those files.
        worst: The partitions with most of them.
    """

    files: int
    bytes: int
    median: int
    rows_per_file: int
    sizes: Sequence[SizeClass]
    partitions: int
    crowded: int
    crowded_files: int
    worst: Sequence[Crowded]

    @property
    def most(self) -> int:
        """The files of the largest class."""
        return max(one.files for one in self.sizes)


def health(files: Sequence[DataFile]) -> Health | None:
    """Returns what the live files look like; None if there are none."""
    if not files:
        return None
    counts: Counter[int] = Counter()
    sums: Counter[int] = Counter()
    small: defaultdict[Destination, list[int]] = defaultdict(list)
    for file in files:
        number = bisect.bisect_left(_BORDERS, file.bytes)
        counts[number] += 1
        sums[number] += file.bytes
        if file.bytes < SMALL_BYTES:
            small[file.destination].append(file.bytes)
    crowded = {where: sizes for where, sizes in small.items() if len(sizes) > 1}
    worst = sorted(crowded, key=lambda where: (-len(crowded[where]), where))[:_NAMED]
    return Health(
        files=len(files),
        bytes=sums.total(),
        median=int(statistics.median_low(file.bytes for file in files)),
        rows_per_file=sum(file.rows for file in files) // len(files),
        sizes=[
            SizeClass(_LABELS[number], counts[number], sums[number])
            for number in range(min(counts), max(counts) + 1)
        ],
        partitions=len({file.destination for file in files}),
        crowded=len(crowded),
        crowded_files=sum(map(len, crowded.values())),
        worst=[
            Crowded(
                words.name(where[:2]),
                "-".join(f"{part:02d}" for part in where[2:]),
                len(crowded[where]),
                sum(crowded[where]),
            )
            for where in worst
        ],
    )
