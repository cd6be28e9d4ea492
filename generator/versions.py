"""Which event each place in a delivery holds: a new one, a version of an earlier one, a broken one.

Event ids are numbered in the order of their first delivery. The first version of id number ``n`` is
a function of the seed and ``n``; a repeated id draws its number from those delivered before, and
what happened to it (copied, changed, moved, late) relative to that first version.

Which places hold new ids, repeats and broken events is arithmetic as well: of the first ``i``
places exactly ``floor(i * share)`` are broken, and so on, so any part of a delivery can be made
without the part before it.
"""

from typing import NamedTuple

import numpy as np

from generator.draws import Draws, Keys, Mask, Numbers, keys
from generator.kinds import drawn_kinds
from generator.options import Options

NEW, COPY, TIE, OTHER_DAY, OTHER_TYPE, CHANGED, BROKEN = range(7)

_SHARE_UNIT = 10**9
_DAY_SECONDS = 86_400
# First versions keep this distance from midnight, so that a version a little older or newer can
# stay on the same day.
_MARGIN_SECONDS = 3_600

# What keys and draws are for; any different numbers do.
_FIRST_VERSION, _PLACE, _WHEN, _FATE = 1, 2, 3, 4


class Counts(NamedTuple):
    """How many of the first places of a delivery hold what; a row for each number of places."""

    new: Numbers
    repeated: Numbers
    broken: Numbers


class Versions(NamedTuple):
    """Consecutive events of a delivery as columns of equal length.

    Attributes:
        fate: NEW, COPY (the first version again), TIE (same instant, other payload), OTHER_DAY,
            OTHER_TYPE, CHANGED (same destination), or BROKEN.
        late: Whether it is older than the first version of its id.
        id_number: Number of its event id.
        key: Decides payload and form of the text.
        time_key: Decides the fraction of a second.
        day: Day in UTC, 0 is the first.
        second: Second of that day.
        kind: Index into ``kinds.kinds``.
    """

    fate: Numbers
    late: Mask
    id_number: Numbers
    key: Keys
    time_key: Keys
    day: Numbers
    second: Numbers
    kind: Numbers


def counts(options: Options, places: Numbers) -> Counts:
    """What the first ``places`` of the delivery hold, for each number in ``places``.

    Until every day has an id that could be repeated all ids are new, which is then made up for.
    """
    broken = _part(places, options.broken)
    intact = places - broken
    repeatable = np.maximum(intact - max(0, options.days - options.known_ids), 0)
    repeated = np.minimum(_part(intact, options.duplicates), repeatable)
    return Counts(intact - repeated, repeated, broken)


def _part(count: Numbers, share: float) -> Numbers:
    return count * round(share * _SHARE_UNIT) // _SHARE_UNIT


def versions(options: Options, start: int, stop: int) -> Versions:
    """The events at the places from ``start`` up to but not including ``stop``."""
    places = np.arange(start, stop + 1, dtype=np.int64)
    held = counts(options, places)
    new = np.diff(held.new) > 0
    broken = np.diff(held.broken) > 0
    known = options.known_ids + held.new[:-1]

    # The number of known ids is part of the name: a second delivery makes other versions.
    place_key = keys(places[:-1], options.seed, _PLACE, options.known_ids)
    draws = Draws(place_key, _FATE)
    fate = _fates(options, draws, new, broken)
    own_time = fate >= OTHER_DAY
    alike = options.exact_copies + options.ties
    late = draws.hits(min(1.0, options.late / max(1 - alike, 1e-9))) & own_time & ~broken

    # On which day it lies, and on which its first version.
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
        key=np.where(fate <= COPY, first.key, place_key),
        time_key=np.where(own_time, place_key, first.key),
        day=np.where(moved, landing_day, first.day),
        second=np.where(moved, draws.below(_DAY_SECONDS), second),
        kind=np.where(fate == OTHER_TYPE, other_kind, first.kind),
    )


def _fates(options: Options, draws: Draws, new: Mask, broken: Mask) -> Numbers:
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
    key = keys(id_number, options.seed, _FIRST_VERSION)
    draws = Draws(key, _WHEN)
    return _FirstVersions(
        key=key,
        # Days in turn, so that the ids of a day can be told without looking.
        day=id_number % options.days,
        second=_MARGIN_SECONDS + draws.below(_DAY_SECONDS - 2 * _MARGIN_SECONDS),
        kind=drawn_kinds(draws, options.types),
    )
