"""What stops the real command: one sentence why, an exit code, and the table as it was."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import compact, storage
from pipeline.verify import check
from tests.commands import Finished, command, in_process, run, run_here
from tests.deliveries import Event, deliver
from tests.tables import delta_rows, files_of, ids, newest_summary
from tests.whole.made import Made, make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A table for all tests of this module."""
    return make(tmp_path_factory.mktemp("made"))


def fails(finished: Finished, sentence: str) -> None:
    """The command said one sentence why, and that the table is as it was, and nothing else."""
    reason, rest = finished.err.split("\n", 1)
    assert sentence in reason
    assert rest == "Nothing was published; the table is as it was.\n"
    assert (finished.status, finished.out) == (1, "")


def test_limits_say_how_to_raise_them(made: Made, tmp_path: Path) -> None:
    """Too many partitions stop the run; too large an event is a reject. Both name the option."""
    finished = command(
        "--input", *made.files, "--output", tmp_path / "few", "--max-partitions", "3"
    )

    fails(finished, "6 partitions, the limit is 3; raise it with --max-partitions")
    assert ids(tmp_path / "few") == []

    events = [Event("small"), Event("large", data=f'"{"x" * (1 << 20)}"')]
    delivery = deliver(tmp_path / "large.jsonl", events)
    summary = run_here(delivery, tmp_path / "large", "--max-event-mb", "1")

    assert ids(tmp_path / "large") == ["small"]
    assert summary["rejected"] == {"too-large": 1}
    assert "--max-event-mb" in Path(summary["rejects"]).read_text()


def test_only_invalid_events_publish_nothing(tmp_path: Path) -> None:
    """The exit code tells it from a success; the last line says where the dead letters are."""
    (tmp_path / "bad.jsonl").write_text("oops\n{}\n")

    finished = command("--input", tmp_path / "bad.jsonl", "--output", tmp_path / "out")

    assert (finished.status, finished.err) == (3, "")
    summary = newest_summary(tmp_path / "out")
    last = " ".join(finished.out.rpartition("\n\n")[2].split())
    assert last.startswith("Nothing was published: every record was rejected, the first with")
    assert "not-json" in last
    assert summary["rejects"] in last
    assert "deliver them in a new file" in last
    assert summary["rejected"] == {"not-json": 1, "missing-field": 1}
    assert len(Path(summary["rejects"]).read_text().splitlines()) == 2
    assert files_of(tmp_path / "out") == {}


def test_files_of_which_all_was_rejected_are_not_read_again(made: Made, tmp_path: Path) -> None:
    """A run every minute into a table must not fail for ever because of one bad file."""
    output = made.copy(tmp_path / "out")
    bad = deliver(tmp_path / "bad.jsonl", [], "oops")

    assert [run(output, bad) for _ in range(2)] == [3, 0]
    assert newest_summary(output)["files"] == {"matched": 1, "skipped": 1}


@pytest.mark.parametrize(
    ("runner", "limits"),
    [
        ([], [["2"], ["29.9%"], ["0"], ["2", "--rebuild"]]),
        (["--direct_running_mode=multi_processing"], [["2"]]),
    ],
    ids=["here", "worker processes"],
)
def test_more_rejects_than_allowed_publish_nothing(
    made: Made, tmp_path: Path, runner: list[str], limits: list[list[str]]
) -> None:
    """The table stays as it is, also with --rebuild; the dead letters are there to look at.

    In Beam's worker processes the exception has a longer way to go.
    """
    output = made.copy(tmp_path / "out")
    before = files_of(output)
    good = [Event(f"new-{n}") for n in range(7)]
    delivery = deliver(tmp_path / "new.jsonl", good, "oops", "{}", "oops")
    arguments = ["--input", delivery, "--output", output, *runner, "--max-rejected"]
    earlier = set((output / "_eventsift" / "rejects").iterdir())

    for limit, *more in limits:
        refused = in_process(*arguments, limit, *more)

        assert (refused.status, refused.out) == (3, "")
        first, second = refused.err.splitlines()
        assert f"3 of 10 records (30%) were rejected, --max-rejected {limit} allows" in first
        assert "most often: not-json (2); see " in first
        letters = Path(first.rpartition("; see ")[2])
        assert letters not in earlier
        assert len(letters.read_text().splitlines()) == 3
        assert second == "Nothing was published; the table is as it was."
        assert files_of(output) == before

    allowed = in_process(*arguments, "30%")  # the files were not remembered
    assert (allowed.status, allowed.err) == (0, "")
    assert newest_summary(output)["events"]["kept"] == 7
    assert check.verify(str(output)).findings == []


