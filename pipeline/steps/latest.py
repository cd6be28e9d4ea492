"""Which versions are superseded: the total order at the heart of the job.

Versions are of one event if the hashes of their event_ids are equal: 128 bits, seeded anew for each
run, so that two ids fall together neither by chance (1 in 10^20 among a billion) nor by design.

The latest version of an event is the greatest by (timestamp, digest). Versions equal in both have
the same content, so which of them stays makes no difference to the table. The one with the smallest
location stays: a live file's, if there is one.

One event_id may have any number of versions, all of them in one bucket. So a bucket of many is
looked at in shares.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.keys import ties, versions
from pipeline.keys.partitions import DAY_MICROS
from pipeline.keys.versions import Packed, Versions
from pipeline.rows import batches

# So many versions are compared together; that takes up to 130 MB.
_TOGETHER = 1 << 20
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio: spreads neighbours
# What is told of a version that is not the latest; see `_Losers`.
_BRIEF = np.dtype([("location", "<i8"), ("exact", "?"), ("days", "<i4")])


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
    number = sum(map(versions.count, parts))
    if number <= _TOGETHER:
        some = iter([_losers(versions.unpack(parts))])
    else:
        some = _in_shares(parts, number)
    found = np.concatenate([losers.brief() for losers in some])
    found = found[np.unique(found["location"], return_index=True)[1]]
    days, counts = np.unique(found["days"], return_counts=True)
    return Superseded(
        found["location"].copy(),
        found["exact"].copy(),
        number,
        time.perf_counter() - started,
        dict(zip(days.tolist(), counts.tolist(), strict=True)),
    )


class _Losers(NamedTuple):
    """Versions that are not the latest of their event_id.

    Attributes:
        rows: The versions.
        exact: See `Superseded.exact`.
        days: How many days they lie before the latest version.
    """

    rows: Versions
    exact: npt.NDArray[np.bool_]
    days: npt.NDArray[np.int64]

    def where(self, mask: npt.NDArray[np.bool_]) -> "_Losers":
        """Returns some of them."""
        return _Losers(self.rows[mask], self.exact[mask], self.days[mask])

    def brief(self) -> npt.NDArray[np.void]:
        """Returns what is told of them: of dtype `_BRIEF`, shape (n,)."""
        found = np.empty(len(self.rows), _BRIEF)
        found["location"], found["exact"] = self.rows["location"], self.exact
        found["days"] = self.days
        return found


def _in_shares(parts: Sequence[Packed], number: int) -> Iterator[_Losers]:
    """Yields the losers among many versions, of which only some are in memory at a time.

    First the winners are found: one for each event_id. Then all others are compared with them. A
    share has all versions that are equal in timestamp and digest, so it knows which of them repeat
    another; and of those that repeat, it holds only one while more come.
    """
    winners, waiting = versions.NONE, [versions.NONE]
    for chunk in _chunks(parts):
        waiting.append(chunk)
        # Where no id has many versions, winners are many: they are not sorted again for each chunk.
        if sum(map(len, waiting)) > len(winners):
            winners, waiting = _winners([winners, *waiting]), []
    winners = _winners([winners, *waiting])
    shares = max(1, -(-(number - len(winners)) // _TOGETHER))
    for share in range(shares):
        own = (chunk[_share_of(chunk, shares) == share] for chunk in _chunks(parts))
        left = versions.NONE
        for some in batches.up_to(_TOGETHER, ((one, len(one)) for one in own)):
            losers = _losers(np.concatenate([winners, left, *some]))
            yield losers.where(losers.exact)
            losers = losers.where(~losers.exact)
            left = losers.rows
        if len(left):
            yield losers


def _chunks(parts: Sequence[Packed]) -> Iterator[Versions]:
    """Yields all versions, some at a time."""
    for some in batches.up_to(_TOGETHER, ((part, versions.count(part)) for part in parts)):
        yield versions.unpack(some)


def _winners(some: Sequence[Versions]) -> Versions:
    """The latest version of each event_id."""
    found = np.concatenate(some)
    found = found[np.argsort(found["id_low"])]
    found = found[_order(found)]
    return found[np.append(~_same_id(found), True)]


def _share_of(found: Versions, shares: int) -> npt.NDArray[np.uint64]:
    """The share that each version is in; shape (n,)."""
    timestamps, digests = (found[name].view(np.uint64) for name in ("timestamp", "digest"))
    mixed = (timestamps * _ODD + digests) * _ODD
    return (mixed >> np.uint64(32)) % np.uint64(shares)


def _losers(found: Versions) -> _Losers:
    """Those of some versions that are not the latest of their event_id."""
    order = np.argsort(found["id_low"])
    # Those whose event_id may occur twice are few, and only they need to be sorted.
    found = found[order[ties.tied(found["id_low"][order])]]
    found = found[_order(found)]
    timestamps, digests, locations = (found[name] for name in ("timestamp", "digest", "location"))
    # Of each id the last row is the latest, and a row followed by its equal only repeats it.
    same = _same_id(found)
    exact = same & (timestamps[:-1] == timestamps[1:]) & (digests[:-1] == digests[1:])
    losers = np.flatnonzero(same & ~(exact & (locations[:-1] == locations[1:])))
    latest_rows = np.flatnonzero(np.append(~same, True))
    winners = latest_rows[np.searchsorted(latest_rows, losers)]
    days = timestamps[winners] // DAY_MICROS - timestamps[losers] // DAY_MICROS
    return _Losers(found[losers], exact[losers], days)


def _same_id(found: Versions) -> npt.NDArray[np.bool_]:
    """Tells of each of n ordered versions but the last whether the next one has its event_id."""
    low, high = found["id_low"], found["id_high"]
    return (low[:-1] == low[1:]) & (high[:-1] == high[1:])


def _order(found: Versions) -> npt.NDArray[np.int64]:
    """The order of (id, timestamp, digest), equal ones by descending `location`; shape (n,).

    Args:
        found: Versions that come sorted by `id_low`.
    """
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
