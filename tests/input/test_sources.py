"""Which files are input: never the table's own, whatever else lies there is read or named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.input import sources
from pipeline.input.sources import NoInputError
from pipeline.storage import FileInfo, LeftOut, Matches


def fill(folder: Path, *names: str) -> None:
    """Makes files; only their names matter here."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(patterns: list[str], root: Path | str, temp: Path | str) -> list[str]:
    """Returns the names of the files that are input."""
    return [Path(file.path).name for file in sources.find(patterns, str(root), str(temp)).files]


class TestOwnFolders:
    """Files in the table, and in the temp folder, are no input."""

    @pytest.mark.parametrize(
        "spelling",
        ["{}", "{}/", "{}//", "file://{}", "{}/../table", "{}/./", "{parent}/link", "table",
         "./table", "../{name}/table"],
    )  # fmt: skip
    def test_the_table_is_never_input(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
    ) -> None:
        """However the table is spelled, and whatever it is called in the pattern."""
        table = tmp_path / "table"
        fill(tmp_path, "a.jsonl", "table/domain=a/b.jsonl", "table/_eventsift/rejects/c.jsonl")
        (tmp_path / "link").symlink_to(table)
        (tmp_path / "d.jsonl").symlink_to(table / "_eventsift" / "rejects" / "c.jsonl")
        monkeypatch.chdir(tmp_path)
        root = storage.absolute(spelling.format(table, parent=tmp_path, name=tmp_path.name))
        temp = f"{root}/_eventsift/temp"

        for pattern in (
            str(tmp_path), ".", "**/*", "*/*/*", "link/**", "**/_*/*/*.jsonl", "t*/_eventsift/*/*",
            "d.jsonl", "a.jsonl", f"file://{tmp_path}/**/*.jsonl", f"../{tmp_path.name}//",
        ):  # fmt: skip
            assert set(found([pattern], root, temp)) <= {"a.jsonl"}, pattern
        assert found(["."], root, temp) == ["a.jsonl"]

    def test_a_folder_is_known_by_its_identity(self, tmp_path: Path) -> None:
        """A bind mount, or a name in another case, may be another real path to the same folder.

        Both need what a test machine may not have; here the other path is asked for the identity.
        """
        fill(tmp_path, "in/x.jsonl", "table/x.jsonl", "table/_eventsift/rejects/y.jsonl")
        other = tmp_path / "Table"
        seen = sources._identity

        def ignoring_case(path: str) -> tuple[int, int] | None:
            return seen(path.replace(str(other), str(tmp_path / "table")))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "_identity", ignoring_case)
            matches = Matches([FileInfo(f"{other}/x.jsonl", 1, 1.0)], [])
            kept = sources.without_own(matches, ["in"], str(tmp_path / "table"), "/nowhere")
        assert kept == sources.Sources([], [], 1)

    @pytest.mark.parametrize("inner", ["", "_eventsift", "_eventsift/rejects"])
    def test_a_bind_mount_is_the_folder_itself(self, tmp_path: Path, inner: str) -> None:
        """Containers show one folder under two paths."""
        fill(tmp_path, "table/x.jsonl", "table/_eventsift/rejects/y.jsonl", "in/a.jsonl")
        mount = tmp_path / "in" / "mount"
        mount.mkdir()
        source = tmp_path / "table" / inner
        done = subprocess.run(["mount", "--bind", source, mount], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"bind mounts are not allowed here: {done.stderr.decode()}")
        try:
            patterns = [f"{tmp_path}/in/**/*", f"{tmp_path}/in/mount/_*/**"]
            assert found(patterns, tmp_path / "table", tmp_path / "tmp") == ["a.jsonl"]
        finally:
            subprocess.run(["umount", mount], check=True)

    def test_without_inodes_names_decide(self, tmp_path: Path) -> None:
        """A file system that gives every folder the same number does not hide the input."""
        fill(tmp_path, "in/a.jsonl", "table/x.jsonl")
        status = os.stat
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                sources.os,
                "stat",
                lambda path: os.stat_result([0o40755, 0, 1, *status(path)[3:]]),
            )
            kept = sources.without_own(
                storage.match([str(tmp_path)]), [str(tmp_path)], f"{tmp_path}/table", "/tmp/t"
            )
        assert [file.path for file in kept.files] == [str((tmp_path / "in/a.jsonl").resolve())]

    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            (["in"], ["a"]),
            (["in/**/*"], ["a"]),
            (["in/*/*"], []),
            (["in/tmp/more"], ["c"]),
            (["in/tmp/more/*"], ["c"]),
            (["in/tmp"], ["b", "c"]),
            (["in/tmp/**/_*/*/*"], []),
            (["in/tmp/_eventsift/run/d"], []),
        ],
    )
    def test_the_temp_folder(
        self, tmp_path: Path, patterns: list[str], expected: list[str]
    ) -> None:
        """It is no input unless a pattern begins in it; eventsift's own folder there never is."""
        fill(tmp_path, "in/a", "in/tmp/b", "in/tmp/more/c", "in/tmp/_eventsift/run/d")
        given = [f"{tmp_path}/{pattern}" for pattern in patterns]
        assert found(given, tmp_path / "table", tmp_path / "in" / "tmp") == expected

    def test_input_below_the_temp_folder_is_read(self, tmp_path: Path) -> None:
        """``--input /tmp/in --temp /tmp`` is what people write."""
        fill(tmp_path, "in/a")
        assert found([f"{tmp_path}/in"], tmp_path / "table", tmp_path) == ["a"]

    def test_hidden_folders_of_other_tables_are_not_read(self, tmp_path: Path) -> None:
        """Another table's dead letters are no delivery."""
        fill(tmp_path, "a", "old/_delta_log/0.json", "old/_eventsift/rejects/r.jsonl")
        for pattern in ("", "/**", "/**/*", "/**/*.json*"):
            assert found([f"{tmp_path}{pattern}"], tmp_path / "table", tmp_path / "t") in (
                ["a"],
                [],
            )

    @pytest.mark.parametrize("scheme", ["s3", "gs", "hdfs"])
    @pytest.mark.parametrize("root", ["b/x", "b/x/", "b//x", "b//x//", "b/./x", "b/y/../x", "/b/x"])
    def test_object_stores_go_by_normalised_names(self, scheme: str, root: str) -> None:
        """Two slashes, or a dot, name another object in some stores, and the same in others."""
        paths = [f"{scheme}://b/{name}" for name in ("x/_eventsift/r", "/x//d=1/f", "xy/f", "in/f")]
        matches = Matches([FileInfo(path, 1, 1.0) for path in paths], [])

        kept = sources.without_own(matches, [f"{scheme}://b/"], f"{scheme}://{root}", "/tmp/t")

        assert [file.path for file in kept.files] == paths[2:]
        assert kept.own == 2

    def test_stores_do_not_meet(self) -> None:
        """A bucket with the name of a folder is not that folder."""
        matches = Matches([FileInfo("s3://tmp/t/f", 1, 1.0), FileInfo("/tmp/t/f", 1, 1.0)], [])
        kept = sources.without_own(matches, ["/tmp"], "gs://tmp/t", "s3://tmp/t")
        assert [file.path for file in kept.files] == ["/tmp/t/f"]

    @given(st.lists(st.sampled_from("abt"), max_size=4), st.sampled_from(["t", "a/t", "a/b"]))
    def test_exactly_what_lies_below_is_own(self, names: list[str], root: str) -> None:
        """Folders with the same beginning are others; files are own however deep they lie."""
        path = "/".join(["", "nowhere", *names, "f"])
        matches = Matches([FileInfo(path, 1, 1.0)], [])
        kept = sources.without_own(matches, ["/nowhere"], f"/nowhere/{root}", "/elsewhere")
        assert bool(kept.own) == f"{path}/".startswith(f"/nowhere/{root}/")

    def test_deep_folders(self) -> None:
        """A path with thousands of folders does not end Python's recursion."""
        path = "/" + "d/" * 2000 + "f"
        matches = Matches([FileInfo(path, 1, 1.0)], [])
        assert sources.without_own(matches, ["/d"], "/d/d/d", "/t").own == 1


