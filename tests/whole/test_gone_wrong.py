"""What goes wrong for a new user: each message says what to do, and doing it helps."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generator.__main__ import main as generate
from pipeline import compact
from pipeline.command import page
from pipeline.status import check as status
from pipeline.steps import read
from pipeline.storage.object_store import _named
from pipeline.verify import check as verify
from tests.commands import Finished, command, environment, in_process, python
from tests.deliveries import Event, deliver
from tests.small_runs import line, write
from tests.tables import ids

UNCHANGED = "Nothing was published; the table is as it was.\n"


def words(text: str) -> str:
    """A text without its line breaks and columns."""
    return " ".join(text.split())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of two events."""
    return write(tmp_path / "in" / "events.jsonl", line("a"), line("b"))


def test_a_path_with_a_typing_error(source: Path, tmp_path: Path) -> None:
    """The path that is there is suggested: a folder's, a file's, a table's."""
    output = ("--output", tmp_path / "table")
    for given, reason in [
        ("inn/*", f"there is no folder {tmp_path}/inn (did you mean {tmp_path}/in?)"),
        (
            "in/event.jsonl",
            f"the folder {tmp_path}/in has no such file (did you mean {source}?)",
        ),
    ]:
        done = in_process("--input", tmp_path / given, *output)
        what = f"no file matches '{tmp_path / given}'"
        assert (done.status, done.err) == (1, f"eventsift: {what}: {reason}\n{UNCHANGED}")
    assert in_process("--input", source, *output).status == 0

    done = in_process("--output", tmp_path / "tabel", main=status.main)
    assert done.err.endswith(
        f": there is no such folder (did you mean {tmp_path}/table?);"
        " --output names the table's folder\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "eventsift: there is no command 'rnu'; did you mean run?"),
        (["run", "--inptu", "x"], "unknown option --inptu; did you mean --input?"),
        (["generate", "--event", "1"], "unknown option --event; did you mean --events?"),
        (["compact", "--target-mb", "1"], "unknown option --target-mb; did you mean"),
        (["status", "--max-ages", "1h"], "unknown option --max-ages; did you mean --max-age?"),
    ],
)
def test_a_mistyped_command_and_option(arguments: list[str], said: str) -> None:
    """The nearest one is named, by the words with which the command was started."""
    done = command(*arguments, module="pipeline.cli")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert said in done.err
    name = " ".join(["eventsift", *arguments[:1]])
    assert done.err.startswith(f"{name}: error: " if arguments[1:] else "eventsift: ")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """With an example."""
    done = command("run", "in/a.jsonl", "out", module="pipeline.cli")
    assert done.err == (
        "eventsift run: error: --input and --output are needed, e.g. --input 'in/*.jsonl'"
        " --output out/\n"
    )


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
WITHOUT_RIGHTS += ["--inh-caps=-dac_override,-dac_read_search"]


