"""The real command as people meet it: again, with nothing to do, with mistakes, killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from end_to_end import (
    Finished,
    Row,
    command,
    event,
    expect,
    files_of,
    generate,
    newest_record,
    published,
    run_job,
    script,
    write_events,
)

from pipeline.verify.check import verify


class Made(NamedTuple):
    """A table that one run has made; tests copy it before they change it."""

    files: list[Path]
    output: Path
    rows: list[Row]
    finished: Finished

    def copy(self, target: Path) -> Path:
        """A copy with the same bytes and times."""
        return Path(shutil.copytree(self.output, target))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """400 events in two files, with duplicates and broken lines."""
    folder = tmp_path_factory.mktemp("made")
    options = {"seed": 8, "types": 3, "days": 2, "duplicates": 0.3, "ties": 0.1, "broken": 0.02}
    files = generate(folder / "in", 400, files=2, **options)
    finished = command("--input", folder / "in", "--output", folder / "out")
    assert (finished.status, finished.err) == (0, "")
    return Made(files, folder / "out", expect(files).rows, finished)


def fails(finished: Finished, sentence: str) -> None:
    """The command said one sentence why, and that the table is as it was, and nothing else."""
    reason, rest = finished.err.split("\n", 1)
    assert sentence in reason
    assert rest == "Nothing was published; the table is as it was.\n"
    assert (finished.status, finished.out) == (1, "")


def test_the_report_is_that_of_the_record(made: Made) -> None:
    """What people read and what programs read are one; and it is the table's truth."""
    expected = expect(made.files)
    record = newest_record(made.output)
    assert record["events"] == expected.events
    assert record["table"]["rows"] == len(made.rows) == record["events"]["kept"]
    assert record["wall_seconds"] > 0
    assert set(record["seconds"]) >= {"plan", "read", "latest", "write", "commit"}
    for number in (*record["events"].values(), record["bytes"], record["table"]["bytes"]):
        assert f" {number:,} " in made.finished.out
    assert record["rejects"] in made.finished.out
    assert made.finished.out.endswith("Published as version 1.\n")


def test_a_second_run_changes_nothing(made: Made) -> None:
    """No file, no name, no time, no version: what was published before is not even read.

    Seen to fail: `ledger.unpublished` that gives all files.
    """
    before = files_of(made.output)

    finished = command("--input", made.files[0].parent, "--output", made.output)

    assert finished.status == 0
    assert finished.out.endswith("Nothing new: every file was published before.\n")
    assert newest_record(made.output)["files"] == {"matched": 2, "skipped": 2}
    assert files_of(made.output) == before


def test_the_same_files_under_other_names_change_nothing(made: Made, tmp_path: Path) -> None:
    """The ledger does not know them, the order of versions does: all are exact duplicates."""
    before = files_of(made.output)
    copies = [shutil.copy(file, tmp_path / f"copy-{file.name}") for file in made.files]

    record = run_job(copies, made.output)

    counts = expect(made.files).events
    assert record["events"]["kept"] == 0
    assert record["events"]["superseded"] == counts["superseded"]
    assert record["events"]["exact_duplicates"] == counts["kept"] + counts["exact_duplicates"]
    assert record["version"] == 1
    assert files_of(made.output) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--runner=DirectRunner", "--workers", "0"],
        ["--runner=FnApiRunner", "--workers", "2"],
    ],
    ids=" ".join,
)
def test_runners_and_workers_give_the_same_table(
    made: Made, tmp_path: Path, options: list[str]
) -> None:
    """The local runner under both of its names; with all work in one thread, or spread."""
    record = run_job(made.files, tmp_path / "out", *options)

    assert published(tmp_path / "out") == made.rows
    assert record["events"] == expect(made.files).events


