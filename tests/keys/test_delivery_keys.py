import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.input import events
from pipeline.keys import delivery_keys

SIZE = delivery_keys.Size(1 << 10, True)
HASHES = hnp.arrays(np.uint64, st.integers(0, 30), elements=st.integers(0, 2**64 - 1))
MICROS = st.one_of(st.integers(-3, 3), st.integers(-(2**62), 2**62))


Delivery = tuple[delivery_keys.Hashes, np.ndarray]


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    """Draws the hashes of event_ids and the timestamps of some events."""
    hashes = draw(HASHES)
    return hashes, draw(hnp.arrays(np.int64, len(hashes), elements=MICROS))


def content(
    delivered: delivery_keys.Filter,
) -> tuple[delivery_keys.Size, bytes, list[int], list[int]]:
    """Returns what a filter answers from."""
    return (
        delivered.size,
        delivered.bitmap.tobytes(),
        delivered.ids.tolist(),
        delivered.instants.tolist(),
    )


class TestHash:
    """The hash of an id depends on that id only: every row that has it must be found."""

    @given(
        st.lists(st.one_of(st.text(max_size=40), st.text("ab", max_size=300)), max_size=20),
        st.integers(0, 2**64 - 1),
        st.data(),
    )
    def test_it_depends_on_nothing_but_the_id(
        self, ids: list[str], seed: int, data: st.DataObject
    ) -> None:
        """Alone, among neighbours of any length, in a slice: the same.

        Else rows of the table were missed, and stayed beside their later versions. Seen to fail
        with words beyond an id's end mixed in wherever a neighbour is longer.
        """
        first = data.draw(st.integers(0, len(ids)))
        together = delivery_keys.hash_ids(pa.array(ids, pa.string()), seed)
        sliced = delivery_keys.hash_ids(pa.array(["x", *ids], pa.string()).slice(1 + first), seed)
        alone = [delivery_keys.hash_ids(pa.array([id_]), seed)[0] for id_ in ids]
        assert together.tolist() == alone
        assert sliced.tolist() == alone[first:]

    def test_also_where_the_hashing_is_cut_into_parts(self) -> None:
        """One id that is longer than the others changes no other hash, near it or far away."""
        ids = [f"{n:036}" for n in range((1 << 14) + 5)]
        odd = [*ids[:100], "a longer one than all the others are", "", *ids[100:]]
        even = delivery_keys.hash_ids(pa.array(ids), 7)
        found = delivery_keys.hash_ids(pa.array(odd), 7)
        assert np.delete(found, [100, 101]).tolist() == even.tolist()

    @example(["a", "a\0", "a\0\0"])
    @given(st.lists(st.text(max_size=30), unique=True, max_size=50))
    def test_it_tells_ids_apart(self, ids: list[str]) -> None:
        """Every byte counts, the number of zero bytes at the end, too.

        Seen to fail without the length in the hash.
        """
        assert len({*delivery_keys.hash_ids(pa.array(ids, pa.string()), 7).tolist()}) == len(ids)

    def test_the_seed_counts(self) -> None:
        """Ids with the same hash in one run have different ones in the next."""
        ids = pa.array(["a", "b", "c" * 40])
        assert (delivery_keys.hash_ids(ids, 1) != delivery_keys.hash_ids(ids, 2)).all()


