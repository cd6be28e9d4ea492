"""Entities: the accounts, cards, … that events are about, and how their status changes.

Every payload names an entity by its `id`. Entities are numbered; a number has an entity in each
domain. All is arithmetic again: nothing is remembered of an entity.

A *story* is a week in the life of one entity: the event ids that are first delivered in a few
turns over the days. In some stories all events change the status of the story's own entity, four
times a day, each time in its own quarter of the day. So the state before and after each change
follows from the number of the step, and the next `old_status` is the last `new_status`. In the
other stories each event picks one of the entities so far, so old ones come up more often.
"""

from typing import NamedTuple

import numpy as np

from generator.draws import Draws, Numbers, keys

# How many days a story takes, and how many changes of status there are on each.
_STORY_DAYS = 7
_DAILY_STEPS = 4
STEP_SECONDS = 86_400 // _DAILY_STEPS
# How many entities there are before the first story.
_BEFORE = 50

# Entities have public numbers of six digits; of seven and more after the first 900,000. Number 0
# is that of the exercise.
_LEAST, _RANGE, _FIRST = 100_000, 900_000, 948_874
_STRIDE = 577_391  # has no common divisor with the range, so numbers stay different

# The purposes of keys and draws; any numbers will do that differ.
_STATE, _OTHER_STATE = 21, 22


class Stories(NamedTuple):
    """Which story each event id belongs to.

    Attributes:
        number: The number of the story, which is also the number of its own entity.
        step: How many changes of status come before, counted from the first day.
    """

    number: Numbers
    step: Numbers


def stories(days: int, id_number: Numbers) -> Stories:
    """Returns the stories of event ids, of which each day gets one in turn."""
    turn, day = np.divmod(id_number, days)
    round_of_stories, quarter = np.divmod(turn, _DAILY_STEPS)
    weeks = -(-days // _STORY_DAYS)
    return Stories(round_of_stories * weeks + day // _STORY_DAYS, day * _DAILY_STEPS + quarter)


def known(story: Numbers) -> Numbers:
    """Returns how many entities events of a story can be about: those with the lowest numbers."""
    return story + _BEFORE


def step_start(step: Numbers) -> Numbers:
    """Returns the second of the day at which the quarter of a step begins."""
    return step % _DAILY_STEPS * STEP_SECONDS


def public_numbers(entity: Numbers) -> Numbers:
    """Returns the numbers that payloads show: different ones of different entities."""
    lap, rest = np.divmod(entity, _RANGE)
    return _LEAST + lap * _RANGE + (rest * _STRIDE + _FIRST - _LEAST) % _RANGE


def changes(entity: Numbers, step: Numbers, others: int) -> Numbers:
    """Returns which change of status is made at a step of an entity's life.

    Every second state is the usual one. Between them is one of the other states, drawn at random.

    Args:
        entity: The entities.
        step: The steps.
        others: How many other states there are.

    Returns:
        Twice the number of the other state; plus 1 if it is left, not entered.
    """
    pair, leaves = np.divmod(step + entity % 2, 2)
    state = Draws(keys(pair, _STATE) ^ keys(entity, _STATE), _OTHER_STATE).below(others)
    return 2 * state + leaves
