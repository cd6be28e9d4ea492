"""Files on local disks: what only they have."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import storage
from tests.storage.rules import fill, matched


class TestLocal:
    def test_local_files_need_neither_beam_nor_clients_of_stores(self, tmp_path: Path) -> None:
        """A worker process starts a second faster without them."""
        code = (
            "import sys; from pipeline import storage as s; p = sys.argv[1] + '/a';"
            "s.write_bytes(p, b'x'); s.copy(p, p + 'b'); s.match([p]); s.delete([p]);"
            "s.delete_tree(sys.argv[1]);"
            "assert not {'apache_beam', 'obstore', 'urllib3'} & set(sys.modules)"
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
