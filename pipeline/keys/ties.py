"""Finds ties: rows can be sorted by a short key, and only the ties by the whole key."""

from typing import Any

import numpy as np
import numpy.typing as npt


def tied(*keys: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tells which of n rows have the same keys as a neighbour.

    Args:
        keys: Each of shape (n,), for rows that are sorted by them.

    Returns:
        A mask, shape (n,).
    """
    equal = np.zeros(len(keys[0]) + 1, np.bool_)  # whether a row equals the one before it
    equal[1:-1] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    return equal[1:] | equal[:-1]
