"""The simulation behind the decision on an index of keys counts what it says."""

import numpy as np

from benchmarks import key_index


def test_pages_are_those_that_hold_the_hashes() -> None:
    """A hash before the first fence falls in the first page; each page is counted once."""
    fences = np.array([10, 20, 30], np.uint64)
    hashes = np.array([5, 10, 19, 20, 99], np.uint64)
    assert key_index.pages_of(hashes, fences).tolist() == [0, 1, 2]


def test_near_pages_go_together() -> None:
    """The pages between them are read, too; far ones take a request each."""
    page = key_index._PAGE_BYTES
    assert key_index.requests(np.array([7])) == (1, page)
    assert key_index.requests(np.array([0, 3])) == (1, 4 * page)
    assert key_index.requests(np.array([0, 3, 1000])) == (2, 5 * page)
