import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import latest, staging
from pipeline.dofns import CombineLatest

LIVE = 3 << 40  # row 0 of the fourth live file
BLOCK = staging.FIRST_BLOCK << 40  # row 0 of the first block


# The hashes of the event_ids: each half of the 128 bits tells two of them apart.
ID_HASHES = {"a": (1, 1), "b": (1, 2**64 - 1), "c": (2**64 - 1, 1)}


class Version(NamedTuple):
    """A version in short; `id` stands for its hash."""

    id: str
    micros: int
    digest: int
    where: int


def table(versions: Iterable[Version]) -> pa.Table:
    """The versions as the job has them."""
    rows = [(*ID_HASHES[version.id], *version[1:]) for version in versions]
    columns = list(zip(*rows, strict=True)) or [()] * len(staging.VERSION_SCHEMA)
    return pa.Table.from_arrays(
        [
            pa.array(values, field.type)
            for values, field in zip(columns, staging.VERSION_SCHEMA, strict=True)
        ],
        schema=staging.VERSION_SCHEMA,
    )


def found(versions: Iterable[Version]) -> list[tuple[int, bool]]:
    """(where, exact) of the superseded ones."""
    return pairs(latest.superseded(table(versions)))


def pairs(superseded: pa.Table) -> list[tuple[int, bool]]:
    """The rows of a table of superseded versions."""
    assert superseded.schema.equals(latest.SUPERSEDED_SCHEMA)
    return list(zip(*(column.to_pylist() for column in superseded.columns), strict=True))


def naive(versions: Iterable[Version]) -> list[tuple[int, bool]]:
    """The rule by the book: one version after the other, each against the best before it."""
    lost: list[tuple[int, bool]] = []
    best: dict[str, Version] = {}
    for version in sorted(set(versions), key=lambda version: version.where):
        other = best.setdefault(version.id, version)
        if version is not other:
            wins = (version.micros, version.digest) > (other.micros, other.digest)
            best[version.id], loser = (version, other) if wins else (other, version)
            lost.append((loser.where, False))
    firsts: dict[tuple[str, int, int], int] = {}
    for version in versions:
        first = firsts.setdefault(version[:3], version.where)
        firsts[version[:3]] = min(first, version.where)
    repeats = {version.where for version in versions if firsts[version[:3]] != version.where}
    return sorted((where, where in repeats) for where, _ in lost)


INT64 = st.one_of(st.integers(-2, 2), st.sampled_from([-(2**63), 2**63 - 1]))


@st.composite
def versions_with_places(draw: st.DrawFn) -> list[Version]:
    """Versions that often compete and tie, no two in one place; some occur twice."""
    contents = draw(st.lists(st.tuples(st.sampled_from("abc"), INT64, INT64), max_size=12))
    places = st.sampled_from([*range(LIVE, LIVE + 20), *range(BLOCK, BLOCK + 20)])
    wheres = draw(st.lists(places, unique=True, min_size=len(contents), max_size=len(contents)))
    versions = [Version(*content, where) for content, where in zip(contents, wheres, strict=True)]
    again = draw(st.lists(st.sampled_from(versions), max_size=3)) if versions else []
    return [*versions, *again]


VERSIONS = versions_with_places()


class TestOrder:
    """(timestamp, digest) decides, and nothing else."""

    @pytest.mark.parametrize(
        ("versions", "expected"),
        [
            pytest.param([], [], id="no version"),
            pytest.param([Version("a", 1, 1, BLOCK)], [], id="one version"),
            pytest.param(
                [Version(id_, 1, 1, BLOCK + n) for n, id_ in enumerate("abc")], [], id="other ids"
            ),
            pytest.param(
                [Version("a", 2, 1, BLOCK), Version("a", 1, 9, BLOCK + 1)],
                [(BLOCK + 1, False)],
                id="the timestamp comes before the digest",
            ),
            pytest.param(
                [Version("a", -1, 1, BLOCK), Version("a", -2, 1, BLOCK + 1)],
                [(BLOCK + 1, False)],
                id="before 1970",
            ),
            pytest.param(
                [Version("a", 1, 5, BLOCK), Version("a", 1, 7, BLOCK + 1)],
                [(BLOCK, False)],
                id="a conflicting tie goes to the greater digest",
            ),
            pytest.param(
                [Version("a", 1, 5, BLOCK + 1), Version("a", 1, 5, BLOCK)],
                [(BLOCK + 1, True)],
                id="an exact duplicate",
            ),
            pytest.param(
                [Version("a", 1, 5, BLOCK), Version("a", 1, 5, LIVE)],
                [(BLOCK, True)],
                id="of equals the live one stays",
            ),
            pytest.param(
                [
                    Version("a", 1, 5, BLOCK),
                    Version("a", 1, 5, BLOCK + 1),
                    Version("a", 2, 5, LIVE),
                ],
                [(BLOCK, False), (BLOCK + 1, True)],
                id="of equals that lose, one is superseded and the others repeat it",
            ),
            pytest.param(
                [Version("a", 1, 5, BLOCK), Version("a", 1, 5, BLOCK)],
                [],
                id="a version does not supersede itself",
            ),
            pytest.param(
                [Version("a", 1, 5, BLOCK), Version("a", 1, 5, BLOCK), Version("a", 2, 5, LIVE)],
                [(BLOCK, False)],
                id="a version that occurs twice is superseded once",
            ),
        ],
    )
    def test_by_example(self, versions: list[Version], expected: list[tuple[int, bool]]) -> None:
        """What is superseded is fixed for each way two versions can meet (invariant 1).

        Seen to fail with digest and timestamp exchanged in `lexsort`, and (the equals) with `where`
        instead of `-where`.
        """
        assert found(versions) == expected
        assert found(reversed(versions)) == expected

    @given(VERSIONS)
    def test_as_by_the_book(self, versions: list[Version]) -> None:
        """Sorting arrays gives what comparing one by one gives."""
        assert found(versions) == naive(versions)

    @given(VERSIONS)
    def test_the_result_is_sorted_and_without_repetition(self, versions: list[Version]) -> None:
        """Later steps cut the rows by source, and count them."""
        wheres = [where for where, _ in found(versions)]
        assert wheres == sorted(set(wheres))


