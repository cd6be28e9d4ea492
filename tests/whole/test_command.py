"""The real command when all goes well: what it says, leaves, and does when it is called again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.verify.check import verify
from tests.commands import command, run_job, script
from tests.deliveries import generate
from tests.tables import delta_rows, files_of, newest_summary
from tests.whole.made import Made, make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A table for all tests of this module."""
    return make(tmp_path_factory.mktemp("made"))


def test_the_report_is_that_of_the_summary(made: Made) -> None:
    """What people read and what programs read are one; and it is the table's truth."""
    summary = made.summary
    assert summary["events"] == made.expected.events
    assert summary["table"]["rows"] == made.expected.rows.total() == summary["events"]["kept"]
    assert summary["wall_seconds"] > 0
    assert set(summary["seconds"]) >= {"plan", "read", "latest", "write", "commit"}
    for number in (*summary["events"].values(), summary["bytes"], summary["table"]["bytes"]):
        assert f" {number:,} " in made.finished.out
    assert summary["rejects"] in made.finished.out
    assert "\nPublished as version 1.\n" in made.finished.out


def test_a_second_run_changes_nothing(made: Made) -> None:
    """No file, no name, no time, no version: what was published before is not even read.

    Seen to fail: `ledger.unpublished` that gives all files.
    """
    before = files_of(made.output)

    finished = command("--input", made.files[0].parent, "--output", made.output)

    assert finished.status == 0
    assert finished.out.endswith("Nothing new: every file was published before.\n")
    assert newest_summary(made.output)["files"] == {"matched": 2, "skipped": 2}
    assert files_of(made.output) == before


def test_the_same_files_under_other_names_change_nothing(made: Made, tmp_path: Path) -> None:
    """The ledger does not know them, the order of versions does: all are exact duplicates."""
    before = files_of(made.output)
    copies = [shutil.copy(file, tmp_path / f"copy-{file.name}") for file in made.files]

    summary = run_job(copies, made.output)

    counts = made.expected.events
    assert summary["events"]["kept"] == 0
    assert summary["events"]["superseded"] == counts["superseded"]
    assert summary["events"]["exact_duplicates"] == counts["kept"] + counts["exact_duplicates"]
    assert summary["version"] == 1
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
    summary = run_job(made.files, tmp_path / "out", *options)

    assert delta_rows(tmp_path / "out") == made.expected.rows
    assert summary["events"] == made.expected.events


def test_worker_processes_give_the_same_table(made: Made, tmp_path: Path) -> None:
    """Several blocks are read in processes of their own.

    The files are small: they would share a block, for which no process would be started. So these
    limits are set aside.
    """
    any_work = (
        "import sys; from pipeline.command import job; from pipeline.graph import cores;"
        "from pipeline.input import blocks;"
        "cores.WORK_BYTES = 0; blocks._FILES_PER_BLOCK = 1;"
        "sys.exit(job.main(sys.argv[1:]))"
    )
    options = ["--input", *made.files, "--output", tmp_path / "out", "--workers", "2"]
    assert script(any_work, *options).status == 0
    summary = newest_summary(tmp_path / "out")

    assert summary["counts"]["read.blocks"] == 2
    assert summary["events"] == made.expected.events
    assert delta_rows(tmp_path / "out") == made.expected.rows


def test_payloads_are_staged_where_temp_says_and_removed(made: Made, tmp_path: Path) -> None:
    """--temp may be any other folder; nothing of the run is left there, or in the table's own."""
    temp, output = tmp_path / "temp", tmp_path / "out"

    run_job(made.files, output, "--temp", str(temp))

    assert delta_rows(output) == made.expected.rows
    assert list(temp.rglob("*")) == []
    assert not (output / "_eventsift" / "temp").exists()
    assert list((output / "_eventsift" / "alive").iterdir()) == []


def test_files_end_near_the_target_size(tmp_path: Path) -> None:
    """--target-file-mb counts before compression: 2 MB of one partition make two files."""
    generate(tmp_path / "in", 9000, types=1, days=1, seed=1)

    summary = run_job(tmp_path / "in", tmp_path / "out", "--target-file-mb", "1")

    assert summary["table"]["partitions"] == 1
    assert summary["table"]["files"] == 2
    assert verify(str(tmp_path / "out")).findings == []


def test_verify_is_a_command_too(made: Made) -> None:
    """As `./run.sh verify` calls it."""
    finished = command("--output", made.output, module="pipeline.verify")

    assert (finished.status, finished.err) == (0, "")
    assert finished.out.endswith("Everything is right.\n")