def test_worker_processes_give_the_same_table(tmp_path: Path) -> None:
    """Several blocks are read in processes of their own; 4,096 files fill one block.

    These are small, for which no process would be started; so that limit is set aside.
    """
    files = [
        write_events(
            tmp_path / "in" / f"{n}.jsonl",
            event(f"id-{n % 1000}", f"2021-01-08T10:00:0{n % 7}Z", n % 3, event_type=f"{n % 5}"),
        )
        for n in range(4200)
    ]
    expected = expect(files)

    any_work = (
        "import sys; from pipeline.command import job; from pipeline.graph import cores;"
        "cores.WORK_BYTES = 0;"
        "sys.exit(job.main(sys.argv[1:]))"
    )
    options = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--workers", "2"]
    assert script(any_work, *options).status == 0
    record = newest_record(tmp_path / "out")

    assert record["counts"]["read.blocks"] == 2
    assert record["events"] == expected.events
    assert published(tmp_path / "out") == expected.rows


def test_payloads_are_staged_where_temp_says_and_removed(made: Made, tmp_path: Path) -> None:
    """--temp may be any other folder; nothing of the run is left there, or in the table's own."""
    temp, output = tmp_path / "temp", tmp_path / "out"

    run_job(made.files, output, "--temp", str(temp))

    assert published(output) == made.rows
    assert list(temp.rglob("*")) == []
    assert not (output / "_eventsift" / "temp").exists()
    assert list((output / "_eventsift" / "alive").iterdir()) == []


def test_files_end_near_the_target_size(tmp_path: Path) -> None:
    """--target-file-mb counts before compression: 2 MB of one partition make two files."""
    generate(tmp_path / "in", 9000, types=1, days=1, seed=1)

    record = run_job(tmp_path / "in", tmp_path / "out", "--target-file-mb", "1")

    assert record["table"]["partitions"] == 1
    assert record["table"]["files"] == 2
    assert verify(str(tmp_path / "out")).findings == []


def test_limits_say_how_to_raise_them(made: Made, tmp_path: Path) -> None:
    """Too many partitions stop the run; too large an event is a reject. Both name the option."""
    finished = command(
        "--input", *made.files, "--output", tmp_path / "few", "--max-partitions", "3"
    )

    fails(finished, "6 partitions, the limit is 3; raise it with --max-partitions")
    assert published(tmp_path / "few") == []

    delivery = write_events(
        tmp_path / "large.jsonl",
        event("small", "2021-01-08T10:00:00Z"),
        event("large", "2021-01-08T10:00:00Z", "x" * (1 << 20)),
    )
    record = run_job(delivery, tmp_path / "large", "--max-event-mb", "1")

    assert [row.event_id for row in published(tmp_path / "large")] == ["small"]
    assert record["rejected"] == {"too-large": 1}
    assert "--max-event-mb" in Path(record["rejects"]).read_text()


def test_no_matching_file_is_an_error(tmp_path: Path) -> None:
    """A typing error in a pattern must not look like a quiet day."""
    finished = command("--input", "in/*.jsonl", "--output", "out", cwd=tmp_path)

    fails(finished, f"no file matches '{tmp_path}/in/*.jsonl'")
    assert not (tmp_path / "out" / "_delta_log").exists()


def test_only_invalid_events_publish_nothing(tmp_path: Path) -> None:
    """The exit code tells it from a success; the last line says where the dead letters are."""
    (tmp_path / "bad.jsonl").write_text("oops\n{}\n")

    finished = command("--input", tmp_path / "bad.jsonl", "--output", tmp_path / "out")

    assert (finished.status, finished.err) == (3, "")
    record = newest_record(tmp_path / "out")
    last = " ".join(finished.out.rpartition("\n\n")[2].split())
    assert last.startswith("Nothing was published: every record was rejected, the first with")
    assert "not-json" in last
    assert record["rejects"] in last
    assert "deliver them in a new file" in last
    assert record["rejected"] == {"not-json": 1, "missing-field": 1}
    assert len(Path(record["rejects"]).read_text().splitlines()) == 2
    assert files_of(tmp_path / "out") == {}


