"""Which versions are superseded: the total order at the heart of the job.

Versions are of one event if the hashes of their event_ids are equal: 128 bits, seeded anew for each
run, so that two ids fall together neither by chance (1 in 10^20 among a billion) nor by design.

The latest version of an event is the greatest by (timestamp, digest). Versions equal in both have
the same content, so which of them stays makes no difference to the table; the one with the smallest
`location` does, which is the one in a live file if there is one.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.keys import ties, versions
from pipeline.keys.partitions import DAY_MICROS
from pipeline.keys.versions import Packed, Versions


class Superseded(NamedTuple):
    """The versions, among some, that are not the latest of their event_id.

    Attributes:
        locations: Where they lie, ascending; shape (n,).
        exact: Those that only repeat another version, of the same event_id, timestamp and digest;
            shape (n,).
        versions: How many versions were compared, those that stay included.
        seconds: What it took.
        days: How many of them lie that many days before the latest version, by UTC date.
    """

    locations: npt.NDArray[np.int64]
    exact: npt.NDArray[np.bool_]
    versions: int
    seconds: float
    days: Mapping[int, int] = {}


def latest(parts: Sequence[Packed]) -> Superseded:
    """Compares versions.

    Args:
        parts: All versions of some event_ids, in any order. One that occurs twice, `location`
            included, counts once.
    """
    started = time.perf_counter()
    found = versions.unpack(parts)
    locations, exact, days = _losers(_repeated(found))
    return Superseded(locations, exact, len(found), time.perf_counter() - started, days)


def _repeated(found: Versions) -> Versions:
    """Those whose event_id may occur twice: they are few, and only they need to be sorted."""
    order = np.argsort(found["id_low"])
    return found[order[ties.tied(found["id_low"][order])]]


def _losers(
    found: Versions,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], dict[int, int]]:
    """Those of some versions, which come sorted by `id_low`, that `Superseded` is about."""
    found = found[_order(found)]
    low, high, timestamps, digests, locations = (
        found[name] for name in ("id_low", "id_high", "timestamp", "digest", "location")
    )
    # Of each id the last row is the latest, and a row followed by its equal only repeats it.
    loses = same = (low[:-1] == low[1:]) & (high[:-1] == high[1:])
    exact = loses & (timestamps[:-1] == timestamps[1:]) & (digests[:-1] == digests[1:])
    loses = same & ~(exact & (locations[:-1] == locations[1:]))
    losers = np.flatnonzero(loses)
    days = _days_before(timestamps, losers, np.flatnonzero(np.append(~same, True)))
    losers = losers[np.argsort(locations[losers])]
    return locations[losers], exact[losers], days


def _days_before(
    timestamps: npt.NDArray[np.int64],
    losers: npt.NDArray[np.int64],
    latest_rows: npt.NDArray[np.int64],
) -> dict[int, int]:
    """Counts rows by how many days they lie before the latest row of their event.

    Args:
        timestamps: Of all rows, in microseconds; shape (n,).
        losers: The rows to count, ascending.
        latest_rows: The last row of each event, ascending.
    """
    winners = latest_rows[np.searchsorted(latest_rows, losers)]
    apart = timestamps[winners] // DAY_MICROS - timestamps[losers] // DAY_MICROS
    numbers, counts = np.unique(apart, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _order(found: Versions) -> npt.NDArray[np.int64]:
    """The order of (id, timestamp, digest), equal ones by descending `location`; shape (n,)."""
    low, high, timestamps = (found[name] for name in ("id_low", "id_high", "timestamp"))
    if not len(found):
        return np.arange(0)
    same = low[1:] == low[:-1]
    ids = np.cumsum(np.append(False, ~same))
    first = timestamps.min()
    bits = (int(timestamps.max()) - int(first)).bit_length()
    if int(ids[-1]).bit_length() + bits > 63 or (same & (high[1:] != high[:-1])).any():
        return _exact_order(found)
    # Mostly id and timestamp decide: as one number they are sorted in a fraction of the time.
    keys = ids << bits | (timestamps - first)
    order = np.argsort(keys, kind="stable")
    tied = ties.tied(keys[order])
    rows = order[tied]
    order[tied] = rows[_exact_order(found[rows])]
    return order


def _exact_order(found: Versions) -> npt.NDArray[np.int64]:
    return np.lexsort(
        (
            -found["location"],
            *(found[name] for name in ("digest", "timestamp", "id_high", "id_low")),
        )
    )