class TestAlgebra:
    """The combine may be applied in any order, in any grouping, and again (invariant 1)."""

    @given(st.data(), VERSIONS)
    def test_order_of_arrival_makes_no_difference(
        self, data: st.DataObject, versions: list[Version]
    ) -> None:
        """Commutative. Seen to fail with a stable sort by (id, timestamp) only."""
        assert found(data.draw(st.permutations(versions))) == found(versions)

    @given(VERSIONS)
    def test_the_same_versions_again_change_nothing(self, versions: list[Version]) -> None:
        """Idempotent. Seen to fail without the comparison of `where` in `loses`."""
        assert found([*versions, *versions]) == found(versions)

    @given(st.data(), VERSIONS)
    def test_what_wins_within_a_part_decides_among_parts(
        self, data: st.DataObject, versions: list[Version]
    ) -> None:
        """Associative: a table built by runs is the table built at once.

        Seen to fail with only every other version that loses being reported.
        """
        cut = data.draw(st.integers(0, len(versions)))

        first = winners(versions[:cut])

        assert winners([*first, *versions[cut:]]) == winners(versions)


def winners(versions: list[Version]) -> list[Version]:
    """Those that are not superseded, each once."""
    lost = {where for where, _ in found(versions)}
    return sorted({version for version in versions if version.where not in lost})


def one_accumulator(parts: list[pa.Table]) -> pa.Table:
    """All parts go into one accumulator: one by one, then the others at once."""
    combine = CombineLatest()
    accumulator = combine.create_accumulator()
    for part in parts[:2]:
        accumulator = combine.add_input(accumulator, part)
    return combine.extract_output(combine.add_inputs(accumulator, iter(parts[2:])))


def merged(parts: list[pa.Table]) -> pa.Table:
    """Each part goes into an accumulator of its own; an empty one is merged with them."""
    combine = CombineLatest()
    accumulators = [combine.add_input(combine.create_accumulator(), part) for part in parts]
    together = combine.merge_accumulators([combine.create_accumulator(), *accumulators])
    return combine.extract_output(combine.compact(together))


def shipped(parts: list[pa.Table]) -> pa.Table:
    """Accumulators and the output travel between machines at every step."""
    combine = CombineLatest()
    coder = combine.get_accumulator_coder()

    def ship(accumulator: pa.Table) -> pa.Table:
        return coder.decode(coder.encode(accumulator))

    total = ship(combine.create_accumulator())
    for part in parts:
        accumulator = ship(combine.add_input(ship(combine.create_accumulator()), ship(part)))
        total = ship(combine.merge_accumulators(iter([total, accumulator])))
    return ship(combine.extract_output(total))


class TestCombine:
    """A runner may combine in any of the ways a CombineFn allows."""

    @pytest.mark.parametrize("way", [one_accumulator, merged, shipped])
    @given(data=st.data(), versions=VERSIONS)
    def test_every_way_gives_the_same(
        self,
        way: Callable[[list[pa.Table]], pa.Table],
        data: st.DataObject,
        versions: list[Version],
    ) -> None:
        """One accumulator, many merged, or many shipped: the same result, all versions counted.

        Seen to fail with `merge_accumulators` forgetting its last accumulator (invariant 1), and
        without the count in the metadata (invariant 3).
        """
        arrived = data.draw(st.permutations(versions))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(versions)), max_size=4)))
        borders = [0, *cuts, len(versions)]
        parts = [table(arrived[start:end]) for start, end in itertools.pairwise(borders)]

        result = way(parts)

        assert pairs(result) == naive(versions)
        assert result.schema.metadata[b"versions"] == str(len(versions)).encode()