def test_files_of_which_all_was_rejected_are_not_read_again(made: Made, tmp_path: Path) -> None:
    """A run every minute into a table must not fail for ever because of one bad file."""
    output = made.copy(tmp_path / "out")
    (tmp_path / "bad.jsonl").write_text("oops\n")
    arguments = ["--input", tmp_path / "bad.jsonl", "--output", output]

    assert [command(*arguments).status for _ in range(2)] == [3, 0]
    assert newest_record(output)["files"] == {"matched": 1, "skipped": 1}


@pytest.mark.parametrize("runner", [[], ["--direct_running_mode=multi_processing"]])
def test_more_rejects_than_allowed_publish_nothing(
    made: Made, tmp_path: Path, runner: list[str]
) -> None:
    """The table stays as it is, also with --rebuild; the dead letters are there to look at."""
    output = made.copy(tmp_path / "out")
    before = files_of(output)
    good = [json.dumps(event(f"new-{n}", "2021-01-08T10:00:00Z")) for n in range(7)]
    delivery = tmp_path / "new.jsonl"
    delivery.write_text("\n".join([*good, "oops", "{}", "oops"]))
    arguments = ["--input", delivery, "--output", output, *runner, "--max-rejected"]
    earlier = set((output / "_eventsift" / "rejects").iterdir())

    for limit, *more in (["2"], ["29.9%"], ["0"], ["2", "--rebuild"]):
        refused = command(*arguments, limit, *more)

        assert (refused.status, refused.out) == (3, "")
        first, second = refused.err.splitlines()
        assert f"3 of 10 records (30%) were rejected, --max-rejected {limit} allows" in first
        assert "most often: not-json (2); see " in first
        letters = Path(first.rpartition("; see ")[2])
        assert letters not in earlier
        assert len(letters.read_text().splitlines()) == 3
        assert second == "Nothing was published; the table is as it was."
        assert files_of(output) == before

    allowed = command(*arguments, "30%")  # the files were not remembered
    assert (allowed.status, allowed.err) == (0, "")
    assert newest_record(output)["events"]["kept"] == 7
    assert verify(str(output)).findings == []


def test_refused_from_the_start_there_is_no_table(tmp_path: Path) -> None:
    """The folder has the dead letters, which are in nobody's way later."""
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_text("oops\n")
    write_events(good, event("a", "2021-01-08T10:00:00Z"))
    output = tmp_path / "out"

    assert command("--input", bad, "--output", output, "--max-rejected", "0").status == 3

    files = [path for path in output.rglob("*") if path.is_file()]
    assert [path.parent.name for path in files] == ["rejects"]
    run_job([good], output, "--max-rejected", "0")
    assert [row.event_id for row in published(output)] == ["a"]


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
    tmp_path: Path, name: str, sentence: str
) -> None:
    """Where it looked, and what is there instead."""
    for folder in ("here", "empty", "hidden"):
        (tmp_path / folder).mkdir()
    (tmp_path / "here" / "a.txt").touch()
    (tmp_path / "hidden" / ".a.jsonl").touch()
    os.mkfifo(tmp_path / "pipe")

    finished = command("--input", name, "--output", "out", cwd=tmp_path)

    fails(finished, sentence.format(tmp_path))


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
        fails(command("--input", made.files[0], "--output", output), sentence)
        for module in ("pipeline.verify", "pipeline.compact"):
            other = command("--output", output, module=module)
            assert (other.status, other.out) == (1, "")
            assert sentence in other.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_that_cannot_be_written(made: Made, tmp_path: Path) -> None:
    """Said before anything is read."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)

    for output in (locked, locked / "new"):
        fails(command("--input", made.files[0], "--output", output), "cannot be written")


@pytest.mark.parametrize(
    ("path", "package"),
    [("s3://b/x", "boto3"), ("gs://b/x", "google.cloud.storage"), ("hdfs://h/x", "hdfs")],
)
def test_a_store_without_its_extra_says_how_to_install_it(
    tmp_path: Path, path: str, package: str
) -> None:
    """In the environment that runs the job. Beam has an AssertionError for it."""
    missing = (
        "import importlib.util, sys; find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name: None if name == {package!r} else find(name)\n"
    )
    run = f"{missing}from pipeline.command import job; sys.exit(job.main(sys.argv[1:]))"
    check = f"{missing}from pipeline.verify import check; sys.exit(check.main(sys.argv[1:]))"

    for finished, code in [
        (script(run, "--input", path, "--output", tmp_path / "out"), 2),
        (script(run, "--input", tmp_path, "--output", path), 2),
        (script(check, "--output", path), 1),
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

    fails(command("--input", made.files[0], "--output", file), str(file))
    fails(
        command("--input", made.files[0], "--output", foreign),
        f"{foreign}: not empty, but no Delta table either: it has 'notes.txt'",
    )

    assert file.read_text() == "mine"
    assert [path.name for path in foreign.rglob("*") if path.is_file()] == ["notes.txt"]


LOCKED = """
import logging, sys

