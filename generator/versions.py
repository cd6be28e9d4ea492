"""Which events a delivery has: new ones, versions of earlier ones, broken ones, by position.

Event ids are numbered in the order of their first delivery. The first version of id number ``n`` is
a function of the seed and ``n``. A repeated event draws an earlier id, and its fate: how it differs
from that first version (copied, changed, moved, late).

Which positions have new ids, repeats and broken events is arithmetic as well: of the first ``i``
events exactly ``floor(i * share)`` are broken, and so on. So any range of a delivery can be made
without what comes before it.
"""

import functools
from typing import NamedTuple

import numpy as np

from generator import lives
from generator.draws import Draws, Keys, Mask, Numbers, keys
from generator.kinds import drawn_kinds
from generator.options import Options
from generator.presets import PRESETS

NEW, COPY, TIE, OTHER_DAY, OTHER_TYPE, CHANGED, BROKEN = range(7)

_SHARE_UNIT = 10**9
_DAY_SECONDS = 86_400
# First versions keep this distance from midnight (or the ends of their quarter of the day), so that
# a version that is a little older or newer can be on the same day.
_MARGIN_SECONDS = 3_600

# The purposes of keys and draws; any numbers will do that differ.
_FIRST_VERSION, _POSITION, _WHEN, _FATE, _STORY = 1, 2, 3, 4, 5


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
    """Events of a delivery as columns of equal length.

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
        entity: The number of the entity that it is about; see `lives`.
        step: The step in the entity's life.
    """

    fate: Numbers
    late: Mask
    id_number: Numbers
    key: Keys
    time_key: Keys
    day: Numbers
    second: Numbers
    kind: Numbers
    entity: Numbers
    step: Numbers


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
    return versions_at(options, np.arange(start, stop, dtype=np.int64))


def versions_at(options: Options, positions: Numbers) -> Versions:
    """Makes the events at some positions."""
    before, after = counts(options, positions), counts(options, positions + 1)
    new = after.new > before.new
    broken = after.broken > before.broken
    known = options.known_ids + before.new

    # The number of known ids is a name of these keys: a second delivery makes other versions.
    position_key = keys(positions, options.seed, _POSITION, options.known_ids)
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
        entity=first.entity,
        step=first.step,
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
    entity: Numbers
    step: Numbers


def _first_versions(options: Options, id_number: Numbers) -> _FirstVersions:
    """Returns the first versions of event ids."""
    key = keys(id_number, options.seed, _FIRST_VERSION)
    draws = Draws(key, _WHEN)
    story, step = lives.stories(options.days, id_number)
    of_story = Draws(keys(story, options.seed, _STORY), _WHEN)
    kind, changes_status = drawn_kinds(draws, of_story, options.preset, options.types)
    return _FirstVersions(
        key=key,
        # Days in turn, so that the ids of a day are known by arithmetic.
        day=id_number % options.days,
        second=np.where(changes_status, lives.step_start(step) + _MARGIN_SECONDS, 0)
        + _seconds(options, draws, changes_status),
        kind=kind,
        entity=np.where(changes_status, story, draws.below(lives.known(story))),
        step=step,
    )


def _seconds(options: Options, draws: Draws, changes_status: Mask) -> Numbers:
    """Draws the seconds of first versions: of a quarter of the day if it is known, else of the day.

    A version that is a little older or newer stays in the same quarter, or on the same day.
    """
    in_quarter = draws.below(lives.STEP_SECONDS - 2 * _MARGIN_SECONDS)
    hours = _busy_hours(options.preset)
    if len(hours):
        in_day = 3_600 * hours[draws.below(len(hours))] + draws.below(3_600)
    else:
        in_day = _MARGIN_SECONDS + draws.below(_DAY_SECONDS - 2 * _MARGIN_SECONDS)
    return np.where(changes_status, in_quarter, in_day)


@functools.cache
def _busy_hours(preset: str) -> Numbers:
    """Returns the hours of the day, each as often as it is busy; none if all are alike."""
    hours = PRESETS[preset].hours
    return np.repeat(np.arange(len(hours), dtype=np.int64), hours)
