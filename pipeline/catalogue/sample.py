"""Which events of a block are looked at: of every type some, spread over all of its rows.

The choice depends on nothing but the events of the block, so it is the same on every engine.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.catalogue import nodes
from pipeline.catalogue.nodes import Catalogue
from pipeline.catalogue.observe import Payload, observe

# Looking at an event takes about three times as long as reading it. With one of so many the time is
# negligible; and a few hundred take some milliseconds, which no run notices.
_ONE_OF = 256
_FEWEST_ROWS = 256
# The same for bytes: events may have megabytes each. No event with more than the last is looked at.
_BYTES_ONE_OF = 128
_FEWEST_BYTES = 512 << 10
_PAYLOAD_BYTES = 64 << 10
# Where in its share of the rows an event is taken: multiples of the golden ratio are spread evenly,
# and do not keep step with events that are written in turn.
_GOLDEN = 0.6180339887498949


class Rows(NamedTuple):
    """Rows of one destination that lie one after another.

    Attributes:
        destination: Its fields: domain, event_type, year, month, day.
        start: The first row.
        rows: How many they are.
    """

    destination: tuple[str, str, int, int, int]
    start: int
    rows: int


def take(data: pa.ChunkedArray, micros: npt.NDArray[np.int64], rows: Sequence[Rows]) -> Catalogue:
    """Returns the catalogue of some events of a block.

    Args:
        data: The payloads of the block.
        micros: When each event happened, in microseconds since 1970.
        rows: All rows, by destination.
    """
    by_type: defaultdict[tuple[str, str], list[Rows]] = defaultdict(list)
    for one in sorted(rows):
        by_type[one.destination[:2]].append(one)
    names = sorted(by_type)[: nodes.TYPES_LIMIT]
    if not names:
        return Catalogue()
    sizes = pc.binary_length(data).to_numpy()
    share = max(1, max(_FEWEST_ROWS, len(data) // _ONE_OF) // len(names))
    left = max(_FEWEST_BYTES, int(sizes.sum()) // _BYTES_ONE_OF)
    share_bytes = left // len(names)
    chosen: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    # In an order that differs from block to block: if the bytes are not enough for all types, those
    # that get nothing here get something elsewhere.
    for name in sorted(names, key=lambda name: _hash(name, by_type[name][0].rows)):
        found = _spread(by_type[name], share)
        found = found[sizes[found] <= min(left, _PAYLOAD_BYTES)]
        before = np.cumsum(sizes[found]) - sizes[found]
        found = found[before < share_bytes]  # the first in any case
        left -= int(sizes[found].sum())
        chosen[name] = found
    found_rows = np.concatenate([*chosen.values()])
    payloads = data.take(pa.array(found_rows)).to_pylist()
    times = micros[found_rows].tolist()
    named = itertools.chain.from_iterable(
        itertools.repeat(name, len(found)) for name, found in chosen.items()
    )
    catalogue = observe(
        Payload(*name, at, payload)
        for name, at, payload in zip(named, times, payloads, strict=True)
    )
    catalogue.more_types |= len(by_type) > len(names)
    return catalogue


def _hash(name: tuple[str, str], rows: int) -> int:
    return int(xxhash.xxh3_64_intdigest(repr((name, rows)).encode()))


def _spread(rows: Sequence[Rows], share: int) -> npt.NDArray[np.int64]:
    """Returns `share` of some rows, or all if there are fewer, in their order."""
    counts = np.array([one.rows for one in rows], np.int64)
    starts = np.array([one.start for one in rows], np.int64)
    ends = np.cumsum(counts)
    total = int(ends[-1])
    if total <= share:
        chosen = np.arange(total)
    else:
        numbers = np.arange(share)
        within = (numbers * _GOLDEN) % 1
        chosen = ((numbers + within) * total / share).astype(np.int64)
    which = np.searchsorted(ends, chosen, side="right")
    return np.asarray(starts[which] + chosen - (ends - counts)[which])
