"""Files on local disks and, by a store in memory that Beam takes for a remote one, elsewhere."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

from pipeline import storage


class MemoryFiles(FileSystem):
    """An object store as Beam sees one: a flat list of keys, with a listing by prefix."""

    files: dict[str, bytes] = {}  # noqa: RUF012 (Beam makes an instance for every call)

    @classmethod
    def scheme(cls) -> str:
        """The scheme that sends Beam here."""
        return "memory"

    def join(self, basepath: str, *paths: str) -> str:
        """Not used."""
        raise NotImplementedError

    def split(self, path: str) -> tuple[str, str]:
        """As object stores do it."""
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        """There are no directories."""
        raise NotImplementedError

    def has_dirs(self) -> bool:
        """There are no directories."""
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path, content in sorted(self.files.items()):
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(content), 1.5)

    def create(self, path: str, mime_type: str = "", compression_type: str = "auto") -> Any:
        """A writer whose content becomes the file when it is closed."""
        assert compression_type == "uncompressed"
        files = self.files

        class Writer(io.BytesIO):
            def close(self) -> None:
                if not self.closed:
                    files[path] = self.getvalue()
                super().close()

        return Writer()

    def open(self, path: str, mime_type: str = "", compression_type: str = "auto") -> Any:
        """The file's bytes."""
        assert compression_type == "uncompressed"
        return io.BytesIO(self.files[path])

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Copy, or fail as Beam's file systems do."""
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            if source not in self.files:
                raise BeamIOError("Copy operation failed", {(source, target): KeyError(source)})
            self.files[target] = self.files[source]

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Not used."""
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self.files

    def size(self, path: str) -> int:
        """How long it is."""
        return len(self.files[path])

    def last_updated(self, path: str) -> float:
        """Always the same."""
        return 1.5

    def checksum(self, path: str) -> str:
        """Not used."""
        raise NotImplementedError

    def metadata(self, path: str) -> FileMetadata:
        """What a listing shows."""
        return FileMetadata(path, len(self.files[path]), 1.5)

    def delete(self, paths: list[str]) -> None:
        """Stops at the first missing file, as HDFS does."""
        for path in paths:
            if path not in self.files:
                raise BeamIOError("Delete operation failed", {path: KeyError(path)})
            if "locked" in path:
                raise BeamIOError("Delete operation failed", {path: PermissionError(path)})
            del self.files[path]


@pytest.fixture(params=["local", "remote"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder to work in: the same tests hold for every kind of store."""
    if request.param == "local":
        return str(tmp_path.resolve())
    MemoryFiles.files.clear()
    return "memory://bucket/base"


def fill(base: str, *names: str) -> None:
    """Files whose content is their name."""
    for name in names:
        storage.write_bytes(storage.join(base, name), name.encode())


def matched(base: str, *patterns: str) -> list[str]:
    """What the patterns below `base` match, below `base`."""
    found = storage.match([storage.join(base, pattern) for pattern in patterns])
    return [file.path[len(base) + 1 :] for file in found.files]


class TestEveryStore:
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
        fill(base, "a.json")
        [file] = storage.match([storage.join(base, "*")]).files
        assert file.bytes == len("a.json")
        assert file.modified == (1.5 if "://" in base else os.stat(file.path).st_mtime)

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


class TestRemote:
    def test_what_cannot_be_deleted_is_an_error(self) -> None:
        """Only missing files are passed over."""
        MemoryFiles.files.clear()
        fill("memory://bucket", "a", "locked")
        with pytest.raises(BeamIOError):
            storage.delete(["memory://bucket/nothing", "memory://bucket/locked"])
        assert storage.exists("memory://bucket/locked")

    def test_markers_of_folders_are_no_files(self) -> None:
        """Consoles of object stores make empty objects whose names end with a slash."""
        MemoryFiles.files.clear()
        MemoryFiles.files["memory://bucket/d/"] = b""
        fill("memory://bucket", "d/a")
        assert matched("memory://bucket", "d") == ["d/a"]

    def test_there_are_no_folders(self) -> None:
        """Nothing to list, nothing to remove."""
        assert storage.folders("memory://bucket") == []
        storage.remove_empty_directories(["memory://bucket"])

    def test_an_unknown_store_is_named(self) -> None:
        """Beam's message says which package is missing."""
        with pytest.raises(ValueError, match="ensure the required dependency is installed"):
            storage.read_bytes("nosuch://bucket/a")