class TestFilter:
    """What was delivered is always found: "no" is never wrong (invariant 2)."""

    @given(deliveries(), st.sampled_from([1 << 10, 1 << 16]))
    def test_delivered_ids_compete(self, delivery: Delivery, bits: int) -> None:
        """A missed row would stay beside its later version, so not one may be missed.

        Seen to fail with `bitwise_or.at` replaced by ``|=`` on the index, which loses all but one
        of the bits that fall into one byte.
        """
        hashes, micros = delivery
        delivered = delivery_keys.build(delivery_keys.Size(bits, True), hashes, micros)
        assert delivery_keys.competes(delivered, hashes).tolist() == [*range(len(hashes))]

    @given(deliveries())
    def test_delivered_instants_tie(self, delivery: Delivery) -> None:
        """A missed tie would be decided without the row's digest: by order of delivery.

        Seen to fail with the instants left unsorted (`build` without `np.unique`).
        """
        hashes, micros = delivery
        delivered = delivery_keys.build(SIZE, hashes, micros)
        if len(hashes):
            assert delivery_keys.ties(delivered, hashes, micros).all()

    def test_other_rows_do_not_compete(self) -> None:
        """The filter leaves them out; and the list also the 1.4 % that pass the filter.

        Seen to fail (the list) without looking into it.
        """
        delivered, _ = events.hash_ids([f"new-{n}" for n in range(1000)], 1)
        others, _ = events.hash_ids([f"old-{n}" for n in range(20_000)], 1)
        size = delivery_keys.size_for(1000, 20_000)

        found = delivery_keys.build(size, delivered, np.zeros(1000, np.int64))
        unlisted = found._replace(size=size._replace(listed=False))

        assert len(delivery_keys.competes(found, others)) == 0
        assert len(delivery_keys.competes(unlisted, others)) < 0.03 * len(others)
        assert not delivery_keys.ties(found, others, np.zeros(20_000, np.int64)).any()
        assert not delivery_keys.ties(found, delivered, np.ones(1000, np.int64)).any()

    def test_without_a_filter_every_row_competes_and_may_tie(self) -> None:
        """Where no filter is worth its size, none of the rows is left out."""
        hashes, micros = np.arange(5, dtype=np.uint64), np.arange(5)
        nothing = delivery_keys.build(delivery_keys.Size(0, False), hashes, micros)
        assert delivery_keys.competes(nothing, hashes).tolist() == [0, 1, 2, 3, 4]
        assert delivery_keys.ties(nothing, hashes, micros).all()

    def test_without_lists_every_competing_row_may_tie(self) -> None:
        """With too many ids to list, digests are computed for all rows that pass the filter."""
        hashes, micros = np.arange(5, dtype=np.uint64), np.arange(5)
        delivered = delivery_keys.build(delivery_keys.Size(1 << 10, False), hashes, micros)
        assert len(delivered.ids) == len(delivered.instants) == 0
        assert delivery_keys.competes(delivered, hashes).tolist() == [0, 1, 2, 3, 4]
        assert delivery_keys.ties(delivered, hashes, micros + 1).all()

    def test_a_delivery_without_events_competes_with_nothing(self) -> None:
        """Every record was refused: no row of the table is looked at further."""
        nothing = delivery_keys.build(SIZE, np.empty(0, np.uint64), np.empty(0, np.int64))
        assert len(delivery_keys.competes(nothing, np.arange(5, dtype=np.uint64))) == 0


