"""Ctrl-C and SIGTERM, sent to real commands at any moment: how they end, and what they leave."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.verify.check import verify
from tests.commands import ROOT, run_here
from tests.deliveries import Event, deliver, generate, latest
from tests.signalled import (
    BOTH,
    CODES,
    WORDS,
    ended,
    held,
    listening,
    members,
    start,
    start_program,
)
from tests.tables import delta_rows, files_of

NEWS = [Event("a", "2021-01-09T10:00:00Z"), Event("b")]
NOTHING = "Nothing was published; the table is as it was.\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of one event, and beside it what was delivered."""
    folder = tmp_path_factory.mktemp("made")
    run_here(deliver(folder / "first.jsonl", [Event("a")]), folder / "out")
    return folder


@pytest.fixture
def table(made: Path, tmp_path: Path) -> Path:
    """A copy of that table."""
    return Path(shutil.copytree(made / "out", tmp_path / "out"))


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    """What is delivered to it next."""
    return deliver(tmp_path / "new.jsonl", NEWS)


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("before pipeline.command.job.main", signal.SIGINT),
        ("before pipeline.steps.plan.plan", signal.SIGTERM),
        ("before pipeline.steps.read.read_block", signal.SIGINT),
        ("before pipeline.steps.write.write_shard", signal.SIGTERM),
        ("after pipeline.bookkeeping.journal.stage", signal.SIGINT),
        ("after pipeline.bookkeeping.journal.stage", signal.SIGTERM),
        ("after pipeline.bookkeeping.journal.stage", signal.SIGHUP),
    ],
)
def test_before_the_commit_nothing_has_happened(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals, place: str
) -> None:
    """The signal goes to the whole group, twice, as `timeout` does it; all that was staged goes."""
    before = files_of(table)
    process = held(tmp_path, place, "pipeline", "--input", delivery, "--output", table)
    os.killpg(process.pid, number)
    os.killpg(process.pid, number)

    assert ended(process) == (CODES[number], "", f"eventsift: {WORDS[number]}\n{NOTHING}")

    assert files_of(table) == before
    hidden = [path for path in (table / "_eventsift").rglob("*") if path.is_file()]
    assert {path.parent.name for path in hidden} <= {"_eventsift", "catalogue", "runs"}


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("after pipeline.table.commits.commit", signal.SIGTERM),
        ("after pipeline.table.commits.commit", signal.SIGHUP),
        ("before pipeline.bookkeeping.journal.keep", signal.SIGINT),
        ("after pipeline.bookkeeping.journal.keep", signal.SIGTERM),
    ],
)
def test_after_the_commit_the_message_says_so(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals, place: str
) -> None:
    """And the next run leaves the table right for every reader."""
    process = held(tmp_path, place, "pipeline", "--input", delivery, "--output", table)
    process.send_signal(number)

    code, out, err = ended(process)

    assert (code, out) == (CODES[number], "")
    assert err.startswith(f"eventsift: {WORDS[number]}\nBut what it has done is published, as")
    assert delta_rows(table) == latest(NEWS)
    run_here(delivery, table)
    assert delta_rows(table) == latest(NEWS)
    assert verify(str(table)).findings == []


@BOTH
def test_worker_processes_end_too(tmp_path: Path, number: signal.Signals) -> None:
    """Also those that are starting; no warning of Python's own helper process comes of it."""
    generate(tmp_path / "in", 60_000, files=2)
    run = (
        "import sys; sys.argv[1:] = ['--input', 'in', '--output', 'out', '--workers', '2']\n"
        "from pipeline import signals; signals.install('eventsift')\n"
        "from pipeline import imports, processes; imports.quieten()\n"
        "from pipeline.command import console\n"
        "processes.start(2)\n"
        "from pipeline.command import job; console.run(job.main)\n"
    )
    for delay in (0.0, 0.3, 0.9):
        process = start("-c", run, cwd=tmp_path)
        while len(members(process.pid)) < 3:
            assert process.poll() is None
        time.sleep(delay)
        os.killpg(process.pid, number)

        code, _, err = ended(process)

        assert (code, err.splitlines()[:1]) == (CODES[number], [f"eventsift: {WORDS[number]}"])
        assert not {"Traceback", "Warning", "ignored"} & set(err.replace(":", " ").split())