logging.disable()  # Beam talks while it is imported
from pipeline import storage
from pipeline.command import job

def locked(ours):
    def read(path, *place):
        if path.endswith("locked.jsonl"):  # as the system would; but to root all files are open
            raise PermissionError(13, "Permission denied", path)
        return ours(path, *place)
    return read

storage.open_read, storage.read_part = locked(storage.open_read), locked(storage.read_part)
sys.exit(job.main(sys.argv[1:]))
"""


def test_an_unreadable_input_stops_the_run(made: Made, tmp_path: Path) -> None:
    """Nothing of the delivery is published; the sentence says which file it was."""
    output = made.copy(tmp_path / "out")
    before = files_of(output)
    readable = write_events(tmp_path / "new.jsonl", event("new", "2021-01-08T10:00:00Z"))
    locked = shutil.copy(readable, tmp_path / "locked.jsonl")

    fails(script(LOCKED, "--input", readable, locked, "--output", output), f"denied: '{locked}'")

    assert files_of(output) == before


def test_a_file_in_the_way_of_temp_does_not_block_later_runs(made: Made, tmp_path: Path) -> None:
    """What a failed run could not stage it cannot have left: the next run must not trip over it."""
    output, temp = tmp_path / "out", tmp_path / "temp"
    temp.write_text("mine")

    finished = command("--input", *made.files, "--output", output, "--temp", temp)

    fails(finished, f"--temp {temp} is a file, not a folder")
    run_job(made.files, output)
    assert published(output) == made.rows
    assert temp.read_text() == "mine"


KILLED_BEFORE_ITS_COMMIT = """
import os, signal, sys
from pipeline.command import job
from pipeline.table import commits

commits.commit = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
job.main(sys.argv[1:])
"""


def test_a_killed_run_changes_nothing_and_the_next_cleans_up(made: Made, tmp_path: Path) -> None:
    """Invariant 5: killed with all staged and written, the table is as it was; then all is gone.

    Seen to fail: `recovery.clear` that removes nothing.
    """
    output = made.copy(tmp_path / "out")
    before = files_of(output)
    delivery = write_events(tmp_path / "new.jsonl", event("new", "2021-01-08T10:00:00Z"))

    killed = script(KILLED_BEFORE_ITS_COMMIT, "--input", delivery, "--output", output)

    assert killed.status == -signal.SIGKILL
    assert files_of(output) == before
    assert list((output / "_eventsift" / "temp").rglob("*.arrow"))
    assert list((output / "_eventsift" / "new").rglob("part-*"))

    run_job(delivery, output)

    assert published(output) == expect([*made.files, delivery]).rows
    assert list((output / "_eventsift").rglob("*.arrow")) == []
    assert list((output / "_eventsift").rglob("*.parquet")) == []
    assert verify(str(output)).findings == []


def test_verify_is_a_command_too(made: Made) -> None:
    """As `./run.sh verify` calls it."""
    finished = command("--output", made.output, module="pipeline.verify")

    assert (finished.status, finished.err) == (0, "")
    assert finished.out.endswith("Everything is right.\n")