def without_rights(*arguments: str | Path) -> Finished:
    """Runs a command that permissions bind, also where the tests are root's."""
    prefix = WITHOUT_RIGHTS if os.geteuid() == 0 else []
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def permissions(tmp_path: Path) -> Iterator[None]:
    """Skips a test where permissions cannot be had; makes all removable again."""
    if os.geteuid() == 0:
        try:
            subprocess.run([*WITHOUT_RIGHTS, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("cannot give up root's rights here")
    yield
    for path in tmp_path.rglob("*"):
        path.chmod(0o700)


@pytest.mark.usefixtures("permissions")
def test_no_permission(source: Path, tmp_path: Path) -> None:
    """To read a file, or to write where the table, temp, the report or the page are to be."""
    secret = write(tmp_path / "in" / "secret.jsonl", line("c"))
    secret.chmod(0)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    table = ("--output", tmp_path / "table")

    done = without_rights("run", "--input", secret, *table)
    reason = f"no file can be read: {secret}: Permission denied; mend that, or give other files"
    assert (done.status, done.err) == (1, f"eventsift: {reason}\n{UNCHANGED}")

    done = without_rights("run", "--input", tmp_path / "in", *table)
    assert (done.status, ids(tmp_path / "table")) == (0, ["a", "b"])
    assert f"left out {secret}: Permission denied" in words(done.out)
    assert "next mend what was left out: the next run reads it" in words(done.out)

    where = "cannot be written (Permission denied); change its permissions, or give another folder"
    for arguments, option in [
        (["run", "--input", source, "--output", locked], "--output"),
        (["run", "--input", source, *table, "--temp", locked], "--temp"),
        (["run", "--input", source, *table, "--report-json", locked / "x"], "--report-json"),
        (["page", *table, "--file", locked / "x"], "--file"),
        (["generate", "--events", "1", "--output", locked], "--output"),
    ]:
        done = without_rights(*arguments)
        assert done.status == 1
        assert done.err.splitlines()[0] == f"eventsift: {option} {locked}: it {where}"


def test_a_file_that_is_not_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says which rule, shows the record, and what to do; with its own exit code."""
    source = write(tmp_path / "in.csv", "id;time", "1;10:00")
    done = in_process("--input", source, "--output", tmp_path / "table")
    text = words(done.out)
    assert done.status == 3
    assert "2 not-json: JSON is malformed: invalid character (byte 0): 'id;time'" in text
    assert "next look at the rejects; deliver corrected records in a new file:" in text
    assert text.partition("Nothing was published: ")[2].startswith("every record was rejected")


def test_fields_with_other_names(tmp_path: Path) -> None:
    """The report and the plan say which option reads them; with it, they are published."""
    event = json.loads(line("a", data={"lines": [{}]}))
    renamed = {"id": event.pop("event_id"), "ts": event.pop("timestamp"), **event}
    source = write(tmp_path / "1.jsonl", json.dumps(renamed))
    output = ("--output", tmp_path / "table")
    option = "event_id=id,timestamp=ts"
    way_out = f"read it with --fields {option}"

    from pipeline.preview import command as preview

    done = in_process("--input", source, *output, main=preview.main)
    assert way_out in words(done.out)
    done = in_process("--input", source, *output)
    assert done.status == 3
    assert f"1 missing-field: {way_out}; event_id is missing, there is only" in words(done.out)
    assert "wrapper" not in done.out

    assert in_process("--input", source, *output, "--fields", option).status == 0
    assert ids(tmp_path / "table") == ["a"]


def test_an_output_that_is_no_table(source: Path, tmp_path: Path) -> None:
    """A folder of somebody else's: each command says which folder it wants."""
    notes = tmp_path / "notes"
    write(notes / "mine.txt", "mine")
    done = in_process("--input", source, "--output", notes)
    reason = f"{notes}: not empty, but no Delta table either: it has 'mine.txt'"
    way_out = "choose an empty or a new folder"
    assert (done.status, done.err) == (1, f"eventsift: {reason}; {way_out}\n{UNCHANGED}")

    for main in (status.main, verify.main, compact.main, page.main):
        done = in_process("--output", notes, main=main)
        assert done.status != 0
        assert done.err.endswith("it has no _delta_log; --output names the table's folder\n")
    assert [path.name for path in notes.rglob("*")] == ["mine.txt"]


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    """It says which; staged elsewhere, the same run fits."""
    options = ("--events", "20000", "--types", "1", "--days", "1", "--duplicates", "0.9")
    done = in_process(*options, "--output", small_disk / "in", main=generate)
    assert done.status == 1
    assert done.err == (
        f"eventsift: cannot write {small_disk}/in: No space left on device ({small_disk}/in);"
        " free some, or give another folder with --output\n"
    )
    assert in_process(*options, "--output", tmp_path / "in", main=generate).status == 0

    run = ("--input", tmp_path / "in", "--output", small_disk / "table")
    done = in_process(*run)
    way_out = "free some, or stage elsewhere with --temp"
    reason = f"No space left on device ({small_disk}/table); {way_out}"
    assert (done.status, done.err) == (1, f"eventsift: {reason}\n{UNCHANGED}")
    assert in_process(*run, "--temp", tmp_path / "temp").status == 0


def truncate(path: Path) -> None:
    """Somebody writes the file anew."""
    os.truncate(path, 10)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            truncate,
            "an input file has changed while it was read: run again when it is complete",
        ),
        (os.unlink, "No such file or directory: '{}'; it was removed while the run needed it:"),
    ],
)
def test_a_file_that_changes_under_the_run(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    reason: str,
) -> None:
    """Nothing is published; the same command does it when the file is there."""
    content, read_block = source.read_bytes(), read.read_block

    def changed(*arguments: object) -> object:
        if source.exists():
            change(source)
        return read_block(*arguments)  # type: ignore[arg-type]

    run = ("--input", source, "--output", tmp_path / "table", "--workers", "1")
    with monkeypatch.context() as patch:
        patch.setattr(read, "read_block", changed)
        done = in_process(*run)
    said, rest = done.err.split("\n", 1)
    assert (done.status, rest) == (1, UNCHANGED)
    assert reason.format(source) in said
    assert "run again" in said

    source.write_bytes(content)
    assert in_process(*run).status == 0
    assert ids(tmp_path / "table") == ["a", "b"]


def test_a_file_that_changed_after_it_was_published(source: Path, tmp_path: Path) -> None:
    """`status` says so before the next run reads it."""
    output = ("--output", tmp_path / "table")
    assert in_process("--input", source, *output).status == 0
    write(source, line("a"), line("b"), line("c"))
    done = in_process("--input", source, *output, main=status.main)
    assert "input 1 file waits, " in words(done.out)
    assert ", 1 of them changed since" in words(done.out)
    assert in_process("--input", source, *output).status == 0
    assert ids(tmp_path / "table") == ["a", "b", "c"]


