import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys import ties


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_rows_are_tied_that_occur_twice(rows: list[tuple[int, int]]) -> None:
    """In all of the keys, and none of the others; no rows, and a single one, are no tie.

    Seen to fail with rows marked that equal their neighbour in one key only.
    """
    rows.sort()
    keys = np.array(rows, np.int64).reshape(-1, 2).T
    assert ties.tied(*keys).tolist() == [rows.count(row) > 1 for row in rows]
