import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from apache_beam.coders import FastPrimitivesCoder
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys import versions
from pipeline.keys.versions import VERSION, Packed, Stored, Versions

MAX_ROW = (1 << 36) - 1
MAX_ORIGIN = (1 << 27) - 1
UINT64 = st.integers(0, 2**64 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
VERSIONS = st.lists(st.tuples(UINT64, UINT64, INT64, INT64, st.integers(0, 2**63 - 1)), max_size=30)
BUCKETS = st.sampled_from([1, 2, 3, 7, 40_000])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Makes a directory for what is stored."""
    return str(tmp_path_factory.mktemp("versions"))


def many(number: int) -> Versions:
    """Makes versions of different event_ids."""
    rows = np.arange(number)
    ids = np.stack([rows, rows]).astype(np.uint64)
    return versions.pack(ids, rows, rows, versions.locate(versions.FIRST_BLOCK, rows))


class TestLocation:
    """A location is one integer: an origin and a row in it."""

    @given(st.integers(0, MAX_ORIGIN), st.integers(0, MAX_ROW))
    def test_origin_and_row_come_back(self, origin: int, row: int) -> None:
        """Any origin and row that fit are what they were."""
        locations = versions.locate(origin, np.array([row]))
        assert versions.origins_of(locations).tolist() == [origin]
        assert versions.rows_of(locations).tolist() == [row]

    @pytest.mark.parametrize(
        "origin", [0, versions.FIRST_BLOCK - 1, versions.FIRST_BLOCK, MAX_ORIGIN]
    )
    @pytest.mark.parametrize("row", [0, MAX_ROW])
    def test_at_the_limits(self, origin: int, row: int) -> None:
        """The largest origin and row fit, and stay positive: versions are compared by location."""
        locations = versions.locate(origin, np.array([row]))
        assert locations.dtype == np.int64
        assert locations[0] >= 0
        assert (versions.origins_of(locations)[0], versions.rows_of(locations)[0]) == (origin, row)

    def test_live_files_come_before_blocks(self) -> None:
        """Of equal versions the one with the smallest location stays: the live one."""
        live = versions.locate(versions.FIRST_BLOCK - 1, np.array([MAX_ROW]))
        block = versions.locate(versions.FIRST_BLOCK, np.array([0]))
        assert live[0] < block[0]


class TestPack:
    """A version is 40 bytes, whatever the event."""

    @given(VERSIONS)
    def test_every_key_has_its_place(self, some: list[tuple[int, ...]]) -> None:
        """The layout is the same on every machine, and no bit of a key gets lost.

        Seen to fail with timestamps and digests exchanged, and with ids as signed integers.
        """
        columns = list(zip(*some, strict=True)) or [()] * 5
        high, low = (np.array(column, np.uint64) for column in columns[:2])
        others = [np.array(column, np.int64) for column in columns[2:]]

        found = versions.pack([high, low], *others)

        assert found.tolist() == some
        assert found.tobytes() == b"".join(struct.pack("<QQqqq", *version) for version in some)
        assert versions.pack(np.stack([high, low]), *others).tobytes() == found.tobytes()


class TestBuckets:
    """All versions of an event_id meet in one bucket."""

    @given(st.lists(UINT64, max_size=30), BUCKETS, st.booleans())
    def test_every_row_is_in_the_bucket_of_its_id(
        self, folder: str, hashes: list[int], buckets: int, store: bool
    ) -> None:
        """No row is lost or doubled, and its bucket depends on its event_id alone.

        Seen to fail with the buckets counted in int8 (40,000 of them wrap around).
        """
        rows = np.arange(len(hashes))
        ids = np.array([hashes, hashes], np.uint64)
        packed = versions.pack(ids, rows, rows, rows)

        parts = list(versions.by_bucket(packed, buckets, folder if store else "").split())

        assert all(len(versions.unpack([part])) for _, part in parts)
        found = [
            (row, number)
            for number, part in parts
            for row in versions.unpack([part])["location"].tolist()
        ]
        assert sorted(found) == [(row, hash_ % buckets) for row, hash_ in enumerate(hashes)]
        assert len({number for number, _ in parts}) == len(parts)

    @given(VERSIONS, BUCKETS)
    def test_counts_are_those_of_the_parts(
        self, folder: str, some: list[tuple[int, ...]], buckets: int
    ) -> None:
        """The sum of `counts` is what the run's equations go by (invariant 3)."""
        for directory in ("", folder):
            bucketed = versions.by_bucket(np.array(some, VERSION), buckets, directory)
            counts = {number: len(versions.unpack([part])) for number, part in bucketed.split()}
            assert {n: count for n, count in enumerate(bucketed.counts) if count} == counts
            assert sum(bucketed.counts) == len(some)

    @pytest.mark.parametrize("store", [False, True])
    def test_no_element_is_too_large(
        self, folder: str, store: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of an event_id with many versions several go on to the same bucket.

        Seen to fail with the last of them running on into the next bucket.
        """
        monkeypatch.setattr(versions, "_ELEMENT_VERSIONS", 3)
        ids = np.array([[0] * 7 + [1] * 2] * 2, np.uint64)
        rows = np.arange(9)
        table = versions.pack(ids, rows, rows, rows)

        parts = versions.by_bucket(table, 2, folder if store else "").split()

        found = [(n, versions.unpack([part])["location"].tolist()) for n, part in parts]
        assert found == [(0, [0, 1, 2]), (0, [3, 4, 5]), (0, [6]), (1, [7, 8])]


class TestTravel:
    """What is packed comes out as it went in, as bytes and stored."""

    @given(st.data(), VERSIONS, BUCKETS)
    def test_stored_or_not_the_same_comes_back(
        self, folder: str, data: st.DataObject, some: list[tuple[int, ...]], buckets: int
    ) -> None:
        """Bucket by bucket, all at once, and in any order, some parts as bytes and some stored.

        Seen to fail with all parts unpacked to the same place, and (in `TestBuckets`) with
        `Stored.first` counted in bytes, and with parts of a file all read from its start.
        """
        table = np.array(some, VERSION)

        as_bytes = versions.by_bucket(table, buckets)
        stored = versions.by_bucket(table, buckets, folder)

        assert isinstance(as_bytes.packed, bytes)
        assert isinstance(stored.packed, Stored) == bool(some)
        assert as_bytes.counts == stored.counts
        pairs = list(zip(as_bytes.split(), stored.split(), strict=True))
        for (bucket, part), (other_bucket, other_part) in pairs:
            assert bucket == other_bucket
            assert isinstance(part, bytes)
            assert isinstance(other_part, Stored)
            assert versions.unpack([part]).tolist() == versions.unpack([other_part]).tolist()
        ordered = sorted(some, key=lambda version: version[0] % buckets)
        assert versions.unpack([as_bytes.packed]).tolist() == ordered
        assert versions.unpack([stored.packed]).tolist() == ordered
        chosen = [data.draw(st.sampled_from(pair))[1] for pair in data.draw(st.permutations(pairs))]
        expected = [version for part in chosen for version in versions.unpack([part]).tolist()]
        assert versions.unpack(chosen).tolist() == expected
        assert sorted(expected) == sorted(some)

    @pytest.mark.parametrize("store", [False, True])
    def test_parts_travel_without_the_others(self, tmp_path: Path, store: bool) -> None:
        """To Beam and to other processes: of bytes just the part's own, of stored ones none.

        Seen to fail with Arrow tables: a pickled slice brings along the table it was cut from.
        """
        bucketed = versions.by_bucket(many(100_000), 100, str(tmp_path) if store else "")
        coder = FastPrimitivesCoder()
        limit = 400 if store else 1000 * VERSION.itemsize + 100

        for _, part in bucketed.split():
            for sent in (pickle.dumps(part), coder.encode(part)):
                assert len(sent) < limit
            arrived: list[Packed] = [pickle.loads(pickle.dumps(part))]
            arrived.append(coder.decode(coder.encode(part)))
            for one in arrived:
                assert type(one) is type(part)
                assert one == part

    @pytest.mark.parametrize("buckets", [1, 3])
    @pytest.mark.parametrize("store", [False, True])
    def test_an_empty_delivery(self, tmp_path: Path, buckets: int, store: bool) -> None:
        """Of no versions there is no element, no count and no file, and they can be unpacked.

        Seen to fail with a file of no versions stored.
        """
        directory = tmp_path / "temp"

        bucketed = versions.by_bucket(versions.NONE, buckets, str(directory) if store else "")

        assert list(bucketed.split()) == []
        assert sum(bucketed.counts) == 0
        assert not directory.exists()
        for parts in ([], [bucketed.packed]):
            found = versions.unpack(parts)
            assert (found.dtype, found.shape) == (VERSION, (0,))

    @pytest.mark.parametrize("scheme", ["", "file://"])
    def test_in_any_local_directory(self, tmp_path: Path, scheme: str) -> None:
        """It may have an odd name, or be a URL."""
        directory = tmp_path / "a b"
        directory.mkdir()
        path = f"{scheme}{directory}".replace(" ", "%20" if scheme else " ")

        stored = versions.by_bucket(many(10), 2, path)

        (file,) = directory.iterdir()
        assert file.stat().st_size == 10 * VERSION.itemsize
        assert sorted(versions.unpack([stored.packed]).tolist()) == many(10).tolist()

    def test_without_room_they_are_returned(self, tmp_path: Path) -> None:
        """A small disk for temporary files stops no run, and no half file stays on it."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            found = versions.by_bucket(many(10), 2, str(tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert isinstance(found.packed, bytes)
        assert sorted(versions.unpack([found.packed]).tolist()) == many(10).tolist()
        assert sum(found.counts) == 10
        assert [*tmp_path.iterdir()] == []

    def test_every_file_has_a_name_of_its_own(self, tmp_path: Path) -> None:
        """A step that runs twice never meets its own files (invariant 5)."""
        paths = {versions.by_bucket(many(2), 1, str(tmp_path)).packed.path for _ in range(3)}
        assert len(paths) == 3

    @pytest.mark.parametrize("kept", [0, 1, 39, 40, 399])
    def test_a_file_cut_short_is_an_error(self, tmp_path: Path, kept: int) -> None:
        """What is missing must not be compared as whatever lay in memory.

        Counts cannot tell: they go by what was stored. Seen to fail without the comparison of what
        was read with what was wanted.
        """
        stored = versions.by_bucket(many(10), 1, str(tmp_path)).packed
        assert isinstance(stored, Stored)
        path = Path(stored.path)
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(OSError, match="too early"):
            versions.unpack([stored])

    def test_a_lost_file_is_an_error(self, tmp_path: Path) -> None:
        """It was there, so its versions are missing: nothing may be published without them."""
        with pytest.raises(FileNotFoundError, match="gone"):
            versions.unpack([Stored(f"{tmp_path}/gone", 0, 1)])