def test_refused_from_the_start_there_is_no_table(tmp_path: Path) -> None:
    """The folder has the dead letters, which are in nobody's way later."""
    bad = deliver(tmp_path / "bad.jsonl", [], "oops")
    good = deliver(tmp_path / "good.jsonl", [Event("a")])
    output = tmp_path / "out"

    assert run(output, bad, "--max-rejected", "0") == 3

    files = [path for path in output.rglob("*") if path.is_file()]
    assert [path.parent.name for path in files] == ["rejects"]
    assert run(output, good, "--max-rejected", "0") == 0
    assert ids(output) == ["a"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("in/*.jsonl", "no file matches '{0}/in/*.jsonl': there is no folder {0}/in"),
        ("here/*.json", "json': nothing in the folder {0}/here fits ('a.txt' is there)"),
        ("here/b.txt", "no file matches '{0}/here/b.txt': the folder {0}/here has no such file"),
        ("empty", "no file matches '{0}/empty': the folder {0}/empty is empty"),
        ("hidden", "'{0}/hidden': the folder {0}/hidden has only hidden files"),
        ("pipe", "--input pipe is a pipe; write it to a file first"),
        ("/dev/null", "--input /dev/null is a device; write it to a file first"),
    ],
)  # fmt: skip
def test_an_input_without_files_says_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    """Where it looked, and what is there: a typing error must not look like a quiet day."""
    for folder in ("here", "empty", "hidden"):
        (tmp_path / folder).mkdir()
    (tmp_path / "here" / "a.txt").touch()
    (tmp_path / "hidden" / ".a.jsonl").touch()
    os.mkfifo(tmp_path / "pipe")

    monkeypatch.chdir(tmp_path)

    fails(in_process("--input", name, "--output", "out"), sentence.format(tmp_path))

    assert not (tmp_path / "out" / "_delta_log").exists()


def test_an_output_that_is_no_folder(made: Made, tmp_path: Path) -> None:
    """A file, what lies below one, a file of a table, a broken link; `verify`, `compact` too."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    data_file = next(made.output.glob("domain=*/**/*.parquet"))
    for output, sentence in [
        (tmp_path / "file", "is a file, not a folder; give a folder"),
        (tmp_path / "file" / "x", f"lies below {tmp_path}/file, which is a file, not a folder"),
        (tmp_path / "link", "is a broken symbolic link, not a folder"),
        (data_file, f"it belongs to the table {made.output}: give that"),
    ]:
        fails(in_process("--input", made.files[0], "--output", output), sentence)
        for main in (check.main, compact.main):
            other = in_process("--output", output, main=main)
            assert (other.status, other.out) == (1, "")
            assert sentence in other.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_that_cannot_be_written(made: Made, tmp_path: Path) -> None:
    """Said before anything is read."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)

    for output in (locked, locked / "new"):
        fails(in_process("--input", made.files[0], "--output", output), "cannot be written")


def test_a_profile_without_its_extra_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment that runs the job; nothing else has to be installed for a store."""
    path, find = "s3://b/x", importlib.util.find_spec
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "boto3" else find(name)
    )

    for finished, code in [
        (in_process("--input", path, "--output", tmp_path / "out"), 2),
        (in_process("--input", tmp_path, "--output", path), 2),
        (in_process("--output", path, main=check.main), 1),
    ]:
        assert (finished.status, finished.out) == (code, "")
        assert f"{path}: " in finished.err
        assert f"{sys.executable} -m pip install -c " in finished.err


def test_a_usage_error_ends_with_2(tmp_path: Path) -> None:
    """A scheduler tells a wrong command line from a failed run; nothing was touched."""
    finished = command("--input", "x", "--output", tmp_path / "out", "--bogus")

    assert finished.status == 2
    assert finished.err.splitlines()[-1].endswith("error: unknown option --bogus; see --help")
    assert list(tmp_path.iterdir()) == []


def test_something_in_the_way_of_the_output(made: Made, tmp_path: Path) -> None:
    """A file, or somebody else's folder, is left as it is; the sentence names it."""
    file, foreign = tmp_path / "file", tmp_path / "foreign"
    file.write_text("mine")
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")

    fails(in_process("--input", made.files[0], "--output", file), str(file))
    fails(
        in_process("--input", made.files[0], "--output", foreign),
        f"{foreign}: not empty, but no Delta table either: it has 'notes.txt'",
    )

    assert file.read_text() == "mine"
    assert [path.name for path in foreign.rglob("*") if path.is_file()] == ["notes.txt"]


def test_an_unreadable_input_stops_the_run(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the delivery is published; the sentence says which file it was."""
    output = made.copy(tmp_path / "out")
    before = files_of(output)
    readable = deliver(tmp_path / "new.jsonl", [Event("new")])
    locked = shutil.copy(readable, tmp_path / "locked.jsonl")

    def read_locked(ours: Callable[..., Any]) -> Callable[..., Any]:
        """As the system would refuse it; but to root all files are open."""

        def read(path: str, *place: Any) -> Any:
            if path == str(locked):
                raise PermissionError(13, "Permission denied", path)
            return ours(path, *place)

        return read

    for name in ("open_read", "read_part"):
        monkeypatch.setattr(storage, name, read_locked(getattr(storage, name)))

    finished = in_process("--input", readable, locked, "--output", output)

    fails(finished, f"denied: '{locked}'")
    assert files_of(output) == before


def test_a_file_in_the_way_of_temp_does_not_block_later_runs(made: Made, tmp_path: Path) -> None:
    """What a failed run could not stage it cannot have left: the next run must not trip over it."""
    output, temp = tmp_path / "out", tmp_path / "temp"
    temp.write_text("mine")

    finished = in_process("--input", *made.files, "--output", output, "--temp", temp)

    fails(finished, f"--temp {temp} is a file, not a folder")
    run_here(made.files, output)
    assert delta_rows(output) == made.expected.rows
    assert temp.read_text() == "mine"
