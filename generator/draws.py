"""Chance as arithmetic: a draw is a function of a key, computed for whole columns at once.

A random number generator has a state, so each number depends on all numbers drawn before. Here
every event has a 64-bit key, and what is drawn for the event depends on that key alone. Only
wrapping 64-bit integer arithmetic is used, which is the same in every version of numpy and on every
machine.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Keys: TypeAlias = npt.NDArray[np.uint64]
Numbers: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Words: TypeAlias = npt.NDArray[np.object_]  # texts

# 2**64 divided by the golden ratio: multiples of it are spread evenly over 64 bits.
_GOLDEN = 0x9E3779B97F4A7C15
_HALF = np.uint64(32)


def mix(numbers: Keys) -> Keys:
    """Scatters 64-bit numbers one to one: different numbers stay different (splitmix64)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def keys(numbers: Numbers, *names: int) -> Keys:
    """Makes a key of each number: different ones of different numbers.

    Args:
        numbers: Any numbers.
        names: What the keys are for: a seed, a purpose. Other names give unrelated keys.
    """
    base = np.zeros(1, np.uint64)
    for name in names:
        base = mix((base ^ np.uint64(name)) + np.uint64(_GOLDEN))
    return mix(base + numbers.astype(np.uint64) * np.uint64(_GOLDEN))


def words_of(texts: Iterable[str | None]) -> Words:
    """Makes a column of texts, to pick from."""
    listed = list(texts)
    column = np.empty(len(listed), np.object_)
    column[:] = listed
    return column


class Draws:
    """Random decisions for a column of keys, one decision after the other.

    The n-th decision about a key depends on the key and the purpose only, not on the other keys.
    """

    def __init__(self, column: Keys, purpose: int) -> None:
        """Begins a sequence of decisions about keys; another purpose gives another sequence."""
        self._keys = mix(column ^ np.uint64(purpose))
        self._drawn = 0

    def below(self, limit: int | Numbers) -> Numbers:
        """Draws a number from 0 to below ``limit`` (at most 2**32) for each key."""
        self._drawn += 1
        step = np.uint64(self._drawn * _GOLDEN % 2**64)
        bits = mix(self._keys + step) >> _HALF
        return ((bits * np.asarray(limit).astype(np.uint64)) >> _HALF).astype(np.int64)

    def hits(self, share: float) -> Mask:
        """Draws True for about this share of the keys: for none if it is 0, for all if it is 1."""
        return self.below(2**31) < round(share * 2**31)

    def pick(self, words: Words) -> list[Any]:
        """Draws one of the words for each key."""
        picked: list[Any] = words[self.below(len(words))].tolist()
        return picked