def test_a_gzip_file_that_was_not_copied_to_its_end(tmp_path: Path) -> None:
    """What is there is published; the message says to deliver it again; then it is whole."""
    lines = [line(f"{number:04}", data=os.urandom(50).hex()) for number in range(2000)]
    whole = gzip.compress("\n".join(lines).encode())
    source = tmp_path / "in.jsonl.gz"
    source.write_bytes(whole[: len(whole) // 2])
    run = ("--input", source, "--output", tmp_path / "table")

    done = in_process(*run)

    message = "gzip data ends before its end mark; deliver the whole file again"
    assert done.status == 0
    assert f"1 truncated-file: {message}" in words(done.out)
    assert 0 < len(ids(tmp_path / "table")) < 2000
    source.write_bytes(whole)
    assert in_process(*run).status == 0
    assert len(ids(tmp_path / "table")) == 2000


PAUSED = """
import sys, time, pathlib
from pipeline.steps import write
whole, gate = write.write_shard, pathlib.Path(sys.argv.pop(1))
def paused(*some):
    gate.with_suffix(".there").touch()
    while not gate.exists():
        time.sleep(0.05)
    return whole(*some)
write.write_shard = paused
from pipeline import cli
cli.main()
"""


def begin(gate: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """A run that has read its input, and waits at a gate before it writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSED, str(gate), "run", *map(str, arguments), "--workers", "1"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not gate.with_suffix(".there").exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process


def test_two_runs_at_once(source: Path, tmp_path: Path) -> None:
    """The slower one says that it starts again, and does: nobody has to do anything."""
    table = ("--output", tmp_path / "table")
    slow = begin(tmp_path / "gate", "--input", source, *table)
    other = deliver(tmp_path / "other.jsonl", [Event("c")])
    done = in_process("--input", source, *table, main=status.main)
    assert done.status == 1  # there is no table yet
    assert in_process("--input", other, *table).status == 0
    done = in_process("--input", source, *table, main=status.main)
    assert "alive 1 run under way: " in words(done.out)

    (tmp_path / "gate").touch()
    out, err = slow.communicate(timeout=60)

    assert (slow.returncode, err) == (
        0,
        "eventsift: another run was faster; starting again\n",
    )
    assert "Published as version" in out
    assert ids(tmp_path / "table") == ["a", "b", "c"]


def test_a_run_that_was_killed(source: Path, tmp_path: Path) -> None:
    """The table is as it was; `status` says who clears up, and the next run does."""
    table = ("--output", tmp_path / "table")
    assert in_process("--input", source, *table).status == 0
    other = deliver(tmp_path / "other.jsonl", [Event("c")])
    process = begin(tmp_path / "gate", "--input", other, *table)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert ids(tmp_path / "table") == ["a", "b"]
    done = in_process(*table, main=status.main)
    assert "dead 1 run killed: the next run or compact clears up: " in words(done.out)
    assert in_process("--input", other, *table).status == 0
    assert ids(tmp_path / "table") == ["a", "b", "c"]
    assert "run killed" not in in_process(*table, main=status.main).out


def test_a_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "faker" else find(name)
    )
    done = in_process("--events", "1", "--output", tmp_path / "in", main=generate)
    assert (done.status, done.err) == (
        1,
        "eventsift: Faker is not installed; install it with: pip install 'eventsift[generator]'\n",
    )


def test_no_keys_for_a_store() -> None:
    """What a client says that has asked its machine in vain becomes what to set."""
    text = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 2 ms"
    match = "s3://bucket: no keys were found: for S3 set AWS_ACCESS_KEY_ID"
    with pytest.raises(OSError, match=match), _named("s3://bucket"):
        raise ValueError(text)


def test_a_data_file_that_was_removed(source: Path, tmp_path: Path) -> None:
    """`verify` names it and the way out, and that helps."""
    output = ("--output", tmp_path / "table")
    assert in_process("--input", source, *output).status == 0
    (data_file,) = (tmp_path / "table").glob("domain=*/**/*.parquet")
    data_file.unlink()

    done = in_process(*output, main=verify.main)
    assert done.status == 1
    assert str(data_file.relative_to(tmp_path / "table")) in done.out
    assert done.out.splitlines()[-1] == (
        "Bring missing or damaged files back from a backup, or make the table again from its"
        " sources: `run --rebuild`."
    )
    assert in_process("--input", source, *output, "--rebuild").status == 0
    assert in_process(*output, main=verify.main).status == 0


def test_standard_output_that_nobody_reads(source: Path, tmp_path: Path) -> None:
    """`… | head -1` is no failure, and says nothing."""
    done = python(
        "-c",
        "import subprocess, sys; one = subprocess.Popen([sys.executable, '-m', 'pipeline',"
        " *sys.argv[1:]], stdout=subprocess.PIPE); one.stdout.close(); sys.exit(one.wait())",
        "--input", source, "--output", tmp_path / "table",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert ids(tmp_path / "table") == ["a", "b"]
