"""Sorting by a key that is quick to compare, and only ties by the whole one."""

from typing import Any

import numpy as np
import numpy.typing as npt


def tied(*keys: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which of n rows are equal to a neighbour in all of some keys.

    Args:
        keys: Each of shape (n,), for rows that are sorted by them.

    Returns:
        Shape (n,).
    """
    equal = np.zeros(len(keys[0]) + 1, np.bool_)  # whether a row equals the one before it
    equal[1:-1] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    return equal[1:] | equal[:-1]
