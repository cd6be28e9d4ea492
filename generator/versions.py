"""Which events a delivery has: new ones, versions of earlier ones, broken ones, by position.

Event ids are numbered in the order of their first delivery. The first version of id number ``n`` is
a function of the seed and ``n``. A repeated event draws an earlier id, and its fate: how it differs
from that first version (copied, changed, moved, late).

Which positions have new ids, repeats and broken events is arithmetic as well: of the first ``i``
events exactly ``floor(i * share)`` are broken, and so on. So any range of a delivery can be made
without what comes before it.
"""

from typing import NamedTuple

import numpy as np

from generator.draws import Draws, Keys, Mask, Numbers, keys
from generator.kinds import drawn_kinds
from generator.options import Options

NEW, COPY, TIE, OTHER_DAY, OTHER_TYPE, CHANGED, BROKEN = range(7)

_SHARE_UNIT = 10**9
_DAY_SECONDS = 86_400
# First versions keep this distance from midnight, so that a version that is a little older or newer
# can be on the same day.
_MARGIN_SECONDS = 3_600

# The purposes of keys and draws; any numbers will do that differ.
_FIRST_VERSION, _POSITION, _WHEN, _FATE = 1, 2, 3, 4


class Counts(NamedTuple):
    """How many of the first events of a delivery are of which sort.

    Attributes:
        new: Events with a new id, for each number of first events that was asked for.
        repeated: Events with a repeated id.
        broken: Broken events.
    """

    new: Numbers
    repeated: Numbers
    broken: Numbers


class Versions(NamedTuple):
    """Consecutive events of a delivery as columns of equal length.

    Attributes:
        fate: NEW, COPY (the first version again), TIE (same instant, other payload), OTHER_DAY,
            OTHER_TYPE, CHANGED (same destination), or BROKEN.
        late: Whether it is older than the first version of its id.
        id_number: The number of its event id.
        key: The key that payload and form of the text are drawn with.
        time_key: The key that the fraction of a second is drawn with.
        day: The day in UTC; 0 is the first.
        second: The second of that day.
        kind: An index into ``kinds.kinds``.
    """

    fate: Numbers
    late: Mask
    id_number: Numbers
    key: Keys
    time_key: Keys
    day: Numbers
    second: Numbers
    kind: Numbers


def counts(options: Options, numbers: Numbers) -> Counts:
    """Counts the new, repeated and broken ones among the first events of a delivery.

    Until every day has an id that can be repeated, all ids are new; more of the following ones are
    repeated then.

    Args:
        options: The delivery.
        numbers: How many first events to look at; each number gives a row of the result.
    """
    broken = _portion(numbers, options.broken)
    intact = numbers - broken
    repeatable = np.maximum(intact - max(0, options.days - options.known_ids), 0)
    repeated = np.minimum(_portion(intact, options.duplicates), repeatable)
    return Counts(intact - repeated, repeated, broken)


def _portion(count: Numbers, share: float) -> Numbers:
    return count * round(share * _SHARE_UNIT) // _SHARE_UNIT


def versions(options: Options, start: int, stop: int) -> Versions:
    """Makes the events at the positions from ``start`` to below ``stop``."""
    positions = np.arange(start, stop + 1, dtype=np.int64)
    counted = counts(options, positions)
    new = np.diff(counted.new) > 0
    broken = np.diff(counted.broken) > 0
    known = options.known_ids + counted.new[:-1]

    # The number of known ids is a name of these keys: a second delivery makes other versions.
    position_key = keys(positions[:-1], options.seed, _POSITION, options.known_ids)
    draws = Draws(position_key, _FATE)
    fate = _fates(options, draws, new, broken)
    own_time = fate >= OTHER_DAY
    alike = options.exact_copies + options.ties
    late = draws.hits(min(1.0, options.late / max(1 - alike, 1e-9))) & own_time & ~broken

    # The day of each event, and the day of its id's first version.
    first_landing = options.first_landing_day
    moved = (fate == OTHER_DAY) & np.where(late, first_landing < options.days - 1, options.days > 1)
    fate[(fate == OTHER_DAY) & ~moved] = CHANGED
    lowest = np.where(moved & ~late, max(first_landing, 1), first_landing)
    highest = np.where(moved & late, options.days - 1, options.days)
    landing_day = lowest + draws.below(highest - lowest)
    first_day = np.where(
        moved,
        np.where(
            late,
            landing_day + 1 + draws.below(options.days - 1 - landing_day),
            draws.below(landing_day),
        ),
        landing_day,
    )
    ids_of_day = (known - first_day + options.days - 1) // options.days
    repeated_id = first_day + options.days * draws.below(ids_of_day)
    id_number = np.where(new, known, repeated_id)

    first = _first_versions(options, id_number)
    seconds_apart = 1 + draws.below(_MARGIN_SECONDS - 1)
    second = first.second + np.where(late, -seconds_apart, seconds_apart) * own_time
    other_kind = (first.kind + 1 + draws.below(options.types - 1)) % options.types
    return Versions(
        fate=fate,
        late=late,
        id_number=id_number,
        key=np.where(fate <= COPY, first.key, position_key),
        time_key=np.where(own_time, position_key, first.key),
        day=np.where(moved, landing_day, first.day),
        second=np.where(moved, draws.below(_DAY_SECONDS), second),
        kind=np.where(fate == OTHER_TYPE, other_kind, first.kind),
    )


def _fates(options: Options, draws: Draws, new: Mask, broken: Mask) -> Numbers:
    """Draws the fates of events."""
    shares = [options.exact_copies, options.ties, options.other_day, options.other_type]
    limits = np.array([round(2**31 * sum(shares[: n + 1])) for n in range(4)], np.int64)
    fate = COPY + np.searchsorted(limits, draws.below(2**31), side="right").astype(np.int64)
    if options.types == 1:
        fate[fate == OTHER_TYPE] = CHANGED
    fate[new] = NEW
    fate[broken] = BROKEN
    return fate


class _FirstVersions(NamedTuple):
    key: Keys
    day: Numbers
    second: Numbers
    kind: Numbers


def _first_versions(options: Options, id_number: Numbers) -> _FirstVersions:
    """Returns the first versions of event ids."""
    key = keys(id_number, options.seed, _FIRST_VERSION)
    draws = Draws(key, _WHEN)
    return _FirstVersions(
        key=key,
        # Days in turn, so that the ids of a day are known by arithmetic.
        day=id_number % options.days,
        second=_MARGIN_SECONDS + draws.below(_DAY_SECONDS - 2 * _MARGIN_SECONDS),
        kind=drawn_kinds(draws, options.types),
    )