class TestLocal:
    def test_local_files_need_no_beam(self, tmp_path: Path) -> None:
        """A worker process starts a second faster without it."""
        code = (
            "import sys; from pipeline import storage as s; p = sys.argv[1] + '/a';"
            "s.write_bytes(p, b'x'); s.copy(p, p + 'b'); s.match([p]); s.delete([p]);"
            "s.delete_tree(sys.argv[1]); assert 'apache_beam' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], check=True)

    def test_one_file_has_one_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Relative, dotted, linked or as a URL: the same file is read once."""
        real = tmp_path / "real"
        fill(str(real), "a b.json")
        (tmp_path / "link").symlink_to(real)
        (real / "again.json").symlink_to(real / "a b.json")
        monkeypatch.chdir(real)
        found = storage.match(
            [
                "a b.json",
                "./*.json",
                "../real",
                "../link/a*",
                str(tmp_path / "link"),
                f"file://{real}/a%20b.json",
                f"file://{real}/*.json",
                "../**/*.json",
            ]
        )
        assert [file.path for file in found.files] == [str((real / "a b.json").resolve())]

    def test_links_in_circles_end(self, tmp_path: Path) -> None:
        """A link to a folder is followed, but each folder is searched once."""
        fill(str(tmp_path), "d/a", "e/b")
        (tmp_path / "d" / "up").symlink_to(tmp_path)
        (tmp_path / "e" / "side").symlink_to(tmp_path / "d")
        base = str(tmp_path.resolve())
        assert matched(base, "") == ["d/a", "e/b"]
        assert matched(base, "d") == ["d/a", "e/b"]

    def test_links_to_nothing_are_no_files(self, tmp_path: Path) -> None:
        """What cannot be read is not planned."""
        (tmp_path / "broken").symlink_to(tmp_path / "nothing")
        assert matched(str(tmp_path), "*", "broken", "") == []

    def test_special_files_are_no_files(self, tmp_path: Path) -> None:
        """A folder or a pipe that fits the pattern is not input."""
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "folder.json").mkdir()
        assert matched(str(tmp_path), "*.json") == []

    def test_many_small_files_are_found_quickly(self, tmp_path: Path) -> None:
        """Two system calls a file at most: 20,000 take a fifth of a second, not seconds."""
        for folder in range(20):
            (tmp_path / str(folder)).mkdir()
            for number in range(1000):
                (tmp_path / str(folder) / f"{number}.json").touch()
        start = time.process_time()
        assert len(matched(str(tmp_path), "**/*.json")) == 20_000
        assert time.process_time() - start < 2

    def test_a_file_appears_whole(self, tmp_path: Path) -> None:
        """While it is written only a hidden name is there, which no reader takes for data."""
        with storage.create(str(tmp_path / "a.parquet")) as file:
            file.write(b"half")
            file.flush()
            [name] = os.listdir(tmp_path)
            assert name.startswith(".")
            assert not name.endswith(".parquet")
            assert storage.match([str(tmp_path)]).files == []
        assert os.listdir(tmp_path) == ["a.parquet"]

    def test_a_failed_write_keeps_the_old_file(self, tmp_path: Path) -> None:
        """A file is replaced when the new one is complete, not before."""
        fill(str(tmp_path), "a")
        with pytest.raises(RuntimeError), storage.create(str(tmp_path / "a")) as file:
            file.write(b"new")
            raise RuntimeError
        assert storage.read_bytes(str(tmp_path / "a")) == b"a"

    def test_long_names_can_be_written(self, tmp_path: Path) -> None:
        """The temporary name is no longer than file systems allow."""
        path = str(tmp_path / ("x" * 255))
        storage.write_bytes(path, b"")
        assert storage.exists(path)

    def test_copies_are_links_where_there_are_links(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy costs no space; without links it is a real one, whole at once."""
        fill(str(tmp_path), "a")
        source, link, copy = (str(tmp_path / name) for name in ("a", "b", "c"))
        storage.copy(source, link)
        assert os.path.samefile(source, link)

        def refuses(*arguments: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuses)
        storage.copy(source, copy)
        assert not os.path.samefile(source, copy)
        assert storage.read_bytes(copy) == b"a"

    def test_a_folder_tidied_away_meanwhile_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process removes the new, still empty folder before the file is in it."""
        make = os.makedirs
        removed: list[str] = []

        def make_and_lose(path: str, exist_ok: bool = False) -> None:
            make(path, exist_ok=exist_ok)
            if path not in removed:
                removed.append(path)
                storage.remove_empty_directories([path])

        monkeypatch.setattr(os, "makedirs", make_and_lose)
        storage.write_bytes(str(tmp_path / "d" / "a"), b"a")
        storage.copy(str(tmp_path / "d" / "a"), str(tmp_path / "e" / "a"))
        assert removed == [str(tmp_path / "d"), str(tmp_path / "e")]
        assert matched(str(tmp_path), "") == ["d/a", "e/a"]

    def test_only_empty_folders_are_removed(self, tmp_path: Path) -> None:
        """Also those that hold only empty folders; never a file, never a folder above."""
        fill(str(tmp_path), "d/full/a", "e/.hidden")
        (tmp_path / "d" / "empty" / "empty").mkdir(parents=True)
        (tmp_path / "f" / "g").mkdir(parents=True)
        storage.remove_empty_directories(str(tmp_path / name) for name in ("d", "e", "f", "h"))
        assert storage.folders(str(tmp_path)) == ["d", "e"]
        assert storage.folders(str(tmp_path / "d")) == ["full"]
        assert storage.folders(str(tmp_path / "nothing")) == []