class TestBeginning:
    """The folder that all matches of a pattern lie in."""

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("in/*.json", "in"), ("in", "in"), ("in/", "in/"), ("*.json", "."), ("/*", "/"),
            ("in/a?/b", "in"), ("in/[ab]/c/*", "in"), ("s3://b/x/*", "s3://b/x"),
            ("file:///a%20b/*", "/a b"), ("in/x*y", "in"),
        ],
    )  # fmt: skip
    def test_up_to_the_first_wildcard(self, pattern: str, expected: str) -> None:
        """It is the folder before the first wildcard."""
        assert sources.beginning(pattern) == expected

    def test_a_name_that_exists_is_no_pattern(self, tmp_path: Path) -> None:
        """A name with brackets is no pattern if there is such a file, as for `storage.match`."""
        fill(tmp_path, "[a]/b")
        assert sources.beginning(f"{tmp_path}/[a]") == f"{tmp_path}/[a]"


def test_paths_are_shown_in_one_line() -> None:
    """The characters of a name can neither break a line nor colour a terminal."""
    assert storage.shown("/a\n\x1b[31m\udce9é\u2028") == "/a\\n\\x1b[31m\\xe9é\\u2028"


def test_how_many_more() -> None:
    """An error names three files, and says how many follow."""
    left_out = [LeftOut(f"/{n}", "no") for n in range(5)]
    assert sources.named_first(left_out[:3]) == "/0: no; /1: no; /2: no"
    assert sources.named_first(left_out) == "/0: no; /1: no; /2: no; and 2 more"


def test_nothing_matches() -> None:
    """The error shows the patterns as they were given."""
    with pytest.raises(NoInputError, match=r"no file matches 'a\* b\*'"):
        sources.check(sources.Sources([], [], 0), ["a*", "b*"], "/t")
