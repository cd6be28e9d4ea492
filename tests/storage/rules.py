"""What holds for every store: the same tests for a local disk, a server of our own, and real ones.

A module runs them with a subclass of `EveryStore` that has a fixture `base`: the path of an empty
folder.
"""

import io
import os
import random
import time

import pytest

from pipeline import storage


def fill(base: str, *names: str) -> None:
    """Files whose content is their name."""
    for name in names:
        storage.write_bytes(storage.join(base, name), name.encode())


def matched(base: str, *patterns: str) -> list[str]:
    """What the patterns below `base` match, below `base`."""
    found = storage.match([storage.join(base, pattern) for pattern in patterns])
    return [file.path[len(base) + 1 :] for file in found.files]


class EveryStore:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("a.json", ["a.json"]),
            ("*.json", ["a.json", "b.json"]),
            ("?.json", ["a.json", "b.json"]),
            ("[b-z].json", ["b.json"]),
            ("*", ["a.json", "b.json", "c.txt"]),
            ("**/*.json", ["a.json", "b.json", "d/e.json", "d/f/g.json"]),
            ("d", ["d/e.json", "d/f/g.json"]),
            ("d/", ["d/e.json", "d/f/g.json"]),
            ("d/**", ["d/e.json", "d/f/g.json"]),
            ("*/*.json", ["d/e.json"]),
            ("*/f/*", ["d/f/g.json"]),
            ("**/f/**/*.json", ["d/f/g.json"]),
            ("_*/*.json", ["_h/i.json"]),
            ("_h/i.json", ["_h/i.json"]),
            ("_h", ["_h/i.json"]),
            (".*", [".j.json"]),
            ("", ["a.json", "b.json", "c.txt", "d/e.json", "d/f/g.json"]),
            ("nothing", []),
            ("nothing/*", []),
            ("a.json/*", []),
            ("*/nothing/*", []),
        ],
    )
    def test_patterns_mean_the_same_everywhere(
        self, base: str, pattern: str, expected: list[str]
    ) -> None:
        """Globs, folders and hidden names, whether a disk or an object store is searched."""
        fill(base, "a.json", "b.json", "c.txt", "d/e.json", "d/f/g.json", "d/.x/y.json")
        fill(base, "_h/i.json", ".j.json", "d/_SUCCESS")
        assert matched(base, pattern) == expected

    def test_a_file_matched_twice_is_one_file(self, base: str) -> None:
        """Overlapping patterns must not read a file twice."""
        fill(base, "a.json", "d/b.json")
        assert matched(base, "**/*.json", "a.json", "d") == ["a.json", "d/b.json"]

    def test_names_that_look_like_patterns(self, base: str) -> None:
        """A file that exists is meant literally, and its listing is not a glob either."""
        fill(base, "[a].json", "a.json", "[d]/b.json", "d/c.json")
        assert matched(base, "[a].json") == ["[a].json"]
        assert matched(base, "[d]/b.json") == ["[d]/b.json"]
        listed = storage.list_files(storage.join(base, "[d]"))
        assert [file.path for file in listed] == [storage.join(base, "[d]/b.json")]

    def test_a_match_tells_size_and_time(self, base: str) -> None:
        """The fingerprint of an input file needs no further request."""
        before = time.time()
        fill(base, "a.json")
        [file] = storage.match([storage.join(base, "*")]).files
        assert file.bytes == len("a.json")
        assert before - 2 <= file.modified <= time.time() + 1
        if storage.is_local(base):
            assert file.modified == os.stat(file.path).st_mtime

    def test_a_listing_has_everything(self, base: str) -> None:
        """Hidden files too, at any depth; nothing where nothing is."""
        names = ["_h/.i", "a", "b/c/d"]
        fill(base, *names)
        assert sorted(file.path for file in storage.list_files(base)) == [
            storage.join(base, name) for name in names
        ]
        assert storage.list_files(storage.join(base, "nothing")) == []
        visible = storage.list_files(base, hidden=False)
        assert sorted(file.path for file in visible) == [
            storage.join(base, name) for name in ("a", "b/c/d")
        ]

    def test_partitions_are_folders_of_the_columns(self, base: str) -> None:
        """Files in just these folders, no deeper and no less deep, of any name."""
        fill(base, "a=1/b=2/x", "a=1/b=2/.y", "a=/b=/z", "a=1/x", "a=1/b=2/c/x", "b=2/a=1/x", "x")
        found = storage.list_partitions(base, ["a", "b"])
        assert sorted(file.path for file in found) == [
            storage.join(base, name) for name in ("a=/b=/z", "a=1/b=2/.y", "a=1/b=2/x")
        ]

    def test_only_the_first_name_of_a_path_hides_it(self, base: str) -> None:
        """A stranger's file is found wherever it lies in a folder of his."""
        fill(base, "_h/a", "b/_c/d")
        (file,) = storage.list_files(base, hidden=False)
        assert file.path == storage.join(base, "b/_c/d")

    def test_a_new_file_is_there_at_once(self, base: str) -> None:
        """Whole, its folder made; locally one that is there already is not touched."""
        path = storage.join(base, "d/e/new")
        storage.write_new(path, memoryview(b"content"))
        assert storage.read_bytes(path) == b"content"
        if storage.is_local(path):
            with pytest.raises(FileExistsError):
                storage.write_new(path, b"other")
        assert storage.read_bytes(path) == b"content"

    def test_a_folder_is_not_its_namesake(self, base: str) -> None:
        """An object store's prefix `d` is also that of `d2`."""
        fill(base, "d/a", "d2/b")
        assert matched(base, "d") == ["d/a"]
        assert len(storage.list_files(storage.join(base, "d"))) == 1

    def test_bytes_come_back(self, base: str) -> None:
        """Whatever the name promises, nothing is compressed or decompressed; files are replaced."""
        path = storage.join(base, "x", "a.gz")
        for content in (b"one", b"\x00two"):
            storage.write_bytes(path, content)
            assert storage.read_bytes(path) == content
            with storage.open_read(path) as file:
                assert file.read(2) == content[:2]

    def test_an_empty_file_is_a_file(self, base: str) -> None:
        """Stores refuse any range of it."""
        path = storage.join(base, "empty")
        with storage.create(path):
            pass
        assert matched(base, "") == ["empty"]
        assert storage.read_bytes(path) == storage.read_part(path, 0, 0) == b""
        assert [bytes(part) for part in storage.read_parts([storage.Part(path, 0, 0)])] == [b""]
        for end in (None, 0):
            with storage.open_read(path, 0, end) as file:
                assert file.read() == file.read(10) == b""
        with storage.open_read(path) as file:
            assert (file.seek(0, io.SEEK_END), file.readline()) == (0, b"")

    def test_parts_come_in_the_order_asked_for(self, base: str) -> None:
        """However they lie: side by side, apart, one twice or in another, in several files."""
        content = random.Random(1).randbytes(400_000)
        paths = [storage.join(base, name) for name in ("a", "b")]
        for path in paths:
            storage.write_bytes(path, content)
        places = [(300_000, 5), (0, 200_000), (200_000, 10), (7, 1), (399_999, 1), (0, 0), (7, 1)]
        parts = [storage.Part(path, *place) for place in places for path in paths]

        found = [bytes(part) for part in storage.read_parts(parts)]

        assert found == [content[start : start + size] for _, start, size in parts]
        assert storage.read_part(paths[0], 399_990, 100) == content[399_990:]

    @pytest.mark.parametrize("sizes", [(1,), (100, 70_000, 600_000), (4096, -1)])
    def test_a_file_is_read_at_any_place(self, base: str, sizes: tuple[int, ...]) -> None:
        """As a local file is: by size, to the end, from the end, by lines."""
        content = random.Random(2).randbytes(700_000)
        path = storage.join(base, "a")
        storage.write_bytes(path, content)
        like, choice = io.BytesIO(content), random.Random(3)
        with storage.open_read(path) as file:
            for _ in range(20):
                place = choice.choice([0, 5, 100_000, 650_000, 699_999, 700_000])
                whence = choice.choice([io.SEEK_SET, io.SEEK_END])
                place = place - len(content) if whence == io.SEEK_END else place
                assert file.seek(place, whence) == like.seek(place, whence)
                for size in sizes:
                    assert file.read(size) == like.read(size)
                assert file.readline() == like.readline()
                assert file.tell() == like.tell()

    @pytest.mark.parametrize("size", [1, 99, 400, 401, 5000])
    def test_a_range_is_read_in_order(
        self, base: str, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of it, no more, by reads of any size, and again from its beginning."""
        monkeypatch.setattr("pipeline.storage.readers.REQUEST_BYTES", 100)
        content = random.Random(4).randbytes(3000)
        path = storage.join(base, "a")
        storage.write_bytes(path, content)
        with storage.open_read(path, 150, 2950) as file:
            for start in (150, 150, 1111):
                file.seek(start)
                found = b""
                while file.tell() < 2950:
                    found += file.read(min(size, 2950 - file.tell()))
                assert found == content[start:2950]

    def test_ranges_are_opened_one_after_another(self, base: str) -> None:
        """Each at its beginning, in the order given; also the same file twice, and empty ones."""
        content = random.Random(5).randbytes(200_000)
        paths = [storage.join(base, name) for name in ("a", "b")]
        for path in paths:
            storage.write_bytes(path, content)
        places = [(paths[n % 2], 1000 * n, 5000 * n) for n in range(40)]
        found = []
        for (_, start, end), file in zip(places, storage.open_ranges(places), strict=True):
            with file:
                assert file.tell() == start
                found.append(file.read(end - start))
        assert found == [content[start:end] for _, start, end in places]

    def test_a_missing_file_is_told_apart(self, base: str) -> None:
        """Whatever wants to read it; the error names it."""
        path = storage.join(base, "nothing")
        parts = [storage.Part(path, 0, 1)]
        with pytest.raises(FileNotFoundError, match="nothing"):
            storage.read_bytes(path)
        with pytest.raises(FileNotFoundError, match="nothing"):
            storage.read_part(path, 0, 1)
        with pytest.raises(FileNotFoundError, match="nothing"):
            list(storage.read_parts(parts))
        with pytest.raises(FileNotFoundError, match="nothing"), storage.open_read(path) as file:
            file.read(1)
        with pytest.raises(FileNotFoundError, match="nothing"), storage.open_read(path, 0, 9) as it:
            it.read(1)
        assert storage.info(path) is None
        assert not storage.exists(path)

    def test_a_failed_write_leaves_nothing(self, base: str) -> None:
        """Nobody reads half a file, and no debris remains."""
        path = storage.join(base, "x", "a")
        with pytest.raises(RuntimeError), storage.create(path) as file:
            file.write(b"half")
            raise RuntimeError
        assert not storage.exists(path)
        assert storage.list_files(base) == []

    def test_copies_have_the_content(self, base: str) -> None:
        """To folders that do not exist yet, onto files that do, and again."""
        fill(base, "a", "b", "old")
        pairs = [("a", "new/deep/a"), ("b", "new/b"), ("a", "old"), ("a", "old")]
        for source, target in pairs[2:]:
            storage.copy(storage.join(base, source), storage.join(base, target))
        storage.copy_all([(storage.join(base, s), storage.join(base, t)) for s, t in pairs[:2]])
        for source, target in pairs:
            assert storage.read_bytes(storage.join(base, target)) == source.encode()

    def test_a_missing_source_is_told_apart(self, base: str) -> None:
        """Whoever tidies up beside another process has to know what happened."""
        pair = (storage.join(base, "nothing"), storage.join(base, "target"))
        with pytest.raises(FileNotFoundError):
            storage.copy(*pair)
        with pytest.raises(FileNotFoundError):
            storage.copy_all([pair])

    def test_missing_files_are_deleted_already(self, base: str) -> None:
        """Two processes may tidy up at once; the others of the list go all the same."""
        fill(base, "a", "b", "c")
        paths = [storage.join(base, name) for name in ("a", "nothing", "b")]
        storage.delete(paths)
        assert matched(base, "") == ["c"]
        storage.delete(paths)
        storage.delete([])

    def test_a_tree_goes_with_all_its_files(self, base: str) -> None:
        """And only that tree; once more is no error."""
        fill(base, "d/a", "d/_b/.c", "d2/a")
        for _ in range(2):
            storage.delete_tree(storage.join(base, "d"))
            assert matched(base, "") == ["d2/a"]

    def test_paths_are_joined_with_one_slash(self, base: str) -> None:
        """Object stores take `a//b` for another name than `a/b`."""
        assert storage.join(f"{base}/", "a", "b/c") == f"{base}/a/b/c"
        assert storage.absolute(f"{base}/") == base
