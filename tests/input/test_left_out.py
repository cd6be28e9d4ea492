"""What a run leaves out, and says so: the table's own files, and files that cannot be read."""

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

from pipeline import storage
from pipeline.command import job
from pipeline.storage import Matches
from tests.commands import Finished, python, run_here
from tests.deliveries import Event, deliver
from tests.tables import delta_rows, ids, newest_summary

TIME = "2021-01-08T10:00:00Z"
# An event that nobody has delivered. As the payload of another one it would be published if the
# table's Parquet files were read as input.
UNSENT = f'{{"event_id":"nobody","timestamp":"{TIME}","domain":"a","event_type":"b","data":1}}\n'


def run(*arguments: str | Path, status: int = 0) -> None:
    """Runs the command in this process, and checks its exit code."""
    try:
        assert job.main([*map(str, arguments), "--workers", "0"]) == status
    except SystemExit as end:
        assert end.code == status


class TestCommand:
    """The table, or the temp folder, lies in the input."""

    def test_a_table_inside_the_input(self, tmp_path: Path) -> None:
        """The second run publishes nothing that nobody has delivered."""
        deliver(
            tmp_path / "in" / "a.jsonl", [Event("a", TIME, json.dumps(UNSENT)), Event("", TIME)]
        )
        for _ in range(2):
            run_here(tmp_path / "in", tmp_path / "in" / "out")
        again = run_here(tmp_path / "in", tmp_path / "in" / "out", "--rebuild")

        assert ids(tmp_path / "in" / "out") == ["a"]
        assert again["files"] == {"matched": 1, "skipped": 0}
        assert again["left_out"] == {"count": 0, "first": []}

    def test_temp_inside_the_input(self, tmp_path: Path) -> None:
        """The next run does not read what a run that was killed has left there."""
        deliver(tmp_path / "in" / "a.jsonl", [Event("a", TIME)])
        staged = tmp_path / "in" / "tmp" / "run" / "blocks" / "1.jsonl"
        staged.parent.mkdir(parents=True)
        staged.write_text(UNSENT)

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
        """The error says the way out, before anything starts; also if there is good input, too."""
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
        """It is refused, though only the listing shows it."""
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
        """It would mean the working directory, when a variable is not set."""
        paths = {"--input": [str(tmp_path)], "--output": [str(tmp_path / "t")], "--temp": ["tmp"]}
        paths[option] = [*paths[option], empty] if option == "--input" else [empty]
        run(*[word for name, given in paths.items() for word in (name, *given)], status=2)
        assert f"argument {option}: {empty!r} is no path" in capsys.readouterr().err
        assert not (tmp_path / "t").exists()


def odd_files(folder: Path) -> dict[str, str]:
    """Makes files of every kind that nobody can read; returns the reason for each."""
    folder.mkdir(parents=True, exist_ok=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.json")).write_text(UNSENT)
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
    """One odd file does not keep the others from being published."""

    def test_good_files_do_not_wait(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Each file is read if it can be, else named on stderr, in the summary, in the report."""
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
        assert f"{len(odd)} files left out: cannot be read" in said.out
        assert sum(name in said.out for name in odd) == 3
        assert said.err.isascii()

    def test_the_same_files_again(self, tmp_path: Path) -> None:
        """The ledger knows names with controls and wildcards; odd files are named again."""
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
        """If no file can be read, that is an error, which names the first ones."""
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
        """A file that is named must be readable if it is the only one, else it must be there.

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
        """A folder can lie deeper than a path may be long: it is left out, and named."""
        deliver(tmp_path / "in" / "a.json", [Event("a", TIME)])
        here, deep = os.open(".", os.O_RDONLY), tmp_path / "in"
        try:
            os.chdir(deep)
            for _ in range(25):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
            Path("x.json").write_text(UNSENT)
        finally:
            os.chdir(here)
            os.close(here)

        record = run_here(tmp_path / "in", tmp_path / "out")

        assert ids(tmp_path / "out") == ["a"]
        assert record["left_out"]["count"] == 1
        assert "too long" in record["left_out"]["first"][0]["reason"]
        subprocess.run(["rm", "-rf", deep], check=True)  # shutil cannot

    def test_the_summary_names_a_hundred(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The summary counts all files left out, and names a hundred; the terminal names a few."""
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
    """Makes a folder that every user may read and write; its permissions come back at the end."""
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
    """Files and folders that this user may not read do not keep the others from being published."""

    def test_good_files_do_not_wait_for_permissions(self, open_folder: Path) -> None:
        """A file, a folder that cannot be listed, and one that cannot be entered are left out."""
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
        """Its name is enough to read it; without the name, the run fails."""
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
        """It is left out beside a good one, since a shell names all that a glob matches."""
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