@BOTH
def test_a_second_signal_ends_a_command_at_once(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Whoever does not want to wait for the clearing up need not; the next run does it."""
    process = held(
        tmp_path,
        "after pipeline.bookkeeping.journal.stage",
        "pipeline",
        "--input",
        delivery,
        "--output",
        table,
    )
    process.send_signal(number)
    time.sleep(0.6)  # what comes sooner is the same request
    process.send_signal(number)

    code, _, err = ended(process)

    assert code in (CODES[number], -number)
    assert "Traceback" not in err
    run_here(delivery, table)
    assert delta_rows(table) == latest(NEWS)
    assert verify(str(table)).findings == []


@BOTH
@pytest.mark.parametrize("again", [False, True])
def test_watching_ends_after_the_round(
    table: Path, delivery: Path, tmp_path: Path, number: signal.Signals, again: bool
) -> None:
    """Or, at the second signal, at once; then nothing of the round is published."""
    before = delta_rows(table)
    arguments = ["--input", delivery, "--output", table, "--watch", "0.05s"]
    process = held(tmp_path, "before pipeline.table.commits.commit", "pipeline", *arguments)
    process.send_signal(number)
    assert process.stdout
    assert any("stopping after this round" in line for line in process.stdout)
    if again:
        time.sleep(0.6)  # what comes sooner is the same request
        process.send_signal(number)
    else:
        (tmp_path / "go on").touch()

    code, out, err = ended(process)

    assert code == CODES[number]
    assert err == (f"eventsift: {WORDS[number]}\n{NOTHING}" if again else "")
    assert out.endswith("" if again else "eventsift: stopped\n")
    assert delta_rows(table) == (before if again else latest(NEWS))


@BOTH
@pytest.mark.parametrize(
    ("command", "place", "said"),
    [
        ("pipeline.verify", "before pipeline.verify.rows.check_file", ""),
        ("pipeline.compact", "before pipeline.table.settling.settle", NOTHING),
    ],
)
def test_the_other_commands_end_in_the_same_way(
    table: Path, tmp_path: Path, number: signal.Signals, command: str, place: str, said: str
) -> None:
    """No traceback, and the table is as it was."""
    before = files_of(table)
    process = held(tmp_path, place, command, "--output", table)
    process.send_signal(number)

    code, out, err = ended(process)

    assert (code, out) == (CODES[number], "")
    assert err.startswith(f"eventsift: {WORDS[number]}\n")
    assert err.endswith(said)
    assert files_of(table) == before
    assert list((table / "_eventsift").glob("alive/*")) == []


@BOTH
def test_the_generator_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    """Whole files are there, and nothing else, hidden or not."""
    for delay in (0.0, 0.3, 0.7):
        output = tmp_path / f"{delay}"
        process = start(
            "-m", "generator", "--events", "90000000", "--files", "9000", "--output", output
        )
        listening(process)
        while delay and not output.exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(number)

        assert ended(process) == (CODES[number], "", f"eventsift: {WORDS[number]}\n")
        files = list(output.iterdir()) if output.exists() else []
        assert all(path.name.startswith("events-") for path in files)
        assert all(path.read_bytes().endswith(b"}\n") for path in files)


@BOTH
@pytest.mark.parametrize(
    "command", ["pipeline", "pipeline.verify", "pipeline.compact", "benchmarks"]
)
def test_while_a_command_starts(
    tmp_path: Path, number: signal.Signals, command: str
) -> None:  # fmt: skip
    """Imports take a second; a signal in them ends the command, and no traceback comes of it."""
    arguments = {
        "pipeline": ["--input", tmp_path, "--output", tmp_path / "out"],
        "benchmarks": ["build", "--work", tmp_path / "work"],
    }.get(command, ["--output", tmp_path / "out"])
    for delay in (0.0, 0.1, 0.3):
        process = start("-m", command, *arguments)
        listening(process)
        time.sleep(delay)
        process.send_signal(number)

        code, out, err = ended(process)

        if code != 1:  # it was quick, and has found that there is nothing
            assert (code, out) == (CODES[number], "")
            assert err.splitlines()[0].endswith(f": {WORDS[number]}")
        assert "Traceback" not in err
        assert "Exception ignored" not in err


@BOTH
def test_before_python_has_started(tmp_path: Path, number: signal.Signals) -> None:
    """Through run.sh a signal waits until it can be dealt with; Python would show a traceback."""
    python = str(Path(sys.executable).parent.parent)
    generator = ("generate", "--events", "90000000", "--output", tmp_path / "in")
    for delay in (0.0, 0.01, 0.03, 0.06, 0.1):
        env = {**os.environ, "EVENTSIFT_VENV": python}
        process = start_program(ROOT / "run.sh", *generator, env=env)
        while not Path(f"/proc/{process.pid}/cmdline").read_text().startswith(python):
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(number)

        assert ended(process) == (CODES[number], "", f"eventsift: {WORDS[number]}\n")


def test_a_shells_loop_stops_on_ctrl_c(tmp_path: Path) -> None:
    """A loop goes on after an exit with 130; it stops only if the command dies of SIGINT."""
    generate(tmp_path / "in", 40)
    loop = (
        f"for n in 1 2 3; do echo round $n; {ROOT}/run.sh run --input '{tmp_path}/in'"
        f" --output '{tmp_path}/out' --watch 0.1s; done; echo went on"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        environment = os.path.dirname(os.path.dirname(sys.executable))
        os.environ["EVENTSIFT_VENV"] = environment
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # also where the tests run in the background
        os.execvp("bash", ["bash", "-c", loop])
    said = b""
    pressed = False
    for chunk in _output(terminal):
        said += chunk
        if b"run 20" in said and not pressed:
            os.write(terminal, b"\x03")
            pressed = True
    _, status = os.waitpid(pid, 0)

    assert b"stopped" in said
    assert b"round 2" not in said
    assert b"went on" not in said
    assert b"Traceback" not in said
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGINT, 130)


def _output(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            return
        if not chunk:
            return
        yield chunk


def test_nohup_is_heeded(table: Path, delivery: Path, tmp_path: Path) -> None:
    """What `nohup` has started goes on when the terminal is closed."""
    process = held(
        tmp_path,
        "after pipeline.bookkeeping.journal.stage",
        "pipeline",
        "--input",
        delivery,
        "--output",
        table,
        hangup=signal.SIG_IGN,
    )
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go on").touch()

    code, _, err = ended(process)

    assert (code, err) == (0, "")
    assert delta_rows(table) == latest(NEWS)
