"""Which files are input: never the table's own, whatever else lies there is read or named."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.command import job
from pipeline.input import sources
from pipeline.input.sources import NoInputError
from pipeline.storage import FileInfo, LeftOut, Matches
from tests.commands import Finished, python, run_here
from tests.deliveries import Event, deliver
from tests.tables import delta_rows, ids, newest_summary

TIME = "2021-01-08T10:00:00Z"
# Small enough to be read as an event, if the table's Parquet were input: as case 2 did.
ENVELOPE = f'{{"event_id":"nobody","timestamp":"{TIME}","domain":"a","event_type":"b","data":1}}\n'


def fill(folder: Path, *names: str) -> None:
    """Files with an event that nobody has delivered."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ENVELOPE)


def found(patterns: list[str], root: Path | str, temp: Path | str) -> list[str]:
    """The names of the files that are input."""
    return [Path(file.path).name for file in sources.find(patterns, str(root), str(temp)).files]


class TestOwnFolders:
    """Files of the table and below temp."""

    @pytest.mark.parametrize(
        "spelling",
        ["{}", "{}/", "{}//", "file://{}", "{}/../table", "{}/./", "{parent}/link", "table",
         "./table", "../{name}/table"],
    )  # fmt: skip
    def test_the_table_is_never_input(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
    ) -> None:
        """However it is spelled, and whatever it is called in the pattern."""
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
        """A bind mount, and the other case where case does not count, are other real paths.

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
        """A file system that gives every folder the same number must not hide the input."""
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
        """Is no input, unless a pattern begins in it; what eventsift has staged never is."""
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
        """Two slashes, or a dot, name another object for some stores, and the same for others."""
        paths = [f"{scheme}://b/{name}" for name in ("x/_eventsift/r", "/x//d=1/f", "xy/f", "in/f")]
        matches = Matches([FileInfo(path, 1, 1.0) for path in paths], [])

        kept = sources.without_own(matches, [f"{scheme}://b/"], f"{scheme}://{root}", "/tmp/t")

        assert [file.path for file in kept.files] == paths[2:]
        assert kept.own == 2

    def test_stores_do_not_meet(self) -> None:
        """A bucket called like a folder is not that folder."""
        matches = Matches([FileInfo("s3://tmp/t/f", 1, 1.0), FileInfo("/tmp/t/f", 1, 1.0)], [])
        kept = sources.without_own(matches, ["/tmp"], "gs://tmp/t", "s3://tmp/t")
        assert [file.path for file in kept.files] == ["/tmp/t/f"]

    @given(st.lists(st.sampled_from("abt"), max_size=4), st.sampled_from(["t", "a/t", "a/b"]))
    def test_exactly_what_lies_below_is_own(self, names: list[str], root: str) -> None:
        """Folders with the same beginning are others; however deep a file lies."""
        path = "/".join(["", "nowhere", *names, "f"])
        matches = Matches([FileInfo(path, 1, 1.0)], [])
        kept = sources.without_own(matches, ["/nowhere"], f"/nowhere/{root}", "/elsewhere")
        assert bool(kept.own) == f"{path}/".startswith(f"/nowhere/{root}/")

    def test_deep_folders(self) -> None:
        """Paths have thousands of parts at most; none of them is one call deep."""
        path = "/" + "d/" * 2000 + "f"
        matches = Matches([FileInfo(path, 1, 1.0)], [])
        assert sources.without_own(matches, ["/d"], "/d/d/d", "/t").own == 1


class TestBeginning:
    """What a pattern is fixed to."""

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("in/*.json", "in"), ("in", "in"), ("in/", "in/"), ("*.json", "."), ("/*", "/"),
            ("in/a?/b", "in"), ("in/[ab]/c/*", "in"), ("s3://b/x/*", "s3://b/x"),
            ("file:///a%20b/*", "/a b"), ("in/x*y", "in"),
        ],
    )  # fmt: skip
    def test_up_to_the_first_wildcard(self, pattern: str, expected: str) -> None:
        """The folder before it."""
        assert sources.beginning(pattern) == expected

    def test_a_name_that_exists_is_no_pattern(self, tmp_path: Path) -> None:
        """As for `storage.match`."""
        fill(tmp_path, "[a]/b")
        assert sources.beginning(f"{tmp_path}/[a]") == f"{tmp_path}/[a]"


def run(*arguments: str | Path, status: int = 0) -> None:
    """Runs the command in this process."""
    try:
        assert job.main([*map(str, arguments), "--workers", "0"]) == status
    except SystemExit as end:
        assert end.code == status


class TestCommand:
    """The real command, with the table in the input and input that is none."""

    def test_a_table_inside_the_input(self, tmp_path: Path) -> None:
        """Case 2: the second run publishes nothing that nobody has delivered."""
        deliver(
            tmp_path / "in" / "a.jsonl", [Event("a", TIME, json.dumps(ENVELOPE)), Event("", TIME)]
        )
        for _ in range(2):
            run_here(tmp_path / "in", tmp_path / "in" / "out")
        again = run_here(tmp_path / "in", tmp_path / "in" / "out", "--rebuild")

        assert ids(tmp_path / "in" / "out") == ["a"]
        assert again["files"] == {"matched": 1, "skipped": 0}
        assert again["left_out"] == {"count": 0, "first": []}

    def test_temp_inside_the_input(self, tmp_path: Path) -> None:
        """What a run that was killed has left there is not read by the next one."""
        deliver(tmp_path / "in" / "a.jsonl", [Event("a", TIME)])
        fill(tmp_path, "in/tmp/run/blocks/1.jsonl")

        record = run_here(tmp_path / "in", tmp_path / "out", "--temp", f"{tmp_path}/in/tmp")

        assert record["files"] == {"matched": 1, "skipped": 0}

    @pytest.mark.parametrize(
        "given",
        ["table", "table/", "file://{}/table", "table/domain=*/**", "table/_eventsift/rejects",
         "link", "table/_eventsift/rejects/*.jsonl", "letters.jsonl"],
    )  # fmt: skip
    def test_input_in_the_table_is_refused(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        given: str,
    ) -> None:
        """With the way out, before anything starts; also beside good input."""
        delivery = deliver(tmp_path / "in" / "a.jsonl", [Event("a", TIME), Event("", TIME)])
        run_here(delivery, tmp_path / "table")
        (letters,) = (tmp_path / "table" / "_eventsift" / "rejects").iterdir()
        (tmp_path / "letters.jsonl").symlink_to(letters)
        (tmp_path / "link").symlink_to(tmp_path / "table")
        monkeypatch.chdir(tmp_path)
        before = delta_rows(tmp_path / "table")

        for more in ([], ["in/*"], ["--watch", "1s"], ["--rebuild"]):
            run("--input", given.format(tmp_path), *more, "--output", "table", status=2)
            error = capsys.readouterr().err
            assert "matches is the table's own" in error
            assert "give the folder into which the events are delivered" in error
        assert delta_rows(tmp_path / "table") == before

    def test_a_pattern_that_finds_the_table_only(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Which only the listing tells."""
        delivery = deliver(tmp_path / "a.jsonl", [Event("a", TIME), Event("", TIME)])
        run_here(delivery, tmp_path / "table")
        run(
            "--input", f"{tmp_path}/t*/_eventsift/rejects/*", "--output", tmp_path / "table",
            status=1,
        )  # fmt: skip
        assert "matches is the table's own" in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["--input", "--output", "--temp"])
    @pytest.mark.parametrize("empty", ["", " ", "\t\n", "file://", "file://localhost"])
    def test_an_empty_path_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, empty: str
    ) -> None:
        """It would be the working directory; a variable was not set."""
        paths = {"--input": [str(tmp_path)], "--output": [str(tmp_path / "t")], "--temp": ["tmp"]}
        paths[option] = [*paths[option], empty] if option == "--input" else [empty]
        run(*[word for name, given in paths.items() for word in (name, *given)], status=2)
        assert f"argument {option}: {empty!r} is no path" in capsys.readouterr().err
        assert not (tmp_path / "t").exists()


