"""Batches: items gathered until they are enough for one call."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")


def up_to(size: int, items: Iterable[tuple[_T, int]]) -> Iterator[list[_T]]:
    """Groups items, each given with its size, until a group has about `size` together.

    Yields:
        The groups, in order; each but the last has `size` or more.
    """
    group: list[_T] = []
    group_size = 0
    for item, item_size in items:
        group.append(item)
        group_size += item_size
        if group_size >= size:
            yield group
            group, group_size = [], 0
    if group:
        yield group


def evenly(items: Sequence[tuple[_T, int]], limit: int) -> Iterator[list[_T]]:
    """Cuts items, each given with its size, into few groups of about equal size.

    Args:
        items: The items.
        limit: What no group exceeds, unless an item alone has more than half of it.

    Yields:
        The groups, in order.
    """
    sizes = np.array([size for _, size in items], np.int64)
    total = int(sizes.sum())
    groups = 1
    if total > limit:
        # An item goes where its middle is, so a group may exceed its share by half an item at
        # each end.
        groups = math.ceil(total / max(limit - int(sizes.max()), limit / 2))
    middles = np.cumsum(sizes) - sizes / 2
    numbers = iter((middles * groups // max(1, total)).tolist())
    for _, group in itertools.groupby(items, lambda _: next(numbers)):
        yield [item for item, _ in group]
