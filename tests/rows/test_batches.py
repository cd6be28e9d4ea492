import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rows import batches


@given(st.lists(st.integers(0, 9)), st.integers(1, 20))
def test_batches_are_full_and_no_larger_than_needed(sizes: list[int], size: int) -> None:
    """Every item comes out once and in order; no batch but the last could have ended earlier."""
    items = list(enumerate(sizes))

    found = list(batches.up_to(size, items))

    assert [number for batch in found for number in batch] == list(range(len(sizes)))
    totals = [[sizes[number] for number in batch] for batch in found]
    assert all(sum(batch) >= size for batch in totals[:-1])
    assert all(sum(batch[:-1]) < size for batch in totals)


def test_items_are_taken_as_they_are_needed() -> None:
    """Memory holds one batch, not all."""
    taken: list[int] = []

    def items():
        for number in range(9):
            taken.append(number)
            yield number, 1

    found = batches.up_to(3, items())

    assert next(found) == [0, 1, 2]
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 100])
def test_nothing_gives_no_batch(size: int) -> None:
    """Not an empty one either."""
    assert list(batches.up_to(size, [])) == []
