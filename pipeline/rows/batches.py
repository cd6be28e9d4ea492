"""Batches: items gathered until they are enough for one call."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

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