class TestUnion:
    """The keys of blocks come together in any order and grouping."""

    @given(st.lists(deliveries(), min_size=3, max_size=3))
    def test_in_any_order_and_grouping_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, parts: list[Delivery]
    ) -> None:
        """The union is associative and commutative, with `NOTHING` as its neutral element.

        Seen to fail with `union` keeping only the last part.
        """
        folder = str(tmp_path_factory.mktemp("keys"))
        a, b, c = (delivery_keys.collect(SIZE, *part, {5}, folder) for part in parts)
        whole = delivery_keys.union([a, b, c])
        assert whole.blocks == 3
        for other in (
            delivery_keys.union([c, a, b]),
            delivery_keys.union([delivery_keys.union([a, b]), c]),
            delivery_keys.union(
                [a, delivery_keys.NOTHING, delivery_keys.union([delivery_keys.NOTHING, c, b])]
            ),
        ):
            assert other == whole

    @given(st.lists(deliveries(), min_size=2, max_size=2), st.sampled_from([True, False]))
    def test_it_is_what_one_look_at_all_gives(
        self, tmp_path_factory: pytest.TempPathFactory, parts: list[Delivery], listed: bool
    ) -> None:
        """How a delivery is cut into blocks makes no difference to the filter.

        Seen to fail with only the first file read.
        """
        folder = str(tmp_path_factory.mktemp("keys"))
        size = SIZE._replace(listed=listed)
        together = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        whole = delivery_keys.union(
            delivery_keys.collect(size, *part, (), folder) for part in parts
        )
        assert content(delivery_keys.filter_of(whole)) == content(
            delivery_keys.build(size, *together)
        )

    def test_a_part_again_adds_nothing_but_is_counted(self, tmp_path: Path) -> None:
        """The filter is idempotent; the count of blocks is not, so that a doubled one shows."""
        part = delivery_keys.collect(
            SIZE, np.arange(9, dtype=np.uint64), np.arange(9), (), str(tmp_path)
        )
        once, twice = delivery_keys.union([part]), delivery_keys.union([part, part])
        assert content(delivery_keys.filter_of(twice)) == content(delivery_keys.filter_of(once))
        assert (once.blocks, twice.blocks) == (1, 2)

    @pytest.mark.parametrize("parts", [[], [delivery_keys.NOTHING, delivery_keys.NOTHING]])
    def test_of_nothing_is_nothing(self, parts: Sequence[delivery_keys.DeliveryKeys]) -> None:
        """No block, no filter: every row competes."""
        assert delivery_keys.union(parts) == delivery_keys.NOTHING
        assert delivery_keys.competes(
            delivery_keys.filter_of(delivery_keys.NOTHING), np.zeros(2, np.uint64)
        ).tolist() == [
            0,
            1,
        ]

    def test_days_come_together(self, tmp_path: Path) -> None:
        """The horizon is drawn around the days of all blocks, also of those without a filter."""
        ids, micros = np.arange(2, dtype=np.uint64), np.arange(2)
        sizes = (delivery_keys.Size(0, False), SIZE)
        whole = delivery_keys.union(
            delivery_keys.collect(size, ids, micros, [9, 5, 9], str(tmp_path)) for size in sizes
        )
        assert whole.days == {5, 9}
        assert [day for day in range(15) if delivery_keys.near(whole, day, 1)] == [
            4,
            5,
            6,
            8,
            9,
            10,
        ]
        assert not delivery_keys.near(delivery_keys.NOTHING, 5, 10**9)

    def test_blocks_without_a_filter_are_counted_too(self, tmp_path: Path) -> None:
        """Every block counts, also where no filter is worth its size and nothing is stored."""
        ids, micros = np.arange(3, dtype=np.uint64), np.arange(3)
        part = delivery_keys.collect(delivery_keys.Size(0, False), ids, micros, (), str(tmp_path))
        assert delivery_keys.union([part, part]).blocks == 2
        assert list(tmp_path.iterdir()) == []

    def test_elements_stay_small(self, tmp_path: Path) -> None:
        """An element says where a block's keys lie, however many events the block has."""
        ids, micros = np.arange(100_000, dtype=np.uint64), np.arange(100_000)
        part = delivery_keys.collect(SIZE, ids, micros, range(100), str(tmp_path))
        assert len(pickle.dumps(part)) < 1000

    def test_a_lost_part_is_an_error(self, tmp_path: Path) -> None:
        """Without it rows would be missed: the run must not go on."""
        part = delivery_keys.collect(
            SIZE, np.arange(3, dtype=np.uint64), np.arange(3), (), str(tmp_path)
        )
        os.unlink(part.paths[0])
        with pytest.raises(FileNotFoundError):
            delivery_keys.filter_of(part)


class TestSize:
    """How large a filter is worth having."""

    @pytest.mark.parametrize(
        ("ids", "rows", "expected"),
        [
            (0, 0, delivery_keys.Size(0, False)),
            (1, 1000, delivery_keys.Size(1024, True)),
            (64, 1000, delivery_keys.Size(1024, True)),
            (65, 1000, delivery_keys.Size(2048, True)),
            (1000, 1000, delivery_keys.Size(0, False)),
            (999, 1000, delivery_keys.Size(1 << 14, True)),
            (1 << 22, 1 << 40, delivery_keys.Size(1 << 26, True)),
            ((1 << 22) + 1, 1 << 40, delivery_keys.Size(1 << 27, False)),
            (1 << 25, 1 << 40, delivery_keys.Size(1 << 29, False)),
            ((1 << 25) + 1, 1 << 40, delivery_keys.Size(0, False)),
        ],
    )
    def test_by_example(self, ids: int, rows: int, expected: delivery_keys.Size) -> None:
        """16 bits an id, rounded up to a power of two; none beyond a limit or for large shares."""
        assert delivery_keys.size_for(ids, rows) == expected