def odd_files(folder: Path) -> dict[str, str]:
    """Files of every kind that cannot be read by anybody; each with what is said of it."""
    folder.mkdir(parents=True, exist_ok=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.json")).write_text(ENVELOPE)
    os.mkfifo(folder / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket may have a hundred bytes
        server.bind("socket.json")
        os.chdir(here)
    (folder / "broken.json").symlink_to("nothing")
    (folder / "circle.json").symlink_to("circle.json")
    (folder / "null.json").symlink_to("/dev/null")
    return {
        "caf\\xe9.json": "not UTF-8",
        "pipe.json": "a pipe",
        "socket.json": "a socket",
        "broken.json": "a link to nothing",
        "circle.json": "symbolic links",
        "null.json": "a device",
    }


GOOD_NAMES = [
    "a.json",
    "new\nline.json",
    "\x01\x1b[31m.json",
    "é 日本.json",
    "x" * 250 + ".json",
    "'\"$*?",
]


class TestOddNames:
    """Case 10: one odd name blocks nothing."""

    def test_good_files_do_not_wait(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Each file is read if it can be, else named on stderr, in the record, in the report."""
        odd = odd_files(tmp_path / "in" / "deep")
        for name in GOOD_NAMES:
            deliver(tmp_path / "in" / name, [Event(name, TIME)])
        (tmp_path / "in" / "around").symlink_to(tmp_path / "in")

        record = run_here(tmp_path / "in", tmp_path / "out")

        assert ids(tmp_path / "out") == sorted(GOOD_NAMES)
        assert record["files"]["matched"] == len(GOOD_NAMES)
        said = capsys.readouterr()
        left_out = {Path(one["path"]).name: one["reason"] for one in record["left_out"]["first"]}
        assert left_out.keys() == odd.keys()
        assert record["left_out"]["count"] == len(odd)
        for name, reason in odd.items():
            assert reason in left_out[name]
            (line,) = [line for line in said.err.splitlines() if name in line]
            assert reason in line
        assert f"{len(odd)} left out: cannot be read" in said.out
        assert sum(name in said.out for name in odd) == 3
        assert said.err.isascii()

    def test_the_same_files_again(self, tmp_path: Path) -> None:
        """The ledger knows names with controls and wildcards; odd ones are named again."""
        odd = odd_files(tmp_path / "in")
        for name in GOOD_NAMES:
            deliver(tmp_path / "in" / name, [Event(name, TIME)])
        for skipped in (0, len(GOOD_NAMES)):
            record = run_here(tmp_path / "in", tmp_path / "out")
            assert record["files"]["skipped"] == skipped
            assert record["left_out"]["count"] == len(odd)

    def test_nothing_but_odd_files(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """That is an error, which names the first ones."""
        odd_files(tmp_path / "in")
        run("--input", tmp_path / "in", "--output", tmp_path / "out", status=1)
        error = capsys.readouterr().err
        assert "no file can be read" in error
        assert "broken.json: a link to nothing" in error
        assert "and 3 more" in error
        assert "no such file" not in error

    @pytest.mark.parametrize(
        "name", ["caf\udce9.json", "pipe.json", "socket.json", "broken.json", "circle.json",
                 "null.json", "missing.json", "a.json/b.json"]
    )  # fmt: skip
    def test_a_file_that_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        """By itself it must be readable; beside a good one it must be there.

        A shell names everything that a glob without quotes matches, odd files too.
        """
        odd_files(tmp_path / "in")
        good = deliver(tmp_path / "in" / "a.json", [Event("a", TIME)])
        named = f"{tmp_path}/in/{name}"
        run("--input", named, "--output", tmp_path / "out", status=1)
        assert storage.shown(name) in capsys.readouterr().err
        assert ids(tmp_path / "out") == []
        is_there = os.path.lexists(named)
        run("--input", named, good, "--output", tmp_path / "out", status=0 if is_there else 1)
        assert storage.shown(name) in capsys.readouterr().err
        assert len(ids(tmp_path / "out")) == is_there

    def test_a_file_that_vanishes_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the listing it counts as delivered: the run fails, and nothing is published."""
        paths = [deliver(tmp_path / "in" / f"{n}", [Event(n, TIME)]) for n in "ab"]
        match = storage.match

        def and_lose(patterns: list[str]) -> Matches:
            matched = match(patterns)
            paths[0].unlink(missing_ok=True)
            return matched

        monkeypatch.setattr(storage, "match", and_lose)
        run("--input", tmp_path / "in", "--output", tmp_path / "out", status=1)
        assert str(paths[0]) in capsys.readouterr().err
        assert ids(tmp_path / "out") == []

    def test_a_path_longer_than_the_system_allows(self, tmp_path: Path) -> None:
        """A folder can lie deeper than a path may be long: what is there is named."""
        deliver(tmp_path / "in" / "a.json", [Event("a", TIME)])
        here, deep = os.open(".", os.O_RDONLY), tmp_path / "in"
        try:
            os.chdir(deep)
            for _ in range(25):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
            Path("x.json").write_text(ENVELOPE)
        finally:
            os.chdir(here)
            os.close(here)

        record = run_here(tmp_path / "in", tmp_path / "out")

        assert ids(tmp_path / "out") == ["a"]
        assert record["left_out"]["count"] == 1
        assert "too long" in record["left_out"]["first"][0]["reason"]
        subprocess.run(["rm", "-rf", deep], check=True)  # shutil cannot

    def test_the_record_names_a_hundred(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And counts all; the terminal gets some lines, not all of them."""
        deliver(tmp_path / "in" / "a.json", [Event("a", TIME)])
        for number in range(150):
            (tmp_path / "in" / f"{number}").symlink_to("nothing")

        record = run_here(tmp_path / "in", tmp_path / "out")

        assert record["left_out"]["count"] == 150
        assert len(record["left_out"]["first"]) == 100
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 21
        assert error[-1] == "eventsift: left out 130 more, see the run's summary"


# The job as somebody without root's rights. The modules are loaded first: their files may be closed
# to that user.
AS_NOBODY = """
import os, sys
from pipeline.command import job
warm, *arguments = sys.argv[1:]
assert job.main(["--workers", "0", "--input", warm + "/a.json", "--output", warm + "/out"]) == 0
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(job.main(["--workers", "0", *arguments]))
"""


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that every user may read and write; its permissions come back."""
    name = "".join(random.choices(string.ascii_lowercase, k=8))
    folder = Path("/tmp") / f"eventsift-{name}" if os.geteuid() == 0 else tmp_path / name
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o777)
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
    shutil.rmtree(folder)


def as_user(folder: Path, *arguments: str | Path) -> Finished:
    """Runs the job as a user whom permissions bind: nobody, or whoever this is if not root."""
    if os.geteuid() == 0:
        warm = folder / "warm"
        deliver(warm / "a.json", [Event("a", TIME)])
        program = ["-c", AS_NOBODY, str(warm)]
    else:
        program = ["-m", "pipeline"]
    return python(*program, *arguments)


class TestPermissions:
    """Files and folders that this user may not read."""

    def test_good_files_do_not_wait_for_permissions(self, open_folder: Path) -> None:
        """A file, a folder that cannot be listed, and one that can be listed and not entered."""
        inputs = open_folder / "in"
        for name in ("a.json", "secret.json", "closed/b.json", "listed/c.json", "entered/d.json"):
            deliver(inputs / name, [Event(name, TIME)])
        modes = {"secret.json": 0, "closed": 0, "listed": 0o444, "entered": 0o111}
        for name, mode in modes.items():
            (inputs / name).chmod(mode)

        finished = as_user(open_folder, "--input", inputs, "--output", open_folder / "out")

        assert finished.status == 0
        assert ids(open_folder / "out") == ["a.json"]
        record = newest_summary(open_folder / "out")
        first = [(Path(one["path"]).name, one["reason"]) for one in record["left_out"]["first"]]
        names = ("closed", "entered", "c.json", "secret.json")
        assert first == [(name, "Permission denied") for name in names]
        for name in names:
            assert f"{name}: Permission denied" in finished.err

    def test_a_file_in_a_folder_that_cannot_be_listed(self, open_folder: Path) -> None:
        """Its name is enough to read it; without that, no file can be."""
        inputs = open_folder / "in"
        good = deliver(inputs / "closed" / "a.json", [Event("a", TIME)])
        good.parent.chmod(0o111)
        output = ("--output", open_folder / "out")

        for pattern in ("closed", "closed/*.json", "**/*.json"):
            refused = as_user(open_folder, "--input", inputs / pattern, *output)
            assert refused.status == 1
            assert f"no file can be read: {good.parent}: Permission denied" in refused.err
        assert as_user(open_folder, "--input", good, *output).status == 0
        assert ids(open_folder / "out") == ["a"]

    def test_a_named_file_without_permission(self, open_folder: Path) -> None:
        """Left out beside a good one, since a shell names all that a glob matches."""
        good = deliver(open_folder / "a.json", [Event("a", TIME)])
        secret = deliver(open_folder / "secret.json", [Event("b", TIME)])
        secret.chmod(0)
        out = ("--output", open_folder / "out")
        refused = as_user(open_folder, "--input", secret, *out)
        assert refused.status == 1
        assert f"no file can be read: {secret}: Permission denied" in refused.err
        assert "no such file" not in refused.err
        done = as_user(open_folder, "--input", good, secret, *out)
        assert done.status == 0
        assert f"{secret}: Permission denied" in done.err


def test_paths_are_shown_in_one_line() -> None:
    """What a name has in it can neither break a line nor colour a terminal."""
    assert storage.shown("/a\n\x1b[31m\udce9é\u2028") == "/a\\n\\x1b[31m\\xe9é\\u2028"


def test_how_many_more() -> None:
    """An error names three."""
    left_out = [LeftOut(f"/{n}", "no") for n in range(5)]
    assert sources.named_first(left_out[:3]) == "/0: no; /1: no; /2: no"
    assert sources.named_first(left_out) == "/0: no; /1: no; /2: no; and 2 more"


def test_nothing_matches() -> None:
    """Is said of the patterns as they were given."""
    with pytest.raises(NoInputError, match=r"no file matches 'a\* b\*'"):
        sources.check(sources.Sources([], [], 0), ["a*", "b*"], "/t")
